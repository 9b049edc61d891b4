// The `review` backend of one device as a pure machine: tables of phases, one effect at a time, nothing kept that is not
// in its state. At rest it is shown both states as the store has them (`look`) and REST and OWN say what they lead to,
// repeats included; at work it asks for one effect, and WORK says where success and failure lead. What was taken stands in
// `held` and is given back from there on every path; registers are answered from `claimRange` to `unclaimRange`, so also
// while it is Closing, until the frontend is at 6 (its removal of the device reads and writes them). Each effect that writes a
// state or a key, or reads keys, is held to the protocol's tables before it leaves backStep (rules.ts).
// Leaves the store, Xen and the device server to services/vhost-frontend/device.ts, which performs the effects and looks again
// after each arrival at rest: events may have come while an effect was under way.
import { ERRNO } from '../core/errno.js';
import { assert } from '../core/errors.js';
import { queueEventChannelKey, VIRTIO_MMIO_KEY, XenbusState } from '../layout/xenbus.js';
import type {
  BackEffect,
  BackEvent,
  BackFailure,
  BackHeld,
  BackMove,
  BackPhase,
  BackRest,
  BackRow,
  BackState,
  BackStep,
  BackTables,
  BackWorkRule,
  FrontendKeys,
} from './backend-types.js';
import { formatHex, MMIO_SIZE, parseBase, parseEventChannel } from './keys.js';
import { type Protocol, REVIEW } from './protocol.js';
import { assertMove, assertReads, assertWrites, keyRule } from './rules.js';

export type * from './backend-types.js';

export const BACK_START: BackState = {
  phase: 'found',
  held: {},
  back: XenbusState.Unknown,
  front: XenbusState.Unknown,
  goal: 'begin',
};

const S = XenbusState;
const { EINVAL, ENODEV } = ERRNO;

const row = (moves: Partial<Record<XenbusState, BackMove>>, otherwise: BackMove): BackRow =>
  Object.fromEntries(Object.values(XenbusState).map((s) => [s, moves[s] ?? otherwise])) as unknown as BackRow;

/** The directory was removed, or made anew. */
const TAKEN_AWAY = { [S.Unknown]: 'vanish', [S.Initialising]: 'restart' } as const;

/**
 * (resting phase, own state) first: what the toolstack, or an earlier life, left there. `follow` goes on with REST.
 * A state that neither toolstack nor backend writes is left alone.
 */
export const OWN: BackTables['own'] = {
  found: row(
    {
      [S.Unknown]: 'vanish',
      [S.Initialising]: 'begin',
      [S.InitWait]: 'begin',
      [S.Connected]: 'follow',
      [S.Closing]: 'follow',
      [S.Closed]: 'rest',
    },
    'stay',
  ),
  waiting: row({ ...TAKEN_AWAY, [S.InitWait]: 'follow', [S.Closing]: 'rest', [S.Closed]: 'finish' }, 'stay'),
  connected: row({ ...TAKEN_AWAY, [S.Connected]: 'follow', [S.Closing]: 'rest', [S.Closed]: 'finish' }, 'stay'),
  closing: row({ ...TAKEN_AWAY, [S.Closing]: 'follow', [S.Closed]: 'finish' }, 'stay'),
  closed: row({ ...TAKEN_AWAY, [S.Closing]: 'rest', [S.Closed]: 'follow' }, 'stay'),
  gone: row({}, 'stay'),
};

/** (resting phase, frontend state): what the frontend leads to. */
export const REST: BackTables['rest'] = {
  // Own state 4 or 5 from an earlier life. At 3, 4 and 5 the frontend's keys still stand; one at 3 may be anywhere in its
  // driver's probe, or past it, so that it too can only connect anew. In a state that no frontend writes they were not
  // published: there is nothing to adopt.
  found: row(
    {
      [S.Unknown]: 'sweep',
      [S.Initialising]: 'sweep',
      [S.Closed]: 'sweep',
      [S.Initialised]: 'adopt',
      [S.Connected]: 'adopt',
      [S.Closing]: 'adopt',
    },
    'reject',
  ),
  // 2. A frontend at 4 or 6 sees our 2 and begins anew by itself.
  waiting: row({ [S.Unknown]: 'finish', [S.Initialised]: 'connect', [S.Closing]: 'close' }, 'stay'),
  // 4.
  connected: row(
    {
      [S.Initialised]: 'stay',
      [S.Connected]: 'stay',
      [S.Unknown]: 'finish',
      [S.Initialising]: 'finish',
      [S.Closed]: 'finish',
    },
    'close',
  ),
  // 5: registers are answered until the frontend has let go.
  closing: row({ [S.Unknown]: 'finish', [S.Initialising]: 'finish', [S.Closed]: 'finish' }, 'stay'),
  // 6: a frontend back at 1 wants another connection.
  closed: row({ [S.Initialising]: 'begin' }, 'stay'),
  gone: row({}, 'stay'),
};

