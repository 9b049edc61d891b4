// The `review` backend of one device as a pure machine: tables of phases, one effect at a time, nothing kept that is not
// in its state. At rest it is shown both states as the store has them (`look`) and REST and OWN say what they lead to,
// repeats included; at work it asks for one effect, and WORK says where success and failure lead. What was taken stands in
// `held` and is given back from there on every path; registers are answered from `claimRange` to `unclaimRange`, so also
// while it is Closing, until the frontend is at 6 (its removal of the device reads and writes them).
// Leaves the store, Xen and the device server to whoever performs the effects (services/vhost-frontend). That one looks
// again after each arrival at rest: events may have come while an effect was under way.
import { assert } from '../core/errors.js';
import { queueEventChannelKey, VIRTIO_MMIO_KEY, XenbusState } from '../layout/xenbus.js';
import { formatHex, MMIO_SIZE, parseBase, parseEventChannel } from './keys.js';

export type BackRest = 'found' | 'waiting' | 'connected' | 'closing' | 'closed' | 'gone';
export type BackWork =
  | 'readingSetup'
  | 'opening'
  | 'publishing'
  | 'offering'
  | 'announcing'
  | 'readingFrontend'
  | 'claiming'
  | 'binding'
  | 'wiring'
  | 'confirming'
  | 'reporting'
  | 'saying'
  | 'releasing'
  | 'finishing';
export type BackPhase = BackRest | BackWork;

/** What it holds and must give back; the number is the frontend's own. */
export interface BackHeld {
  readonly session?: true;
  readonly base?: number;
  readonly port?: number;
  readonly wired?: true;
}

export interface BackFailure {
  readonly errno: number;
  readonly text: string;
}

/** What the toolstack's keys asked for, as the performer read and checked it. */
export interface FrontendKeys {
  readonly base: string;
  readonly eventChannel: string;
  /** `queue-N/event-channel` of the queues that were offered one; '' where the frontend wrote none. */
  readonly queues?: readonly string[];
}

/** The guest's ports as the frontend wrote them. */
export interface FrontendPorts {
  readonly port: number;
  /** Index = queue; undefined where there is none. */
  readonly queuePorts: readonly (number | undefined)[];
}

/** Why a connection is made: from the beginning, or found half-way at 4 or 5 after the loss of an earlier backend. */
export type BackGoal = 'begin' | 'goOn' | 'adopt';

export interface BackState {
  readonly phase: BackPhase;
  readonly held: BackHeld;
  /** Own state as last read or written. */
  readonly back: number;
  readonly goal: BackGoal;
  /** Queues that are offered event channels; from the toolstack's keys. */
  readonly queues?: number;
  /** Read from the frontend, not claimed yet. */
  readonly offer?: FrontendPorts & { readonly base: number };
  readonly failure?: BackFailure;
  /** The device itself is impossible (type, server): it stays closed until the toolstack makes it anew. */
  readonly refused?: true;
  /** This process ends: connections close in order, and none begins. */
  readonly stopping?: true;
  /** Where `releasing` goes; default `finishing`. */
  readonly after?: 'gone' | 'readingSetup' | 'found';
}

export type BackEvent =
  /** States as just read; 0 for an unreadable one. */
  | { readonly type: 'look'; readonly front: number; readonly back: number; readonly online: boolean }
  | { readonly type: 'done'; readonly value?: number | FrontendKeys }
  | { readonly type: 'failed'; readonly errno: number; readonly text: string };

