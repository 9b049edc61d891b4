// The frontend of the patch "virtio-mmio: add xenbus probing" as it was posted (RFC of 29 April 2026), as a pure machine: its
// calls in its order, and its mistakes with them: keys read without a look at the backend's state, error paths that free twice, no
// way back after a close, a removal that leaves the device. Its defects are what it is for; frontend.ts is what the review came to.
// Leaves the effects to those who perform them: explore/front-rfc1.ts.
import { ERRNO } from '../core/errno.js';
import { assert } from '../core/errors.js';
import { VIRTIO_MMIO_KEY, XenbusState } from '../layout/xenbus.js';
import { type EdgeRule, type KeyRule, type Protocol, REVIEW_EDGES, REVIEW_KEYS } from './protocol.js';

const S = XenbusState;

/** Its keys: `base` and `size` stand in the backend's directory, written by the toolstack (or, `size`, by the backend). */
export const RFC1_KEYS: readonly KeyRule[] = REVIEW_KEYS.filter(
  ({ side, key }) => !(side === 'front' && key === VIRTIO_MMIO_KEY.base) && key !== VIRTIO_MMIO_KEY.size,
).concat(
  {
    ...keyOf(VIRTIO_MMIO_KEY.base, ['toolstack']),
    form: '0x and hexadecimal digits',
    meaning: 'address of the registers',
  },
  {
    ...keyOf(VIRTIO_MMIO_KEY.size, ['toolstack', 'backend']),
    form: 'as memparse reads it',
    meaning: 'bytes of the registers',
  },
);

function keyOf(key: string, writers: KeyRule['writers']): Omit<KeyRule, 'form' | 'meaning'> {
  return { key, side: 'back', writers, publishedAt: S.InitWait };
}

/** Its moves: the frontend goes to 3 and closes whatever the backend reads, and does not begin anew once it has closed. */
export const RFC1_EDGES: readonly EdgeRule[] = REVIEW_EDGES.filter(
  ({ by, to }) => !(by === 'frontend' && to === S.Initialising),
).map((edge) => {
  if (edge.by !== 'frontend') return edge;
  const { otherEnd: _any, ...rest } = edge;
  return rest;
});
export const RFC1: Protocol = { name: 'rfc1', keys: RFC1_KEYS, edges: RFC1_EDGES };

export type Rfc1Rest = 'unbound' | 'bound' | 'refused' | 'removed';
export type Rfc1Work =
  | 'readingBase'
  | 'readingSize'
  | 'allocating'
  | 'binding'
  | 'publishing'
  | 'announcing'
  | 'registering'
  | 'confirming'
  | 'unregistering'
  | 'closing'
  | 'reporting'
  | 'unbindingIrq'
  | 'closingPort';

/** struct virtio_mmio_xen_info and what it names; what is here when the driver is gone was never given back. */
export interface Rfc1Held {
  readonly base?: number;
  readonly size?: number;
  readonly port?: number;
  readonly irq?: true;
  /** The platform device; `freed`: unregistered, and the pointer kept. */
  readonly device?: 'live' | 'freed';
}

export interface Rfc1State {
  readonly phase: Rfc1Rest | Rfc1Work;
  readonly held: Rfc1Held;
  readonly failure?: { readonly errno: number; readonly text: string };
  /** Where the error path goes on. */
  readonly undo?: 'irq' | 'port' | 'info';
}

export type Rfc1Event =
  | { readonly type: 'probe' }
  /** `own`: the frontend's state as the core has it in its cache. */
  | { readonly type: 'backend'; readonly state: number; readonly own: number }
  | { readonly type: 'remove' }
  | { readonly type: 'done'; readonly value?: string | number }
  | { readonly type: 'failed'; readonly errno: number; readonly text: string };