const to = (phase: BackPhase) => (state: BackState) => ({ ...state, phase });
const hold =
  (held: BackHeld, phase: BackPhase) =>
  (state: BackState): BackState => ({ ...state, phase, held: { ...state.held, ...held } });
const fail = (state: BackState, failure: BackFailure): BackState => ({ ...state, phase: 'reporting', failure });
type Failed = NonNullable<BackWorkRule['failed']>;
/** ENODEV: the directory was removed meanwhile, or the device is not wanted any more. What stands there now is looked at anew. */
const unlessGone =
  (otherwise: Failed): Failed =>
  (state, failure) =>
    failure.errno === ENODEV ? { ...state, phase: 'releasing', after: 'found' } : otherwise(state, failure);
const refuse = unlessGone((state, failure) => ({ ...fail(state, failure), refused: true }));

/** A state was written, or the toolstack's stands: either way the next look begins from what the store has. */
const switched =
  (phase: BackRest) =>
  (state: BackState, value: number | FrontendKeys | undefined): BackState => ({ ...state, phase, back: Number(value) });
const switchTo = (to: XenbusState) => (state: BackState) =>
  state.back === to ? undefined : ({ type: 'switchState', from: state.back, to } as const);

const AFTER_OPENING = { begin: 'publishing', adopt: 'readingFrontend', sweep: 'releasing' } as const;

export const WORK: BackTables['work'] = {
  readingSetup: {
    effect: () => ({ type: 'readSetup' }),
    done: (state, value) => ({ ...state, phase: 'opening', queues: Number(value ?? 0) }),
    failed: refuse,
  },
  opening: {
    effect: ({ held, goal }) => (held.session ? undefined : { type: 'openSession', adopting: goal !== 'begin' }),
    done: (state) => hold({ session: true }, AFTER_OPENING[state.goal])(state),
    failed: refuse,
  },
  // Found at 2: an earlier life has published its keys, and the frontend may be reading them.
  publishing: {
    effect: ({ back }) =>
      back === S.InitWait ? undefined : { type: 'write', key: VIRTIO_MMIO_KEY.size, value: formatHex(MMIO_SIZE) },
    done: to('offering'),
    failed: unlessGone(fail),
  },
  offering: {
    effect: ({ back, queues }) =>
      queues && back !== S.InitWait
        ? { type: 'write', key: VIRTIO_MMIO_KEY.featureQueueEvtchn, value: String(queues) }
        : undefined,
    done: to('announcing'),
    failed: unlessGone(fail),
  },
  // A toolstack that finds a closed device has only to write `online`: from then on it must stay closed. A directory that was made
  // anew reads 1 again: only what was published in it tells that it is still the same.
  announcing: {
    effect: (state) => {
      const effect = switchTo(S.InitWait)(state);
      if (effect === undefined) return undefined;
      return state.back === S.Closed ? { ...effect, ifOnline: true } : { ...effect, ifKey: VIRTIO_MMIO_KEY.size };
    },
    done: keepBack('waiting'),
  },
  readingFrontend: {
    effect: ({ queues }) => ({ type: 'readFrontend', queues: queues ?? 0 }),
    done: (state, value) => {
      const keys = value as FrontendKeys;
      const base = parseBase(keys.base, MMIO_SIZE);
      const port = parseEventChannel(keys.eventChannel);
      if (base === undefined)
        return fail(state, { errno: EINVAL, text: `base "${keys.base.slice(0, 40)}" is not one` });
      if (port === undefined)
        return fail(state, { errno: EINVAL, text: `event-channel "${keys.eventChannel.slice(0, 40)}" is not one` });
      const queues = keys.queues ?? [];
      const queuePorts = queues.map((text) => (text === '' ? undefined : parseEventChannel(text)));
      const wrong = queues.findIndex((text, queue) => text !== '' && queuePorts[queue] === undefined);
      if (wrong >= 0) {
        const text = `${queueEventChannelKey(wrong)} "${queues[wrong]!.slice(0, 40)}" is not one`;
        return fail(state, { errno: EINVAL, text });
      }
      return { ...state, phase: 'binding', offer: { base, port, queuePorts } };
    },
  },
  // The port first: once the range is claimed nothing may keep its registers from being complete.
  binding: {
    effect: ({ offer }) => ({ type: 'bindPort', port: offer!.port, queuePorts: offer!.queuePorts }),
    done: (state) => hold({ port: state.offer!.port }, 'claiming')(state),
  },
  claiming: {
    effect: ({ offer, goal, front }) => ({
      type: 'claimRange',
      base: offer!.base,
      size: MMIO_SIZE,
      broken: goal !== 'begin',
      probing: goal !== 'begin' && front === S.Initialised,
    }),
    done: (state) => hold({ base: state.offer!.base }, 'wiring')(state),
  },
  wiring: {
    effect: () => ({ type: 'wire' }),
    done: (state) => hold({ wired: true }, state.goal === 'adopt' ? 'saying' : 'confirming')(state),
  },
  confirming: { effect: switchTo(S.Connected), done: keepBack('connected') },
  reporting: {
    effect: ({ failure }) => ({ type: 'error', errno: failure!.errno, text: failure!.text }),
    done: to('saying'),
    failed: to('saying'),
  },
  // Closed already, and what the frontend asked for anew failed: there is no way back to Closing.
  saying: {
    effect: (state) => (state.back === S.Closed ? undefined : switchTo(S.Closing)(state)),
    done: keepBack('closing'),
  },
  // Kicks before registers, registers before the port: nothing is answered half. The session last: it may still write
  // guest memory until it is closed, and unwire stops its rings.
  releasing: {
    effect: ({ held }) => {
      if (held.wired) return { type: 'unwire' };
      if (held.base !== undefined) return { type: 'unclaimRange', base: held.base };
      if (held.port !== undefined) return { type: 'unbindPort', port: held.port };
      if (held.session) return { type: 'closeSession' };
      return undefined;
    },
    done: released,
    failed: released,
  },
  finishing: { effect: switchTo(S.Closed), done: keepBack('closed') },
};