/** One thing to do; answered by `done` (with a value where noted) or `failed`. */
export type BackEffect =
  /** Read and check what the toolstack wrote; value: queues to offer event channels for, if any. */
  | { readonly type: 'readSetup' }
  /** A session with the device server; waits for it. Fails when the device went away meanwhile. */
  | { readonly type: 'openSession' }
  /** Write a key of the own directory. */
  | { readonly type: 'write'; readonly key: string; readonly value: string }
  /** value: FrontendKeys as text, those of `queues` queues. */
  | { readonly type: 'readFrontend'; readonly queues: number }
  /**
   * Answer registers at this range. Fails where it meets RAM or another range. `broken`: a driver was at work on
   * registers that are lost.
   */
  | { readonly type: 'claimRange'; readonly base: number; readonly size: number; readonly broken: boolean }
  /** All of these ports, or none. */
  | ({ readonly type: 'bindPort' } & FrontendPorts)
  /** Kicks and calls past this process. */
  | { readonly type: 'wire' }
  /**
   * In one transaction: unless the own state still reads `from`, nothing is written. value: the state that stands
   * afterwards (0: the directory is gone). Never fails for the machine.
   */
  | { readonly type: 'switchState'; readonly from: number; readonly to: XenbusState }
  /** Error key; the state is another step. */
  | { readonly type: 'error'; readonly errno: number; readonly text: string }
  /** These never fail for the machine: what is given back is gone. */
  | { readonly type: 'unwire' }
  | { readonly type: 'unclaimRange'; readonly base: number }
  /** And those of the queues. */
  | { readonly type: 'unbindPort'; readonly port: number }
  | { readonly type: 'closeSession' };

export interface BackStep {
  readonly state: BackState;
  /** Absent: at rest. */
  readonly effect?: BackEffect;
}

export const BACK_START: BackState = { phase: 'found', held: {}, back: XenbusState.Unknown, goal: 'begin' };

const S = XenbusState;
const EINVAL = 22;

type Move =
  | 'stay'
  | 'begin'
  | 'goOn'
  | 'adopt'
  | 'connect'
  | 'close'
  | 'finish'
  | 'follow'
  | 'restart'
  | 'vanish'
  | 'rest';
type Row = Readonly<Record<XenbusState, Move>>;
const row = (moves: Partial<Record<XenbusState, Move>>, otherwise: Move): Row =>
  Object.fromEntries(Object.values(XenbusState).map((s) => [s, moves[s] ?? otherwise])) as unknown as Row;

/** The directory was removed, or made anew. */
const TAKEN_AWAY = { [S.Unknown]: 'vanish', [S.Initialising]: 'restart' } as const;

/**
 * (resting phase, own state) first: what the toolstack, or an earlier life, left there. `follow` goes on with REST.
 * A state that is nobody's to write is left alone.
 */
