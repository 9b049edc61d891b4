// A backend as xen-vhost-frontend (vireshk/xen-vhost-frontend 66ee282) behaves towards the store, as a pure machine: one try for
// each directory, each state read once and compared, no close that it takes part in and no reconnect. Leaves the effects to those
// who perform them: services/vhost-frontend/xvf-device.ts, explore/back-xvf.ts. backend.ts is the backend that keeps the protocol.
//
// Two trees of it. `arm` is 66ee282 itself, which has run with guests on Arm alone: a device tree tells those of the device and of
// its interrupt, they do not look at xenbus, and 2 is the only state that the program ever writes. No guest on x86 can use it: the
// patch as posted waits for 4, and its interrupt is an event channel. `x86` is the same with the least that the patch needs: once
// the frontend reads 3, its `event-channel` is bound, its registers are answered, and 4 is written. The tree that the patch was
// tried with (QubesOS/xen-vhost-frontend) must do that much; what else it does is not known here.
import { assert } from '../core/errors.js';
import { VIRTIO_MMIO_KEY, XENBUS_KEY, XenbusState } from '../layout/xenbus.js';
import { parseEventChannel, parseState } from './keys.js';

export type XvfTree = 'arm' | 'x86';

export type XvfPhase =
  | 'found'
  | 'readingBack'
  | 'publishing'
  | 'readingFrontend'
  | 'readingFront'
  | 'readingBackAgain'
  | 'readingBase'
  | 'opening'
  /** `x86`, at rest: for the frontend's 3. */
  | 'waiting'
  | 'readingChannel'
  | 'binding'
  | 'claiming'
  | 'wiring'
  | 'connecting'
  | 'serving'
  | 'gaveUp'
  | 'unwiring'
  | 'unclaiming'
  | 'unbinding'
  | 'closing'
  | 'gone';

export interface XvfHeld {
  readonly session?: true;
  readonly base?: number;
  readonly port?: number;
  readonly wired?: true;
}

export interface XvfState {
  readonly phase: XvfPhase;
  readonly held: XvfHeld;
  /** Read from the store, not claimed or bound yet. */
  readonly offer?: { readonly base?: number; readonly port?: number };
  readonly failure?: { readonly errno: number; readonly text: string };
}

export type XvfEffect =
  | { readonly type: 'readOwn' | 'readFront'; readonly key: string }
  | { readonly type: 'writeState'; readonly state: XenbusState }
  | { readonly type: 'openSession' | 'closeSession' | 'wire' | 'unwire' }
  | { readonly type: 'claimRange' | 'unclaimRange'; readonly base: number }
  | { readonly type: 'bindPort' | 'unbindPort'; readonly port: number };

export type XvfEvent =
  /** The directory is there, or is not; the frontend's state as just read, 0 for an unreadable one. */
  | { readonly type: 'look'; readonly there: boolean; readonly front: number }
  /** `value`: what was read. */
  | { readonly type: 'done'; readonly value?: string }
  | { readonly type: 'failed'; readonly errno: number };

export const XVF_START: XvfState = { phase: 'found', held: {} };
const S = XenbusState;
const EINVAL = 22;

const EFFECTS: Readonly<Partial<Record<XvfPhase, (state: XvfState) => XvfEffect>>> = {
  readingBack: () => ({ type: 'readOwn', key: XENBUS_KEY.state }),
  publishing: () => ({ type: 'writeState', state: S.InitWait }),
  readingFrontend: () => ({ type: 'readOwn', key: XENBUS_KEY.frontend }),
  readingFront: () => ({ type: 'readFront', key: XENBUS_KEY.state }),
  readingBackAgain: () => ({ type: 'readOwn', key: XENBUS_KEY.state }),
  readingBase: () => ({ type: 'readOwn', key: VIRTIO_MMIO_KEY.base }),
  opening: () => ({ type: 'openSession' }),
  readingChannel: () => ({ type: 'readFront', key: VIRTIO_MMIO_KEY.eventChannel }),
  binding: ({ offer }) => ({ type: 'bindPort', port: offer!.port! }),
  claiming: ({ offer }) => ({ type: 'claimRange', base: offer!.base! }),
  wiring: () => ({ type: 'wire' }),
  connecting: () => ({ type: 'writeState', state: S.Connected }),
  unwiring: () => ({ type: 'unwire' }),
  unclaiming: ({ held }) => ({ type: 'unclaimRange', base: held.base! }),
  unbinding: ({ held }) => ({ type: 'unbindPort', port: held.port! }),
  closing: () => ({ type: 'closeSession' }),
};

