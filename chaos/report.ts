// A campaign's result as text of at most 72 columns, to paste into a mail, and as JUnit for continuous integration.
import { parseCase, VICTIMS } from './case.js';
import { OUTCOMES } from './engine.js';
import { type CampaignResult, countOutcomes, type JudgedCase } from './results.js';

/** Of a mail that is answered several times without breaking its lines. */
const COLUMNS = 72;
/** Cases that a report names; the file of results has all. */
const NAMED_MAX = 20;

const FAULT_COLUMN = 12;
const NAME_COLUMN = 16;

/** One sentence: how many cases were run and what came of them. */
export function summaryOf({ planned, judged, shard }: CampaignResult): string {
  const counts = countOutcomes(judged);
  const due = Math.ceil((planned.length - (shard.index - 1)) / shard.count);
  const skipped = due - judged.length;
  const twice = judged.filter(({ runs }) => runs.length > 1).length;
  return `${judged.length} of ${due} run, ${skipped} skipped: ${counts.pass} pass, ${counts.broken} F, ${counts.wedged} W, ${counts.harness} ?; ${twice} run twice`;
}

/** Rows: the process that stands. Columns: the victim. In each cell, by fault, a mark for the worst outcome and how often. */
export function matrixOf(judged: readonly JudgedCase[]): string[] {
  const cells = new Map<string, { total: number; bad: number; mark: string }>();
  const faults = new Set<string>();
  for (const { case: text, outcome } of judged) {
    const { at, fault, victim } = parseCase(text);
    const key = `${fault}|${at.process}|${victim}`;
    faults.add(fault);
    const cell = cells.get(key) ?? { total: 0, bad: 0, mark: OUTCOMES.pass };
    cell.total++;
    if (outcome !== 'pass') {
      cell.bad++;
      if (cell.mark !== OUTCOMES.broken) cell.mark = OUTCOMES[outcome];
    }
    cells.set(key, cell);
  }
  const short = (name: string): string => name.replace('guest-gpu-guest', 'guest').replace('vhost-', '');
  return [...faults].flatMap((fault) => [
    `${fault.padEnd(NAME_COLUMN)}${VICTIMS.map((name) =>
      short(name)
        .slice(0, FAULT_COLUMN - 2)
        .padStart(FAULT_COLUMN - 1),
    ).join('')}`,
    ...VICTIMS.map((standing) => {
      const row = VICTIMS.map((victim) => {
        const cell = cells.get(`${fault}|${standing}|${victim}`);
        const text =
          cell === undefined
            ? '-'
            : cell.bad === 0
              ? `${cell.mark} ${cell.total}`
              : `${cell.mark} ${cell.bad}/${cell.total}`;
        return text.padStart(FAULT_COLUMN - 1);
      });
      return `at ${short(standing).padEnd(NAME_COLUMN - 3)}${row.join('')}`;
    }),
    '',
  ]);
}

/** The whole report; `maxColumns` is what every line keeps to. */
export function textReport(result: CampaignResult): string[] {
  const bad = result.judged.filter(({ outcome }) => outcome !== 'pass');
  const recoveries = result.judged.flatMap(({ recoveryMs }) => recoveryMs ?? []).sort((a, b) => a - b);
  const at = (part: number): string => `${(recoveries[Math.floor((recoveries.length - 1) * part)] ?? 0).toFixed(0)} ms`;
  return [
    `xenwire ${result.version} chaos, points ${result.catalogue}${result.seed === undefined ? '' : `, seed ${result.seed}`}`,
    ...wrap(summaryOf(result), ''),
    '',
    'A process stands at a point (rows) while the fault happens to a process',
    '(columns): how many cases, and how many of them failed.',
    '. all rules held  F a rule was broken  W wedged  ? no verdict',
    '',
    ...matrixOf(result.judged),
    ...(recoveries.length === 0
      ? []
      : wrap(`From the end of the fault to the next right frame: p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}.`, '')),
    ...bad.slice(0, NAMED_MAX).flatMap((judged) => ['', ...failureOf(judged)]),
    ...(bad.length > NAMED_MAX ? ['', `and ${bad.length - NAMED_MAX} more, in the file of results`] : []),
  ];
}

function failureOf({ case: text, outcome, violations, trouble, runs }: JudgedCase): string[] {
  const differ = new Set(runs).size > 1 ? ` (its runs: ${runs.map((each) => OUTCOMES[each]).join(' ')})` : '';
  const why = [
    ...violations.map(({ check, what }) => `${check}: ${what}`),
    ...(trouble === undefined ? [] : [trouble]),
  ];
  return [
    ...why.flatMap((line) => wrap(`${OUTCOMES[outcome]} ${line}${differ}`, '  ')),
    // One line whatever its length: it is to be copied into a shell.
    `xenwire replay '${text}'`,
  ];
}

function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = indent + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

const XML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const xml = (text: string): string =>
  // What XML 1.0 has no character for does not belong into a report either.
  text.replace(/[^\t\n\r -\uD7FF\uE000-\uFFFD]/g, '?').replace(/[&<>"]/g, (char) => XML[char]!);

export function junitReport({ judged }: CampaignResult): string {
  const counts = countOutcomes(judged);
  const cases = judged.map(({ case: text, outcome, violations, trouble, ms }) => {
    const why = violations.map(({ check, what }) => `${check}: ${what}`).join('\n');
    const open = `<testcase classname="chaos" name="${xml(text)}" time="${(ms / 1000).toFixed(3)}"`;
    if (outcome === 'pass') return `${open}/>`;
    if (outcome === 'harness') return `${open}><error message="${xml(trouble ?? why)}"/></testcase>`;
    return `${open}><failure message="${outcome}">${xml(why)}</failure></testcase>`;
  });
  const failures = counts.broken + counts.wedged;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="xenwire chaos" tests="${judged.length}" failures="${failures}" errors="${counts.harness}">`,
    ...cases,
    '</testsuite>',
    '',
  ].join('\n');
}
