// A case and its verdict in words, for a reader who has never seen one. The words of a fault and of a rule are their own
// files'; here they become sentences.
import { shellQuoted } from '../../lib/core/shell.js';
import { type ChaosCase, type FaultAt, faultsOf, GUEST_PROCESS, type VICTIMS } from '../case.js';
import { CHECKERS, ENGINE_CHECKS } from '../checkers/table.js';
import type { Outcome } from '../engine.js';
import { faultNamed } from '../faults/table.js';
import type { CampaignResult } from '../results.js';
import type { Explanation } from '../shrink/explanation.js';

/** What each process stands for, in one line. */
export const PROCESS_WORDS: Readonly<Record<string, string>> = {
  [GUEST_PROCESS]: 'the guest kernel, with its xenbus frontend and its display driver',
  'vhost-frontend': "dom0's device model: the xenbus backend of the virtio-mmio device",
  'vhost-gpu': 'the vhost-user server that does the drawing',
  xenstored: 'the configuration database',
  hypervisor: 'Xen itself, and the dom0 kernel: its end is the end of the host',
} satisfies Record<(typeof VICTIMS)[number], string>;

/** It is no victim. */
export const TOOLSTACK_WORDS =
  'what creates and removes the guest and its device, as xl does; it is part of the campaign itself, and is never harmed';

/** What a case is, for a reader who knows Xen and not this program. */
export const CASE_WORDS: readonly string[] = [
  'xenwire runs the processes of a Xen host on one machine: a guest draws a picture on a virtual display, through dom0, as it would on Xen.',
  'A case is one life of that guest with a fault in it: when a process comes to one exact step of its work (a point) it is made to stand still there; then a process, the same or another, is harmed; then everything is let go and healed.',
  'After that the guest must draw its picture again, be removed in order, and leave nothing behind.',
];

export const REPLAY_WORDS =
  'xenwire replay runs one case in a lab of its own: --trace prints what every process did, --html FILE writes that as a page, --explain finds the first point that fails. A case without a verdict (?) may go well when it is repeated: replay it several times.';

export const OUTCOME_WORDS: Readonly<Record<Outcome, string>> = {
  pass: 'passed: every rule held',
  broken: 'broke a rule',
  wedged: 'wedged: something did not come within its deadline',
  harness: 'no verdict: the process never came to the point, or one run went well and another did not',
};

/** `backendCommand`: of the campaign, when a backend of others was broken. */
export function replayLine(text: string, backendCommand?: string): string {
  return `xenwire replay ${backendCommand === undefined ? '' : `--backend-command ${shellQuoted(backendCommand)} `}${shellQuoted(text)}`;
}

/** When, on what and by which command line; undefined where the file of results does not say. */
export function howWords(how: CampaignResult['how']): string | undefined {
  return how === undefined ? undefined : `${how.began}, ${how.machine}: ${how.command}`;
}

/** What a rule demands; undefined for one of another version. */
export function ruleWords(check: string): string | undefined {
  const engine: Readonly<Record<string, string>> = ENGINE_CHECKS;
  return (
    CHECKERS.find(({ name }) => name === check)?.describe ?? (Object.hasOwn(engine, check) ? engine[check] : undefined)
  );
}

/** "While vhost-gpu stands after gpu.flush (1/0), the 2nd time: vhost-gpu gets KILL (SIGKILL, then a replacement), …" */
export function caseWords(chaosCase: ChaosCase): string {
  return faultsOf(chaosCase).map(faultWords).join(' Then ');
}

function faultWords({ at, fault, victim, restart }: FaultAt): string {
  const label = at.label === '' ? '' : ` (${at.label})`;
  const which = at.occurrence === 1 ? '' : `, which it passes for the ${nth(at.occurrence)} time`;
  const named = faultNamed(fault);
  const self = victim === at.process ? 'it' : victim;
  const when =
    named?.fault.replaces !== true
      ? ''
      : restart === 'restart'
        ? '; the replacement starts at once'
        : restart === 'late'
          ? '; the replacement starts once all others have come to rest'
          : '; the replacement starts after the guest was given up';
  const moment = at.point.gate === 'before' ? 'just before it does' : 'just after';
  return `${at.process} stands ${moment} ${at.point.name}${label}${which}. There ${self} gets ${fault} (${named?.fault.describe ?? ''})${when}.`;
}

/** What was found about a failure: a heading and a case each, in the order in which they are read; then what remains to be said. */
export function explanationWords({ minimal, fails, passes, between, runs }: Explanation, text: string) {
  const cases: (readonly [heading: string, text: string])[] = [];
  if (minimal !== text) cases.push(['With as few faults as break the rule:', minimal]);
  if (passes !== undefined) cases.push(['The last point at which all goes well:', passes]);
  if (passes !== undefined || fails !== minimal) cases.push(['The first point at which it fails:', fails]);
  const rest = [
    ...(cases.length === 0
      ? ['It needs every one of its faults, and no earlier point at which all goes well was found.']
      : []),
    ...(passes === undefined && cases.length > 0 ? ['At no point before that one all goes well.'] : []),
    ...(between === 0 ? [] : [`${between} points between the two gave no verdict.`]),
    `${runs} cases were run to find this.`,
  ];
  return { cases, rest: rest.join(' ') };
}

function nth(count: number): string {
  const tens = count % 100;
  const suffix = tens > 10 && tens < 14 ? 'th' : (['th', 'st', 'nd', 'rd'][count % 10] ?? 'th');
  return `${count}${suffix}`;
}