function keepBack(phase: BackRest): BackWorkRule['done'] {
  return (state, value) => (value === undefined ? { ...state, phase } : switched(phase)(state, value));
}

function released(state: BackState): BackState {
  const { wired, base, port, session } = state.held;
  if (wired) return { ...state, held: strip({ base, port, session }) };
  if (base !== undefined) return { ...state, held: strip({ port, session }) };
  if (port !== undefined) return { ...state, held: strip({ session }) };
  if (session) return { ...state, held: {} };
  const { after, offer: _offer, ...rest } = state;
  return { ...rest, goal: 'begin', phase: after ?? 'finishing' };
}

function strip(held: { [K in keyof BackHeld]: BackHeld[K] | undefined }): BackHeld {
  return Object.fromEntries(Object.entries(held).filter(([, value]) => value !== undefined));
}

export function isBackRest(phase: BackPhase): phase is BackRest {
  return phase in REST;
}

/** Enters a phase: what has nothing to do counts as done. */
function enter(state: BackState, tables: BackTables): BackStep {
  let at = state;
  while (!isBackRest(at.phase)) {
    const rule = tables.work[at.phase];
    const effect = rule.effect(at);
    if (effect !== undefined) {
      checkEffect(at, effect, tables.protocol);
      return { state: at, effect };
    }
    at = rule.done(at, undefined);
  }
  return { state: at };
}

/** The keys of the frontend that `readFrontend` reads for a device with so many queues offered. */
export function frontendKeysRead(queues: number): string[] {
  const ofQueues = Array.from({ length: queues }, (_, queue) => queueEventChannelKey(queue));
  return [VIRTIO_MMIO_KEY.base, VIRTIO_MMIO_KEY.eventChannel, ...ofQueues];
}

/** Nothing leaves the machine that the protocol does not allow this end. */
function checkEffect({ back, front }: BackState, effect: BackEffect, protocol: Protocol): void {
  if (effect.type === 'switchState')
    assertMove(protocol, { side: 'back', from: effect.from, to: effect.to, by: 'backend', otherEnd: front });
  else if (effect.type === 'write') assertWrites(protocol, 'back', effect.key, 'backend', back);
  else if (effect.type === 'readFrontend')
    for (const key of frontendKeysRead(effect.queues)) {
      // The patch as posted has `base` in the backend's own directory.
      const side = keyRule(protocol, 'front', key) === undefined ? 'back' : 'front';
      assertReads(protocol, side, key, side === 'front' ? front : back);
    }
}

