// The `review` frontend as a pure machine: tables of phases, one effect at a time, nothing kept that is not in its state.
// Phases are of two kinds. In a resting phase it waits for the backend (or for removal) and REST says what a backend state
// leads to, repeats included. In a working phase it asks for one effect and WORK says where success and failure lead.
// Whatever was taken stands in `held` and is given back from there on every path. Leaves the store, ports, ranges and the
// device to whoever performs the effects (services/guest); that one runs them inside one xenwatch callback, as Linux does,
// so that no event arrives while an effect is under way.
import { assert } from '../core/errors.js';
import { queueEventChannelKey, VIRTIO_MMIO_KEY, XENBUS_KEY, XenbusState, xenbusStateName } from '../layout/xenbus.js';
import { formatHex, parseOnline, parseQueueCount, parseSize } from './keys.js';

/** Connections begun in a row without reaching Connected before the frontend stays closed. */
export const FRONT_ATTEMPTS_MAX = 5;

export type FrontRest = 'waiting' | 'published' | 'connected' | 'closed' | 'failed' | 'gone';
export type FrontWork =
  | 'sizing'
  | 'askingQueues'
  | 'claiming'
  | 'allocating'
  | 'allocatingQueue'
  | 'writingQueue'
  | 'writingBase'
  | 'writingPort'
  | 'announcing'
  | 'registering'
  | 'confirming'
  | 'reporting'
  | 'releasing'
  | 'closing'
  | 'askingWanted'
  | 'askingAgain'
  | 'reopening'
  | 'givingUp';
export type FrontPhase = FrontRest | FrontWork;

/** What it holds and must give back. */
export interface FrontHeld {
  readonly size?: number;
  readonly base?: number;
  readonly port?: number;
  /** Of the queues that have event channels of their own, index = queue. */
  readonly queuePorts?: readonly number[];
  readonly device?: true;
}

export interface Failure {
  readonly errno: number;
  readonly text: string;
}

export interface FrontState {
  readonly phase: FrontPhase;
  readonly held: FrontHeld;
  /** Last backend state seen. */
  readonly backend: number;
  readonly attempts: number;
  /** Queues that the backend offers event channels for. */
  readonly queues?: number;
  /** Set from a failure on: no further connection until the device is made anew. */
  readonly failure?: Failure;
  /** Where `releasing` goes. */
  readonly after?: 'closing' | 'failed' | 'gone';
}

export type FrontEvent =
  | { readonly type: 'backend'; readonly state: number }
  /** The driver is unbound or the device is unregistered; the core deals with the state. */
  | { readonly type: 'remove' }
  | { readonly type: 'done'; readonly value?: string | number }
  | { readonly type: 'failed'; readonly errno: number; readonly text: string };

/** One thing to do; answered by `done` (with a value where noted) or `failed`. */
export type FrontEffect =
  /** Read a key of the backend's directory; value: its text. */
  | { readonly type: 'read'; readonly key: string }
  /** Take the lowest free range of this size; value: its base. */
  | { readonly type: 'claimRange'; readonly size: number }
  /** Allocate a port for the backend's domain and bind an interrupt to it; value: the port. */
  | { readonly type: 'allocPort' }
  /** Write a key of the frontend's directory. */
  | { readonly type: 'write'; readonly key: string; readonly value: string }
  | { readonly type: 'switchState'; readonly state: XenbusState }
  /** Register the device; done when its driver has probed it, failed when it could not. */
  | {
      readonly type: 'register';
      readonly base: number;
      readonly size: number;
      readonly port: number;
      readonly queuePorts: readonly number[];
    }
  /** These never fail for the machine: what is given back is gone. */
  | { readonly type: 'unregister' }
  | { readonly type: 'freePort'; readonly port: number }
  | { readonly type: 'freeRange'; readonly base: number }
  /** xenbus_dev_fatal: error key, then state Closing. */
  | { readonly type: 'fatal'; readonly errno: number; readonly text: string }
  /** xenbus_dev_error: error key only. */
  | { readonly type: 'error'; readonly errno: number; readonly text: string };

export interface FrontStep {
  readonly state: FrontState;
  /** Absent: at rest. */
  readonly effect?: FrontEffect;
}

export const FRONT_START: FrontState = { phase: 'waiting', held: {}, backend: XenbusState.Unknown, attempts: 0 };

type RestMove = FrontWork | 'stay';
const S = XenbusState;
const STAY = 'stay';
/** Nothing is held open towards the backend but what `releasing` gives back. */
const LOSE = 'releasing';