export type Rfc1Effect =
  | { readonly type: 'readOther'; readonly key: string }
  | { readonly type: 'allocPort' }
  | { readonly type: 'bindIrq'; readonly port: number }
  /** In a transaction of its own, repeated on EAGAIN. */
  | { readonly type: 'writeInTransaction'; readonly key: string; readonly value: string }
  | { readonly type: 'switchState'; readonly state: XenbusState }
  /** Its outcome is not looked at. */
  | { readonly type: 'register'; readonly base: number; readonly size: number; readonly port: number }
  /** `freed`: of a device that was unregistered before. */
  | { readonly type: 'unregister'; readonly freed: boolean }
  /** unbind_from_irqhandler for a handler that was never requested: warns, and closes the port. */
  | { readonly type: 'unbindIrq'; readonly port: number }
  | { readonly type: 'closePort'; readonly port: number }
  | { readonly type: 'fatal'; readonly errno: number; readonly text: string };

export interface Rfc1Step {
  readonly state: Rfc1State;
  readonly effect?: Rfc1Effect;
}

export const RFC1_START: Rfc1State = { phase: 'unbound', held: {} };

/** Which call the error path of probe begins with, by the phase that failed; absent: without a fatal report. */
const FAILED: Partial<Record<Rfc1Work, { readonly undo: 'irq' | 'port' | 'info'; readonly report: boolean }>> = {
  readingBase: { undo: 'info', report: true },
  readingSize: { undo: 'info', report: false },
  allocating: { undo: 'info', report: true },
  binding: { undo: 'port', report: true },
  publishing: { undo: 'irq', report: true },
};

/** Literal "0x" and hexadecimal digits; anything else is -ERANGE. */
function scanBase(text: string): number | undefined {
  const found = /^0x([0-9a-fA-F]+)/.exec(text);
  return found === null ? undefined : Number.parseInt(found[1]!, 16);
}

const SUFFIX: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
/** memparse: what does not parse is 0. */
export function memparse(text: string): number {
  const found = /^(0x[0-9a-fA-F]+|[0-9]+)([KMGT]?)/i.exec(text);
  return found === null ? 0 : Number(found[1]) * (SUFFIX[found[2]!.toUpperCase()] ?? 1);
}

function effectOf(state: Rfc1State): Rfc1Effect | undefined {
  const { held } = state;
  switch (state.phase) {
    case 'readingBase':
      return { type: 'readOther', key: VIRTIO_MMIO_KEY.base };
    case 'readingSize':
      return { type: 'readOther', key: VIRTIO_MMIO_KEY.size };
    case 'allocating':
      return { type: 'allocPort' };
    case 'binding':
      return { type: 'bindIrq', port: held.port! };
    case 'publishing':
      return { type: 'writeInTransaction', key: VIRTIO_MMIO_KEY.eventChannel, value: String(held.port!) };
    case 'announcing':
      return { type: 'switchState', state: S.Initialised };
    case 'registering':
      return { type: 'register', base: held.base!, size: held.size!, port: held.port! };
    case 'confirming':
      return { type: 'switchState', state: S.Connected };
    case 'unregistering':
      return { type: 'unregister', freed: held.device === 'freed' };
    case 'closing':
      return { type: 'switchState', state: S.Closed };
    case 'reporting':
      return { type: 'fatal', errno: state.failure!.errno, text: state.failure!.text };
    case 'unbindingIrq':
      return { type: 'unbindIrq', port: held.port! };
    case 'closingPort':
      return { type: 'closePort', port: held.port! };
    default:
      return undefined;
  }
}

