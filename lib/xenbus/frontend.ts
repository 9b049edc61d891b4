// The `review` frontend as a pure machine: tables of phases, one effect at a time, nothing kept that is not in its state.
// Phases are of two kinds. In a resting phase it waits for the backend (or for removal) and REST says what a backend state
// leads to, repeats included. In a working phase it asks for one effect and WORK says where success and failure lead.
// Whatever was taken stands in `held` and is given back from there on every path. Each effect that writes a state or a key, or
// reads a key, is held to the protocol's tables before it leaves frontStep (rules.ts). Leaves the store, ports, ranges and the
// device to services/guest/virtio-mmio-front.ts, which performs the effects inside one xenwatch callback, as Linux does, so that
// no event arrives while an effect is under way.
import { ERRNO } from '../core/errno.js';
import { assert } from '../core/errors.js';
import { EvtchnPort } from '../core/ids.js';
import { queueEventChannelKey, VIRTIO_MMIO_KEY, XENBUS_KEY, XenbusState, xenbusStateName } from '../layout/xenbus.js';
import type {
  Failure,
  FrontEffect,
  FrontEvent,
  FrontMove,
  FrontPhase,
  FrontRest,
  FrontState,
  FrontStep,
  FrontTables,
  FrontWorkRule,
} from './frontend-types.js';
import { formatHex, parseOnline, parseQueueCount, parseSize, parseState } from './keys.js';
import { type Protocol, REVIEW } from './protocol.js';
import { assertMove, assertReads, assertWrites } from './rules.js';

/** Connections begun in a row without reaching Connected before the frontend stays closed. */
export const FRONT_ATTEMPTS_MAX = 5;

export type * from './frontend-types.js';

export const FRONT_START: FrontState = {
  phase: 'waiting',
  held: {},
  front: XenbusState.Initialising,
  backend: XenbusState.Unknown,
  attempts: 0,
};

const S = XenbusState;
const STAY = 'stay';
/** The connection is over: give back what is held, then Closed. */
const LET_GO = 'releasing';

/** (resting phase, backend state) to what is done; every pair is here. */
export const REST: FrontTables['rest'] = {
  // Frontend state 1. A backend at 4 has not noticed that we began anew: it will close. At 6 it owes us a 2.
  waiting: row({ [S.InitWait]: 'sizing', [S.Closing]: LET_GO, [S.Closed]: 'askingWanted' }),
  // 3. A backend back at 1 or 2 was restarted and goes on from our keys.
  published: row({ [S.Connected]: 'registering', [S.Closing]: LET_GO, [S.Closed]: LET_GO, [S.Unknown]: LET_GO }),
  // 4. A backend that reads 1 or 2 has forgotten this connection; one that vanished will not answer any more.
  connected: row({
    [S.Unknown]: LET_GO,
    [S.Initialising]: LET_GO,
    [S.InitWait]: LET_GO,
    [S.Closing]: LET_GO,
    [S.Closed]: LET_GO,
  }),
  // 6.
  closed: row({ [S.InitWait]: 'askingAgain', [S.Closed]: 'askingAgain' }),
  // 5, by our own failure; the backend's closing lets us finish.
  failed: row({ [S.Unknown]: 'closing', [S.Closing]: 'closing', [S.Closed]: 'closing' }),
  gone: row({}),
};

function row(moves: Partial<Record<XenbusState, FrontMove>>): Record<XenbusState, FrontMove> {
  const all = Object.values(XenbusState).map((state) => [state, moves[state] ?? STAY]);
  return Object.fromEntries(all) as Record<XenbusState, FrontMove>;
}

const to = (phase: FrontPhase) => (state: FrontState) => ({ ...state, phase });
/** A state was written; or it could not be, and the core has written Closing instead (xenbus_switch_fatal). */
const switched =
  (wanted: XenbusState, next: (state: FrontState) => FrontPhase): FrontWorkRule['done'] =>
  (state, value) =>
    value === undefined
      ? { ...state, front: wanted, phase: next(state) }
      : {
          ...state,
          front: S.Closing,
          phase: 'releasing',
          after: 'failed',
          failure: { errno: ERRNO.EIO, text: `state ${xenbusStateName(wanted)} could not be written` },
        };