/** (resting phase, backend state) to what is done; every pair is here. */
export const REST: Readonly<Record<FrontRest, Readonly<Record<XenbusState, RestMove>>>> = {
  // Frontend state 1. A backend at 4 has not noticed that we began anew: it will close. At 6 it owes us a 2.
  waiting: row({ [S.InitWait]: 'sizing', [S.Closing]: LOSE, [S.Closed]: 'askingWanted' }),
  // 3. A backend back at 1 or 2 was restarted and goes on from our keys.
  published: row({ [S.Connected]: 'registering', [S.Closing]: LOSE, [S.Closed]: LOSE, [S.Unknown]: LOSE }),
  // 4. A backend that reads 1 or 2 has forgotten this connection; one that vanished will not answer any more.
  connected: row({
    [S.Unknown]: LOSE,
    [S.Initialising]: LOSE,
    [S.InitWait]: LOSE,
    [S.Closing]: LOSE,
    [S.Closed]: LOSE,
  }),
  // 6.
  closed: row({ [S.InitWait]: 'askingAgain', [S.Closed]: 'askingAgain' }),
  // 5, by our own failure; the backend's closing lets us finish.
  failed: row({ [S.Unknown]: 'closing', [S.Closing]: 'closing', [S.Closed]: 'closing' }),
  gone: row({}),
};

function row(moves: Partial<Record<XenbusState, RestMove>>): Record<XenbusState, RestMove> {
  const all = Object.values(XenbusState).map((state) => [state, moves[state] ?? STAY]);
  return Object.fromEntries(all) as Record<XenbusState, RestMove>;
}

interface WorkRule {
  effect(state: FrontState): FrontEffect | undefined;
  /** Next state after success; the value is whatever the effect's comment says. */
  done(state: FrontState, value: string | number | undefined): FrontState;
  /** Next state after failure. Default: report it and give everything back. */
  failed?(state: FrontState, failure: Failure): FrontState;
}

const to = (phase: FrontPhase) => (state: FrontState) => ({ ...state, phase });
const EINVAL = 22;
const EIO = 5;

export const WORK: Readonly<Record<FrontWork, WorkRule>> = {
  sizing: {
    effect: () => ({ type: 'read', key: VIRTIO_MMIO_KEY.size }),
    done: (state, value) => {
      const size = parseSize(String(value));
      return size === undefined
        ? fail(state, { errno: EINVAL, text: `reading size: "${String(value).slice(0, 40)}" is not one` })
        : { ...state, phase: 'askingQueues', held: { size }, attempts: state.attempts + 1 };
    },
  },
  // A backend without them has no such key.
  askingQueues: {
    effect: () => ({ type: 'read', key: VIRTIO_MMIO_KEY.featureQueueEvtchn }),
    done: (state, value) => ({ ...state, phase: 'claiming', queues: parseQueueCount(String(value)) }),
    failed: (state) => ({ ...state, phase: 'claiming', queues: 0 }),
  },
  claiming: {
    effect: ({ held }) => ({ type: 'claimRange', size: held.size! }),
    done: (state, value) => ({ ...state, phase: 'allocating', held: { ...state.held, base: Number(value) } }),
  },
  allocating: {
    effect: () => ({ type: 'allocPort' }),
    done: (state, value) => nextQueue({ ...state, held: { ...state.held, port: Number(value) } }),
  },
  allocatingQueue: {
    effect: () => ({ type: 'allocPort' }),
    done: (state, value) => {
      const queuePorts = [...(state.held.queuePorts ?? []), Number(value)];
      return { ...state, phase: 'writingQueue', held: { ...state.held, queuePorts } };
    },
  },
  writingQueue: {
    effect: ({ held: { queuePorts = [] } }) => ({
      type: 'write',
      key: queueEventChannelKey(queuePorts.length - 1),
      value: String(queuePorts.at(-1)),
    }),
    done: nextQueue,
  },
  writingBase: {
    effect: ({ held }) => ({ type: 'write', key: VIRTIO_MMIO_KEY.base, value: formatHex(held.base!) }),
    done: to('writingPort'),
  },
  writingPort: {
    effect: ({ held }) => ({ type: 'write', key: VIRTIO_MMIO_KEY.eventChannel, value: String(held.port!) }),
    done: to('announcing'),
  },
  announcing: {
    effect: () => ({ type: 'switchState', state: S.Initialised }),
    done: to('published'),
  },
  registering: {
    effect: ({ held }) => ({
      type: 'register',
      base: held.base!,
      size: held.size!,
      port: held.port!,
      queuePorts: held.queuePorts ?? [],
    }),
    done: (state) => ({ ...state, phase: 'confirming', held: { ...state.held, device: true } }),
  },
  confirming: {
    effect: () => ({ type: 'switchState', state: S.Connected }),
    done: (state) => ({ ...state, phase: 'connected', attempts: 0 }),
  },
  // State 5 first: the backend is to serve registers until 6, and `releasing` may still use them.
  reporting: {
    effect: ({ failure }) => ({ type: 'fatal', errno: failure!.errno, text: failure!.text }),
    done: (state) => ({ ...state, phase: 'releasing', after: 'failed' }),
    failed: (state) => ({ ...state, phase: 'releasing', after: 'failed' }),
  },
  // The device before its port: removal reads and writes registers, and waits for no interrupt.
  releasing: {
    effect: ({ held }) => {
      if (held.device) return { type: 'unregister' };
      if (held.queuePorts !== undefined) return { type: 'freePort', port: held.queuePorts.at(-1)! };
      if (held.port !== undefined) return { type: 'freePort', port: held.port };
      if (held.base !== undefined) return { type: 'freeRange', base: held.base };
      return undefined;
    },
    done: released,
    failed: released,
  },
  closing: {
    effect: () => ({ type: 'switchState', state: S.Closed }),
    done: to('closed'),
  },
  // State 1 and a closed backend: an unwanted device is closed, a wanted one waits for the 2 that the backend owes.
  askingWanted: {
    effect: () => ({ type: 'read', key: XENBUS_KEY.online }),
    done: (state, value) => ({ ...state, phase: parseOnline(String(value)) ? 'waiting' : 'closing' }),
    failed: to('waiting'),
  },
  askingAgain: {
    effect: () => ({ type: 'read', key: XENBUS_KEY.online }),
    done: (state, value) => {
      if (!parseOnline(String(value))) return { ...state, phase: 'closed' };
      return { ...state, phase: state.attempts < FRONT_ATTEMPTS_MAX ? 'reopening' : 'givingUp' };
    },
    failed: to('closed'),
  },
  reopening: {
    effect: () => ({ type: 'switchState', state: S.Initialising }),
    done: (state) => ({ ...state, phase: state.backend === S.InitWait ? 'sizing' : 'waiting' }),
    // Closed already: Closing would be no move from there.
    failed: (state, failure) => ({ ...state, phase: 'closed', failure }),
  },
  givingUp: {
    effect: () => ({ type: 'error', errno: EIO, text: `${FRONT_ATTEMPTS_MAX} connections in a row came to nothing` }),
    done: (state) => ({ ...state, phase: 'closed', failure: { errno: EIO, text: 'gave up' } }),
    failed: (state) => ({ ...state, phase: 'closed', failure: { errno: EIO, text: 'gave up' } }),
  },
};