export const OWN: Readonly<Record<BackRest, Row>> = {
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
export const REST: Readonly<Record<BackRest, Row>> = {
  // Own state 4 or 5 from an earlier life. A frontend at 3 has not probed, or is about to find its registers reset.
  found: row(
    { [S.Unknown]: 'finish', [S.Initialising]: 'finish', [S.Closed]: 'finish', [S.Initialised]: 'goOn' },
    'adopt',
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

interface WorkRule {
  /** Undefined: nothing to do here, as if done. */
  effect(state: BackState): BackEffect | undefined;
  done(state: BackState, value: number | FrontendKeys | undefined): BackState;
  /** Default: the connection is given up, the frontend told. */
  failed?(state: BackState, failure: BackFailure): BackState;
}

const to = (phase: BackPhase) => (state: BackState) => ({ ...state, phase });
const hold =
  (held: BackHeld, phase: BackPhase) =>
  (state: BackState): BackState => ({ ...state, phase, held: { ...state.held, ...held } });
const fail = (state: BackState, failure: BackFailure): BackState => ({ ...state, phase: 'reporting', failure });
const refuse = (state: BackState, failure: BackFailure): BackState => ({ ...fail(state, failure), refused: true });

/** A state was written, or somebody else's stands: either way the next look begins from what the store has. */
const switched =
  (phase: BackRest) =>
  (state: BackState, value: number | FrontendKeys | undefined): BackState => ({ ...state, phase, back: Number(value) });
const switchTo = (to: XenbusState) => (state: BackState) =>
  state.back === to ? undefined : ({ type: 'switchState', from: state.back, to } as const);

export const WORK: Readonly<Record<BackWork, WorkRule>> = {
  readingSetup: {
    effect: () => ({ type: 'readSetup' }),
    done: (state, value) => ({ ...state, phase: 'opening', queues: Number(value ?? 0) }),
    failed: refuse,
  },
  opening: {
    effect: ({ held }) => (held.session ? undefined : { type: 'openSession' }),
    done: (state) => hold({ session: true }, state.goal === 'begin' ? 'publishing' : 'readingFrontend')(state),
    failed: refuse,
  },
  publishing: {
    effect: () => ({ type: 'write', key: VIRTIO_MMIO_KEY.size, value: formatHex(MMIO_SIZE) }),
    done: to('offering'),
  },
  offering: {
    effect: ({ queues }) =>
      queues ? { type: 'write', key: VIRTIO_MMIO_KEY.featureQueueEvtchn, value: String(queues) } : undefined,
    done: to('announcing'),
  },
  announcing: { effect: switchTo(S.InitWait), done: keepBack('waiting') },
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
      const queuePorts = (keys.queues ?? []).map((text) => (text === '' ? undefined : (parseEventChannel(text) ?? 0)));
      const wrong = queuePorts.indexOf(0);
      if (wrong >= 0) {
        const text = `${queueEventChannelKey(wrong)} "${keys.queues![wrong]!.slice(0, 40)}" is not one`;
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
    effect: ({ offer, goal }) => ({
      type: 'claimRange',
      base: offer!.base,
      size: MMIO_SIZE,
      broken: goal !== 'begin',
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

function keepBack(phase: BackRest): WorkRule['done'] {
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
function enter(state: BackState): BackStep {
  let at = state;
  while (!isBackRest(at.phase)) {
    const rule = WORK[at.phase];
    const effect = rule.effect(at);
    if (effect !== undefined) return { state: at, effect };
    at = rule.done(at, undefined);
  }
  return { state: at };
}

/** What each move begins. */
const MOVES: Readonly<Record<Exclude<Move, 'stay' | 'follow' | 'rest'>, (state: BackState) => BackState>> = {
  begin: (state) => (state.refused || state.stopping ? state : { ...state, phase: 'readingSetup', goal: 'begin' }),
  // From Closing there is no way but on to Closed.
  goOn: (state) => ({ ...state, phase: 'readingSetup', goal: state.back === S.Closing ? 'adopt' : 'goOn' }),
  adopt: (state) => ({ ...state, phase: 'readingSetup', goal: 'adopt' }),
  connect: (state) => ({ ...state, phase: 'readingFrontend', goal: 'begin' }),
  close: to('saying'),
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

/** The resting phase of an own state that somebody else wrote. */
const RESTING: Partial<Record<number, BackRest>> = { [S.Closing]: 'closing', [S.Closed]: 'closed' };

/**
 * The machine. `look` is for a machine at rest, `done` and `failed` for one whose effect is under way; the caller keeps
 * that order (an assertion says so).
 */
export function backStep(state: BackState, event: BackEvent): BackStep {
  if (isBackRest(state.phase)) {
    assert(event.type === 'look', `${event.type} at rest in ${state.phase}`);
    return look(state, state.phase, event);
  }
  assert(event.type !== 'look', `look during ${state.phase}`);
  const rule = WORK[state.phase];
  if (event.type === 'done') return enter(rule.done(state, event.value));
  const failure = { errno: event.errno, text: event.text };
  return enter(rule.failed ? rule.failed(state, failure) : fail(state, failure));
}

function look(state: BackState, phase: BackRest, event: Extract<BackEvent, { type: 'look' }>): BackStep {
  const seen = { ...state, back: event.back };
  const own = OWN[phase][event.back as XenbusState] ?? 'stay';
  switch (own) {
    case 'stay':
      return { state: seen };
    case 'rest': {
      // The toolstack closed it: the row of that phase says what the frontend's state leads to.
      const closed = RESTING[event.back];
      assert(closed !== undefined, `rest in ${event.back}`);
      return front({ ...seen, phase: closed }, closed, event);
    }
    case 'follow':
      return state.stopping && STOPPING.has(phase) ? enter(MOVES.close(seen)) : front(seen, phase, event);
    default:
      return enter(MOVES[own](seen));
  }
}

function front(state: BackState, phase: BackRest, event: Extract<BackEvent, { type: 'look' }>): BackStep {
  const move = REST[phase][event.front as XenbusState];
  // A number outside the enum: no frontend that keeps the protocol writes it.
  if (move === undefined) {
    if (phase === 'closing' || phase === 'closed') return { state };
    return enter(fail(state, { errno: EINVAL, text: `frontend state ${event.front}` }));
  }
  if (move === 'stay' || (move === 'begin' && !event.online)) return { state };
  assert(move !== 'follow' && move !== 'rest', `${move} by the frontend`);
  return enter(MOVES[move](state));
}