const { EINVAL, EIO } = ERRNO;

export const WORK: FrontTables['work'] = {
  sizing: {
    effect: () => ({ type: 'read', key: VIRTIO_MMIO_KEY.size }),
    done: (state, value) => {
      const size = parseSize(String(value));
      return size === undefined
        ? fail(state, { errno: EINVAL, text: `reading size: "${String(value).slice(0, 40)}" is not one` })
        : { ...state, phase: 'askingQueues', held: { size }, attempts: state.attempts + 1 };
    },
    failed: (state, failure) => lookAgain({ ...state, attempts: state.attempts + 1 }, failure),
  },
  // A key could not be read or written, though the backend read 2: both directories were removed since, or made anew, and an
  // error would be written into the new one. Unless the backend reads 2 again, what happens there tells by its own events.
  lookingAgain: {
    effect: () => ({ type: 'read', key: XENBUS_KEY.state }),
    done: (state, value) => {
      const backend = parseState(String(value));
      return { ...state, backend, phase: backend === S.InitWait ? 'sizing' : 'waiting' };
    },
    failed: (state) => ({ ...state, backend: S.Unknown, phase: 'waiting' }),
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
    done: (state, value) => nextQueue({ ...state, held: { ...state.held, port: EvtchnPort(Number(value)) } }),
  },
  allocatingQueue: {
    effect: () => ({ type: 'allocPort' }),
    done: (state, value) => {
      const queuePorts = [...(state.held.queuePorts ?? []), EvtchnPort(Number(value))];
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
    failed: lookAgain,
  },
  writingBase: {
    effect: ({ held }) => ({ type: 'write', key: VIRTIO_MMIO_KEY.base, value: formatHex(held.base!) }),
    done: to('writingPort'),
    failed: lookAgain,
  },
  writingPort: {
    effect: ({ held }) => ({ type: 'write', key: VIRTIO_MMIO_KEY.eventChannel, value: String(held.port!) }),
    done: to('announcing'),
    failed: lookAgain,
  },
  announcing: {
    effect: () => ({ type: 'switchState', state: S.Initialised }),
    done: switched(S.Initialised, () => 'published'),
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
    // The backend may have been replaced in the middle of the probe: that is worth another connection.
    failed: (state, failure) => ({ ...state, phase: 'explaining', setback: failure }),
  },
  explaining: {
    effect: ({ setback }) => ({ type: 'error', errno: setback!.errno, text: setback!.text }),
    done: explained,
    failed: explained,
  },
  confirming: {
    effect: () => ({ type: 'switchState', state: S.Connected }),
    done: ({ setback: _passed, ...state }, value) => ({
      ...switched(S.Connected, () => 'connected')(state, value),
      attempts: 0,
    }),
  },
  // State 5 first: the backend is to serve registers until 6, and `releasing` may still use them.
  reporting: {
    effect: ({ failure }) => ({ type: 'fatal', errno: failure!.errno, text: failure!.text }),
    done: (state) => ({ ...state, front: S.Closing, phase: 'releasing', after: 'failed' }),
    failed: (state) => ({ ...state, front: S.Closing, phase: 'releasing', after: 'failed' }),
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
    done: switched(S.Closed, () => 'closed'),
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
    done: switched(S.Initialising, ({ backend }) => (backend === S.InitWait ? 'sizing' : 'waiting')),
    // Closed already: Closing would be no move from there.
    failed: (state, failure) => ({ ...state, phase: 'closed', failure }),
  },
  givingUp: {
    effect: (state) => ({ type: 'error', ...gaveUp(state) }),
    done: (state) => ({ ...state, phase: 'closed', failure: gaveUp(state) }),
    failed: (state) => ({ ...state, phase: 'closed', failure: gaveUp(state) }),
  },
};

/** The next queue that gets an event channel, or on to the keys that every device has. */
function nextQueue(state: FrontState): FrontState {
  const more = (state.held.queuePorts?.length ?? 0) < (state.queues ?? 0);
  return { ...state, phase: more ? 'allocatingQueue' : 'writingBase' };
}

/** Gives back what is held, then asks what the backend reads now; an error that does not go away is final. */
function lookAgain(state: FrontState, failure: Failure): FrontState {
  return state.attempts < FRONT_ATTEMPTS_MAX
    ? { ...state, phase: 'releasing', after: 'lookingAgain' }
    : fail(state, failure);
}

function explained(state: FrontState): FrontState {
  return { ...state, phase: 'releasing' };
}

/** Why no further connection is begun: with what the driver said of the last one. */
function gaveUp({ setback }: FrontState): Failure {
  const why = setback === undefined ? '' : `: ${setback.text}`;
  return { errno: EIO, text: `${FRONT_ATTEMPTS_MAX} connections in a row came to nothing${why}` };
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
function enter(state: FrontState, tables: FrontTables): FrontStep {
  if (isRest(state.phase)) return { state };
  const effect = tables.work[state.phase].effect(state);
  if (effect !== undefined) {
    checkEffect(state, effect, tables.protocol);
    return { state, effect };
  }
  assert(state.phase === 'releasing', `${state.phase} has an effect`);
  const { after, ...rest } = state;
  return enter({ ...rest, held: {}, phase: after ?? 'closing' }, tables);
}

/** Nothing leaves the machine that the protocol does not allow this end. */
function checkEffect({ front, backend }: FrontState, effect: FrontEffect, protocol: Protocol): void {
  const move = { side: 'front', from: front, by: 'frontend', otherEnd: backend } as const;
  if (effect.type === 'switchState') assertMove(protocol, { ...move, to: effect.state });
  else if (effect.type === 'fatal') assertMove(protocol, { ...move, to: S.Closing });
  else if (effect.type === 'write') assertWrites(protocol, 'front', effect.key, 'frontend', front);
  else if (effect.type === 'read') assertReads(protocol, 'back', effect.key, backend);
}

export const FRONT_REVIEW: FrontTables = { protocol: REVIEW, rest: REST, work: WORK };

/**
 * The machine. `backend` and `remove` are for a machine at rest, `done` and `failed` for one whose effect is under way;
 * the caller keeps that order (an assertion says so).
 */
export function frontStep(state: FrontState, event: FrontEvent, tables: FrontTables = FRONT_REVIEW): FrontStep {
  if (isRest(state.phase)) {
    if (event.type === 'remove') return enter({ ...state, phase: 'releasing', after: 'gone' }, tables);
    assert(event.type === 'backend', `${event.type} at rest in ${state.phase}`);
    return backendChanged(state, state.phase, event.state, tables);
  }
  assert(event.type === 'done' || event.type === 'failed', `${event.type} during ${state.phase}`);
  const rule = tables.work[state.phase];
  if (event.type === 'done') return enter(rule.done(state, event.value), tables);
  const failure = { errno: event.errno, text: event.text };
  return enter(rule.failed ? rule.failed(state, failure) : fail(state, failure), tables);
}

function backendChanged(state: FrontState, phase: FrontRest, backend: number, tables: FrontTables): FrontStep {
  const seen = { ...state, backend };
  const move = tables.rest[phase][backend as XenbusState] as FrontMove | undefined;
  if (move === undefined) {
    // A number outside the enum, as Linux drivers treat it.
    if (phase === 'gone' || phase === 'closed' || phase === 'failed') return { state: seen };
    return enter(fail(seen, { errno: EINVAL, text: `saw state ${xenbusStateName(backend)} at frontend` }), tables);
  }
  if (move === STAY) return { state: seen };
  // A failure of ours is final: only a device made anew begins again, else an error would repeat for ever.
  if (phase === 'closed' && state.failure !== undefined) return { state: seen };
  return enter({ ...seen, phase: move }, tables);
}
