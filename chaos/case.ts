// A case of a campaign as one line of text: where a process stands, what is done to which process there, and when the
// replacement comes. `guest-gpu-guest:front.state(device/virtio-mmio/0/state)#1/KILL vhost-frontend/restart` is a case. More
// faults follow behind ` then `. Leaves what the words do to faults/, and where the points come from to enumerate.ts.
import { assert, UserError } from '../lib/core/errors.js';
import { formatInstance, type PointInstance, parseInstance } from '../lib/trace/instances.js';
import { RESTARTS, type Restart } from './faults/fault.js';
import { FAULT_NAMES, faultNamed } from './faults/table.js';

/** The processes that are killed and paused, by their names in a trace; the guest is the one of CHAOS_GUEST. */
export const CHAOS_GUEST = 'gpu-guest';
export const GUEST_PROCESS = `guest-${CHAOS_GUEST}`;
/** Guests that stay beside it have domids from here on, which no guest of a case comes to. */
export const COMPANION_DOMID = 101;
export const VICTIMS = [GUEST_PROCESS, 'vhost-frontend', 'vhost-gpu', 'xenstored', 'hypervisor'] as const;
export type Victim = (typeof VICTIMS)[number];

/** To which servers each process holds connections. */
const SERVERS_OF: Readonly<Record<Victim, readonly Victim[]>> = {
  [GUEST_PROCESS]: ['hypervisor', 'xenstored'],
  'vhost-frontend': ['hypervisor', 'xenstored', 'vhost-gpu'],
  'vhost-gpu': ['hypervisor'],
  xenstored: ['hypervisor'],
  hypervisor: [],
};

/** Whether a connection is between two processes, or, where they are the same, between that one and another. */
export function areConnected(one: string, other: string): boolean {
  const holds = (client: string, server: string): boolean =>
    SERVERS_OF[client as Victim]?.some((known) => known === server) ?? false;
  return one === other || holds(one, other) || holds(other, one);
}

/** One fault of a case. */
export interface FaultAt {
  /** `occurrence` counts from the beginning of the case for a process that ran before, from its start for the guest's. */
  readonly at: PointInstance;
  /** "KILL", "PAUSE 16": a name of FAULT_NAMES, and its milliseconds where it takes them. */
  readonly fault: string;
  readonly victim: Victim;
  readonly restart: Restart;
}

/** The first fault, and those that follow it. */
export interface ChaosCase extends FaultAt {
  /**
   * Each is armed when the process of the one before stands at its point. Where that fault ends the process that is to stand
   * next, a point is one of the replacement, counted from its start.
   */
  readonly then?: readonly FaultAt[];
}

/** Faults of one case. */
export const FAULTS_MAX = 8;

/** All faults of a case, in order. */
export const faultsOf = ({ then = [], ...first }: ChaosCase): readonly FaultAt[] => [first, ...then];

/** The case of these faults; there is one at least. */
export function caseOf([first, ...then]: readonly FaultAt[]): ChaosCase {
  assert(first !== undefined, 'a case has a fault');
  return then.length === 0 ? first : { ...first, then };
}

const formatFault = ({ at, fault, victim, restart }: FaultAt): string =>
  `${formatInstance(at)}/${fault} ${victim}/${restart}`;

export const formatCase = (chaosCase: ChaosCase): string => faultsOf(chaosCase).map(formatFault).join(' then ');

/** Where one fault ends and the next begins; the label of a point may hold the word by itself. */
const BETWEEN = new RegExp(`(?<=/(?:${RESTARTS.join('|')})) then (?=[a-z0-9-]+:[a-z0-9.-]+[(#])`);

/** Throws UserError, one sentence, for anything that formatCase does not write; `guest` may stand for the guest's process. */
export function parseCase(text: string): ChaosCase {
  const parts = text.trim().split(BETWEEN);
  if (parts.length > FAULTS_MAX) throw new UserError(`a case has at most ${FAULTS_MAX} faults, not ${parts.length}`);
  return caseOf(parts.map(parseFault));
}

function parseFault(text: string): FaultAt {
  // The label of a point may hold slashes and blanks: the other parts are taken from the end.
  const found = /^(.+)\/([A-Z]+(?: [0-9]+)?) ([a-z0-9-]+)\/([a-z]+)$/s.exec(text);
  if (found === null) {
    throw new UserError(
      `${JSON.stringify(text)} is no case: PROCESS:POINT(LABEL)#NUMBER/FAULT VICTIM/${RESTARTS.join('|')} is expected`,
    );
  }
  const [, where = '', fault = '', who = '', when = ''] = found;
  const at = parseInstance(where.replace(/^guest:/, `${GUEST_PROCESS}:`));
  if (!(VICTIMS as readonly string[]).includes(at.process)) {
    throw new UserError(`no process ${at.process} takes part: ${VICTIMS.join(', ')} do`);
  }
  if (faultNamed(fault) === undefined) {
    throw new UserError(`there is no fault ${fault}: faults are ${FAULT_NAMES.join(', ')}`);
  }
  const victim = VICTIMS.find((known) => known === (who === 'guest' ? GUEST_PROCESS : who));
  if (victim === undefined) throw new UserError(`there is no process ${who} to harm: ${VICTIMS.join(', ')} are`);
  if (faultNamed(fault)!.fault.ofConnections && !areConnected(at.process, victim))
    throw new UserError(`${fault} needs a connection, and there is none between ${at.process} and ${victim}`);
  const restart = RESTARTS.find((known) => known === when);
  if (restart === undefined) throw new UserError(`a replacement comes ${RESTARTS.join(', ')}, not ${when}`);
  return { at, fault, victim, restart };
}