/** The phase after each, and the state that it insists on. */
const NEXT: Readonly<Partial<Record<XvfPhase, { readonly to: XvfPhase; readonly reads?: XenbusState }>>> = {
  readingBack: { to: 'publishing', reads: S.Initialising },
  publishing: { to: 'readingFrontend' },
  readingFrontend: { to: 'readingFront' },
  readingFront: { to: 'readingBackAgain', reads: S.Initialising },
  readingBackAgain: { to: 'readingBase', reads: S.InitWait },
  readingBase: { to: 'opening' },
  readingChannel: { to: 'binding' },
  binding: { to: 'claiming' },
  wiring: { to: 'connecting' },
  connecting: { to: 'serving' },
};

/** What each phase takes, once it is done; a giving back takes it out again, whatever became of it. */
const TAKES: Readonly<Partial<Record<XvfPhase, (state: XvfState) => XvfHeld>>> = {
  opening: () => ({ session: true }),
  binding: ({ offer }) => ({ port: offer!.port! }),
  claiming: ({ offer }) => ({ base: offer!.base! }),
  wiring: () => ({ wired: true }),
};
const GIVES: Readonly<Partial<Record<XvfPhase, keyof XvfHeld>>> = {
  unwiring: 'wired',
  unclaiming: 'base',
  unbinding: 'port',
  closing: 'session',
};

/** The machine; `look` at rest, the others answer an effect (an assertion says so). */
export function xvfStep(
  state: XvfState,
  event: XvfEvent,
  tree: XvfTree,
): { readonly state: XvfState; readonly effect?: XvfEffect } {
  assert(xvfAtRest(state) === (event.type === 'look'), `${event.type} in ${state.phase}`);
  const next = event.type === 'look' ? looked(state, event) : answered(state, event, tree);
  const effect = EFFECTS[next.phase]?.(next);
  return effect === undefined ? { state: next } : { state: next, effect };
}

export function xvfAtRest({ phase }: XvfState): boolean {
  return EFFECTS[phase] === undefined;
}

function looked(state: XvfState, { there, front }: Extract<XvfEvent, { type: 'look' }>): XvfState {
  if (!there) return release(state);
  if (state.phase === 'found') return { ...state, phase: 'readingBack' };
  // Any other state of the frontend, and whatever happens later, is not looked at.
  return state.phase === 'waiting' && front === S.Initialised ? { ...state, phase: 'readingChannel' } : state;
}

function answered(state: XvfState, event: Exclude<XvfEvent, { type: 'look' }>, tree: XvfTree): XvfState {
  const { phase } = state;
  const given = GIVES[phase];
  if (given !== undefined) {
    const { [given]: _given, ...held } = state.held;
    return release({ ...state, held });
  }
  if (event.type === 'failed') return giveUp(state, event.errno, `${phase} failed`);
  const { value } = event;
  const held = { ...state.held, ...TAKES[phase]?.(state) };
  switch (phase) {
    case 'readingBase': {
      // As its read_int: decimal, or 0x; the address has to fit 32 bits.
      const base = /^(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$/.test(value ?? '') ? Number(value) : Number.NaN;
      if (!(base < 2 ** 32)) return giveUp(state, EINVAL, `base ${value}`);
      return { ...state, phase: 'opening', offer: { base } };
    }
    case 'readingChannel': {
      const port = parseEventChannel(value ?? '');
      if (port === undefined) return giveUp(state, EINVAL, `event-channel ${value}`);
      return { ...state, phase: 'binding', offer: { ...state.offer, port } };
    }
    case 'opening':
      return { ...state, phase: tree === 'arm' ? 'claiming' : 'waiting', held };
    case 'claiming':
      return { ...state, phase: tree === 'arm' ? 'serving' : 'wiring', held };
    default: {
      const { to, reads } = NEXT[phase]!;
      if (reads !== undefined && parseState(value ?? '') !== reads)
        return giveUp(state, EINVAL, `invalid state ${value} in ${phase}`);
      return { ...state, phase: to, held };
    }
  }
}

/** The directory is gone: what is held is given back, last taken first. */
function release(state: XvfState): XvfState {
  const { wired, base, port, session } = state.held;
  if (wired) return { ...state, phase: 'unwiring' };
  if (base !== undefined) return { ...state, phase: 'unclaiming' };
  if (port !== undefined) return { ...state, phase: 'unbinding' };
  return { ...state, phase: session ? 'closing' : 'gone' };
}

/** Keeps what it holds until the directory goes. */
function giveUp(state: XvfState, errno: number, text: string): XvfState {
  return { ...state, phase: 'gaveUp', failure: { errno, text } };
}
