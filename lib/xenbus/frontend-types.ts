// What the frontend's machine (frontend.ts) is told, asks for and keeps, and the shape of the tables that it runs on. Types only.
import type { EvtchnPort } from '../core/ids.js';
import type { XenbusState } from '../layout/xenbus.js';
import type { Protocol } from './protocol.js';

export type FrontRest = 'waiting' | 'published' | 'connected' | 'closed' | 'failed' | 'gone';
export type FrontWork =
  | 'sizing'
  | 'lookingAgain'
  | 'askingQueues'
  | 'claiming'
  | 'allocating'
  | 'allocatingQueue'
  | 'writingQueue'
  | 'writingBase'
  | 'writingPort'
  | 'announcing'
  | 'registering'
  | 'explaining'
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
  readonly port?: EvtchnPort;
  /** Of the queues that have event channels of their own, index = queue. */
  readonly queuePorts?: readonly EvtchnPort[];
  readonly device?: true;
}

export interface Failure {
  readonly errno: number;
  readonly text: string;
}

export interface FrontState {
  readonly phase: FrontPhase;
  readonly held: FrontHeld;
  /** Own state as last written. */
  readonly front: XenbusState;
  /** Last backend state seen. */
  readonly backend: number;
  readonly attempts: number;
  /** Queues that the backend offers event channels for. */
  readonly queues?: number;
  /** Set from a failure on: no further connection until the device is made anew. */
  readonly failure?: Failure;
  /** Why the driver could not probe the last connection; that does not end it yet. */
  readonly setback?: Failure;
  /** Where `releasing` goes. */
  readonly after?: 'closing' | 'failed' | 'gone' | 'lookingAgain';
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
  /** value: Closing where another state could not be written, which the core has reported by then; else none. */
  | { readonly type: 'switchState'; readonly state: XenbusState }
  /** Register the device; done when its driver has probed it, failed when it could not. */
  | {
      readonly type: 'register';
      readonly base: number;
      readonly size: number;
      readonly port: EvtchnPort;
      readonly queuePorts: readonly EvtchnPort[];
    }
  /** These never fail for the machine: what is given back is gone. */
  | { readonly type: 'unregister' }
  | { readonly type: 'freePort'; readonly port: EvtchnPort }
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

/** The working phase that a backend state leads to. */
export type FrontMove = FrontWork | 'stay';

export interface FrontWorkRule {
  effect(state: FrontState): FrontEffect | undefined;
  /** Next state after success; the value is whatever the effect's comment says. */
  done(state: FrontState, value: string | number | undefined): FrontState;
  /** Next state after failure. Default: report it and give everything back. */
  failed?(state: FrontState, failure: Failure): FrontState;
}

/** What the machine runs on. */
export interface FrontTables {
  readonly protocol: Protocol;
  readonly rest: Readonly<Record<FrontRest, Readonly<Record<XenbusState, FrontMove>>>>;
  readonly work: Readonly<Record<FrontWork, FrontWorkRule>>;
}