/** After success. */
function done(state: Rfc1State, value: string | number | undefined): Rfc1State {
  const { held } = state;
  switch (state.phase) {
    case 'readingBase': {
      const base = scanBase(String(value));
      // The error itself is lost: probe answers -EINVAL.
      if (base === undefined) return failed(state, { errno: ERRNO.EINVAL, text: 'reading base' });
      return { ...state, phase: 'readingSize', held: { base } };
    }
    case 'readingSize':
      return { ...state, phase: 'allocating', held: { ...held, size: memparse(String(value)) } };
    case 'allocating':
      return { ...state, phase: 'binding', held: { ...held, port: Number(value) } };
    case 'binding':
      return { ...state, phase: 'publishing', held: { ...held, irq: true } };
    case 'publishing':
      return { ...state, phase: 'announcing' };
    case 'announcing':
    case 'confirming':
    case 'closing':
      return { ...state, phase: 'bound' };
    case 'registering':
      return { ...state, phase: 'confirming', held: { ...held, device: 'live' } };
    // The pointer stays.
    case 'unregistering':
      return { ...state, phase: 'closing', held: { ...held, device: 'freed' } };
    case 'reporting':
      return undo(state);
    // What it holds is gone with the first of the two.
    case 'unbindingIrq':
      return { ...state, phase: 'closingPort', undo: 'info' };
    case 'closingPort':
      return { ...state, phase: 'refused', held: {} };
    default:
      throw new Error(`invariant broken: done in ${state.phase}`);
  }
}

function failed(state: Rfc1State, failure: NonNullable<Rfc1State['failure']>): Rfc1State {
  // platform_device_register's outcome is not looked at; states never fail for the driver; nor does giving back.
  if (state.phase === 'registering') return { ...state, phase: 'confirming' };
  const rule = FAILED[state.phase as Rfc1Work];
  if (rule === undefined) return done(state, undefined);
  const next = { ...state, failure, undo: rule.undo };
  return rule.report ? { ...next, phase: 'reporting' } : undo(next);
}

function undo(state: Rfc1State): Rfc1State {
  if (state.phase === 'reporting' && state.undo === undefined) return { ...state, phase: 'bound' };
  if (state.undo === 'irq') return { ...state, phase: 'unbindingIrq' };
  if (state.undo === 'port') return { ...state, phase: 'closingPort' };
  return { ...state, phase: 'refused', held: {} };
}

/** virtio_mmio_xen_backend_changed. */
function backendChanged(state: Rfc1State, backend: number, own: number): Rfc1State {
  const unregistering: Rfc1State = { ...state, phase: state.held.device === undefined ? 'closing' : 'unregistering' };
  switch (backend) {
    case S.Unknown:
    case S.Initialising:
    case S.InitWait:
    case S.Initialised:
    case S.Reconfiguring:
    case S.Reconfigured:
      return state;
    case S.Connected:
      // "state %d on connect": a warning, and nothing else.
      return own === S.Initialised ? { ...state, phase: 'registering' } : state;
    case S.Closed:
      return own === S.Closed ? state : unregistering;
    case S.Closing:
      return unregistering;
    default: {
      const { undo: _none, ...rest } = state;
      return {
        ...rest,
        phase: 'reporting',
        failure: { errno: ERRNO.EINVAL, text: `saw state ${backend} at frontend` },
      };
    }
  }
}

const RESTS: ReadonlySet<string> = new Set<Rfc1Rest>(['unbound', 'bound', 'refused', 'removed']);

/** The machine; `done` and `failed` answer an effect, the others come at rest (an assertion says so). */
export function rfc1Step(state: Rfc1State, event: Rfc1Event): Rfc1Step {
  const atRest = RESTS.has(state.phase);
  assert(atRest === (event.type !== 'done' && event.type !== 'failed'), `${event.type} in ${state.phase}`);
  const next = moved(state, event);
  const effect = effectOf(next);
  return effect === undefined ? { state: next } : { state: next, effect };
}

function moved(state: Rfc1State, event: Rfc1Event): Rfc1State {
  switch (event.type) {
    case 'probe':
      return { phase: 'readingBase', held: {} };
    case 'backend':
      return backendChanged(state, event.state, event.own);
    // kfree(info): whatever it named stays taken.
    case 'remove':
      return { ...state, phase: 'removed' };
    case 'done':
      return done(state, event.value);
    case 'failed':
      return failed(state, { errno: event.errno, text: event.text });
  }
}