export const BACK_REVIEW: BackTables = { protocol: REVIEW, own: OWN, rest: REST, work: WORK };

/** What each move begins. */
const MOVES: Readonly<Record<Exclude<BackMove, 'stay' | 'follow' | 'rest'>, (state: BackState) => BackState>> = {
  begin: (state) => (state.refused || state.stopping ? state : { ...state, phase: 'readingSetup', goal: 'begin' }),
  adopt: (state) => ({ ...state, phase: 'readingSetup', goal: 'adopt' }),
  sweep: (state) => ({ ...state, phase: 'readingSetup', goal: 'sweep' }),
  connect: (state) => ({ ...state, phase: 'readingFrontend', goal: 'begin' }),
  close: to('saying'),
  reject: (state) => fail(state, { errno: EINVAL, text: `frontend state ${state.front}` }),
  finish: to('releasing'),
  restart: ({ refused: _refused, failure: _failure, ...state }) => ({
    ...state,
    phase: 'releasing',
    after: state.stopping ? 'found' : 'readingSetup',
  }),
  vanish: (state) => ({ ...state, phase: 'releasing', after: 'gone' }),
};

/** Phases that a backend does not rest in when it stops. */
const STOPPING: ReadonlySet<BackRest> = new Set(['waiting', 'connected']);

/** States of a frontend whose driver has the device: another connection is what helps it where its own reset does not come. */
const IN_USE: ReadonlySet<number> = new Set([S.Initialised, S.Connected]);

/** The resting phase of an own state that the toolstack wrote. */
const RESTING: Partial<Record<number, BackRest>> = { [S.Closing]: 'closing', [S.Closed]: 'closed' };

/**
 * The machine. `look` is for a machine at rest, `done` and `failed` for one whose effect is under way; the caller keeps
 * that order (an assertion says so).
 */
export function backStep(state: BackState, event: BackEvent, tables: BackTables = BACK_REVIEW): BackStep {
  if (isBackRest(state.phase)) {
    assert(event.type === 'look', `${event.type} at rest in ${state.phase}`);
    return look(state, state.phase, event, tables);
  }
  assert(event.type !== 'look', `look during ${state.phase}`);
  const rule = tables.work[state.phase];
  if (event.type === 'done') return enter(rule.done(state, event.value), tables);
  const failure = { errno: event.errno, text: event.text };
  return enter(rule.failed ? rule.failed(state, failure) : fail(state, failure), tables);
}

type Look = Extract<BackEvent, { type: 'look' }>;

function look(state: BackState, phase: BackRest, event: Look, tables: BackTables): BackStep {
  const seen = { ...state, back: event.back, front: event.front };
  const own = tables.own[phase][event.back as XenbusState] ?? 'stay';
  switch (own) {
    case 'stay':
      return { state: seen };
    case 'begin':
      // The backend begins only for a frontend whose directory is there, and while the toolstack wants the device (online).
      return event.online && event.front !== S.Unknown ? enter(MOVES.begin(seen), tables) : { state: seen };
    case 'rest': {
      // The toolstack closed it: the row of that phase says what the frontend's state leads to.
      const closed = RESTING[event.back];
      assert(closed !== undefined, `rest in ${event.back}`);
      return followFront({ ...seen, phase: closed }, closed, event, tables);
    }
    case 'follow':
      return (state.stopping && STOPPING.has(phase)) ||
        (event.spoilt && phase === 'connected' && IN_USE.has(event.front))
        ? enter(MOVES.close(seen), tables)
        : followFront(seen, phase, event, tables);
    default:
      return enter(MOVES[own](seen), tables);
  }
}

function followFront(state: BackState, phase: BackRest, event: Look, tables: BackTables): BackStep {
  const move = tables.rest[phase][event.front as XenbusState] as BackMove | undefined;
  // A number outside the enum: no frontend that keeps the protocol writes it.
  if (move === undefined)
    return phase === 'closing' || phase === 'closed' ? { state } : enter(MOVES.reject(state), tables);
  if (move === 'stay' || (move === 'begin' && !event.online)) return { state };
  assert(move !== 'follow' && move !== 'rest', `${move} by the frontend`);
  return enter(MOVES[move](state), tables);
}