/** The next queue that gets an event channel, or on to the keys that every device has. */
function nextQueue(state: FrontState): FrontState {
  const more = (state.held.queuePorts?.length ?? 0) < (state.queues ?? 0);
  return { ...state, phase: more ? 'allocatingQueue' : 'writingBase' };
}

/** Without what `releasing` gave back last. */
function released(state: FrontState): FrontState {
  const { device, queuePorts, port, ...range } = state.held;
  const withPort = port === undefined ? range : { ...range, port };
  if (device) return { ...state, held: queuePorts === undefined ? withPort : { ...withPort, queuePorts } };
  if (queuePorts !== undefined && queuePorts.length > 1)
    return { ...state, held: { ...withPort, queuePorts: queuePorts.slice(0, -1) } };
  if (queuePorts !== undefined) return { ...state, held: withPort };
  return { ...state, held: port === undefined ? {} : range };
}

function fail(state: FrontState, failure: Failure): FrontState {
  return { ...state, phase: 'reporting', failure };
}

export function isRest(phase: FrontPhase): phase is FrontRest {
  return phase in REST;
}

/** Enters a phase: working phases ask for their effect, a finished `releasing` goes on. */
function enter(state: FrontState): FrontStep {
  if (isRest(state.phase)) return { state };
  const effect = WORK[state.phase].effect(state);
  if (effect !== undefined) return { state, effect };
  assert(state.phase === 'releasing', `${state.phase} has an effect`);
  const { after, ...rest } = state;
  return enter({ ...rest, held: {}, phase: after ?? 'closing' });
}

/**
 * The machine. `backend` and `remove` are for a machine at rest, `done` and `failed` for one whose effect is under way;
 * the caller keeps that order (an assertion says so).
 */
export function frontStep(state: FrontState, event: FrontEvent): FrontStep {
  if (isRest(state.phase)) {
    if (event.type === 'remove') return enter({ ...state, phase: 'releasing', after: 'gone' });
    assert(event.type === 'backend', `${event.type} at rest in ${state.phase}`);
    return backendChanged(state, state.phase, event.state);
  }
  assert(event.type === 'done' || event.type === 'failed', `${event.type} during ${state.phase}`);
  const rule = WORK[state.phase];
  if (event.type === 'done') return enter(rule.done(state, event.value));
  const failure = { errno: event.errno, text: event.text };
  return enter(rule.failed ? rule.failed(state, failure) : fail(state, failure));
}

function backendChanged(state: FrontState, phase: FrontRest, backend: number): FrontStep {
  const seen = { ...state, backend };
  const move = REST[phase][backend as XenbusState] as RestMove | undefined;
  if (move === undefined) {
    // A number outside the enum, as Linux drivers treat it.
    if (phase === 'gone' || phase === 'closed' || phase === 'failed') return { state: seen };
    return enter(fail(seen, { errno: EINVAL, text: `saw state ${xenbusStateName(backend)} at frontend` }));
  }
  if (move === STAY) return { state: seen };
  // A failure of ours is final: only a device made anew begins again, else an error would repeat for ever.
  if (phase === 'closed' && state.failure !== undefined) return { state: seen };
  return enter({ ...seen, phase: move });
}
