// A backend as xen-vhost-frontend (vireshk/xen-vhost-frontend 66ee282) behaves towards the store, as a pure machine: one try for
// each directory, each state read once and compared, 2 the only state that it ever writes. Leaves the effects to those who perform
// them: explore/back-xvf.ts. backend.ts is the backend that keeps the protocol.
import { assert } from '../core/errors.js';
import { VIRTIO_MMIO_KEY, XENBUS_KEY, XenbusState } from '../layout/xenbus.js';

export type XvfPhase =
  | 'found'
  | 'readingBack'
  | 'publishing'
  | 'readingFrontend'
  | 'readingFront'
  | 'readingBackAgain'
  | 'readingBase'
  | 'opening'
  | 'claiming'
  | 'serving'
  | 'gaveUp'
  | 'unclaiming'
  | 'closing'
  | 'gone';

export interface XvfState {
  readonly phase: XvfPhase;
  readonly held: { readonly session?: true; readonly base?: number };
  readonly failure?: { readonly errno: number; readonly text: string };
}

export type XvfEffect =
  | { readonly type: 'readOwn' | 'readFront'; readonly key: string }
  | { readonly type: 'writeState'; readonly state: XenbusState }
  | { readonly type: 'openSession' | 'closeSession' }
  | { readonly type: 'claimRange' | 'unclaimRange'; readonly base: number };

export type XvfEvent =
  /** The directory is there, or is not. */
  | { readonly type: 'look'; readonly there: boolean }
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
  claiming: ({ held }) => ({ type: 'claimRange', base: held.base! }),
  unclaiming: ({ held }) => ({ type: 'unclaimRange', base: held.base! }),
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
  opening: { to: 'claiming' },
  claiming: { to: 'serving' },
  unclaiming: { to: 'closing' },
  closing: { to: 'gone' },
};

/** The machine; `look` at rest, the others answer an effect (an assertion says so). */
export function xvfStep(state: XvfState, event: XvfEvent): { readonly state: XvfState; readonly effect?: XvfEffect } {
  const atRest = EFFECTS[state.phase] === undefined;
  assert(atRest === (event.type === 'look'), `${event.type} in ${state.phase}`);
  const next = event.type === 'look' ? looked(state, event.there) : answered(state, event);
  const effect = EFFECTS[next.phase]?.(next);
  return effect === undefined ? { state: next } : { state: next, effect };
}

function looked(state: XvfState, there: boolean): XvfState {
  if (!there) {
    if (state.held.session) return { ...state, phase: state.phase === 'serving' ? 'unclaiming' : 'closing' };
    return { ...state, phase: 'gone', held: {} };
  }
  // Later events are queued and never looked at.
  return state.phase === 'found' ? { ...state, phase: 'readingBack' } : state;
}

function answered(state: XvfState, event: Exclude<XvfEvent, { type: 'look' }>): XvfState {
  const { to, reads } = NEXT[state.phase]!;
  if (event.type === 'failed') return giveUp(state, event.errno, `${state.phase} failed`);
  if (reads !== undefined && Number(event.value) !== reads)
    return giveUp(state, EINVAL, `invalid state ${event.value} in ${state.phase}`);
  switch (state.phase) {
    case 'readingBase':
      return { ...state, phase: to, held: { base: Number(event.value) } };
    case 'opening':
      return { ...state, phase: to, held: { ...state.held, session: true } };
    case 'closing':
      return { ...state, phase: to, held: {} };
    default:
      return { ...state, phase: to };
  }
}

function giveUp(state: XvfState, errno: number, text: string): XvfState {
  return { ...state, phase: 'gaveUp', failure: { errno, text } };
}
