// What the backend's machine (backend.ts) is told, asks for and keeps, and the shape of the tables that it runs on. Types only.
import type { EvtchnPort } from '../core/ids.js';
import type { XenbusState } from '../layout/xenbus.js';
import type { Protocol } from './protocol.js';

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
  readonly port?: EvtchnPort;
  readonly wired?: true;
}

export interface BackFailure {
  readonly errno: number;
  readonly text: string;
}

/** The frontend's keys as device.ts read them; '' where there is none. */
export interface FrontendKeys {
  readonly base: string;
  readonly eventChannel: string;
  /** `queue-N/event-channel` of the queues that were offered one; '' where the frontend wrote none. */
  readonly queues?: readonly string[];
}

/** The guest's ports as the frontend wrote them. */
export interface FrontendPorts {
  readonly port: EvtchnPort;
  /** Index = queue; undefined where there is none. */
  readonly queuePorts: readonly (EvtchnPort | undefined)[];
}

/**
 * What a session is opened for: a connection from the beginning; one found half-way at 4 or 5 after the loss of an earlier
 * backend; or only to give back what that one left in Xen, where a driver's access may wait.
 */
export type BackGoal = 'begin' | 'adopt' | 'sweep';

export interface BackState {
  readonly phase: BackPhase;
  readonly held: BackHeld;
  /** Own state as last read or written. */
  readonly back: number;
  /** The frontend's state as last read. */
  readonly front: number;
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
  /** States as just read; 0 for an unreadable one. `spoilt`: the device needs a reset that its driver does not make. */
  | {
      readonly type: 'look';
      readonly front: number;
      readonly back: number;
      readonly online: boolean;
      readonly spoilt?: boolean;
    }
  | { readonly type: 'done'; readonly value?: number | FrontendKeys }
  | { readonly type: 'failed'; readonly errno: number; readonly text: string };

/** One thing to do; answered by `done` (with a value where noted) or `failed`. */
export type BackEffect =
  /** Read and check what the toolstack wrote, all at one moment; value: queues to offer event channels for, if any. ENODEV: gone. */
  | { readonly type: 'readSetup' }
  /**
   * The guest's ioreq server, and a session with the device server, which is waited for. Fails with ENODEV when the device went
   * away meanwhile. `adopting`: what an earlier backend left is taken over whether or not the device server has the device:
   * registers that are lost need none.
   */
  | { readonly type: 'openSession'; readonly adopting: boolean }
  /** Write a key of the own directory. ENODEV: that was removed. */
  | { readonly type: 'write'; readonly key: string; readonly value: string }
  /** value: FrontendKeys as text, those of `queues` queues. */
  | { readonly type: 'readFrontend'; readonly queues: number }
  /**
   * Answer registers at this range. Fails where it meets RAM or another range. `broken`: a driver was at work on
   * registers that are lost. `probing`: and it may sleep in its probe, where no state reaches it until an interrupt does.
   */
  | {
      readonly type: 'claimRange';
      readonly base: number;
      readonly size: number;
      readonly broken: boolean;
      readonly probing: boolean;
    }
  /** All of these ports, or none. */
  | ({ readonly type: 'bindPort' } & FrontendPorts)
  /** Kicks and calls past this process. */
  | { readonly type: 'wire' }
  /**
   * In one transaction: unless the own state still reads `from`, and `online` still 1 where `ifOnline` says so, and the own key
   * `ifKey` is there, nothing is written. value: the state that stands afterwards (0: the directory is gone). Never fails for
   * the machine.
   */
  | {
      readonly type: 'switchState';
      readonly from: number;
      readonly to: XenbusState;
      readonly ifOnline?: true;
      readonly ifKey?: string;
    }
  /** Error key; the state is another step. */
  | { readonly type: 'error'; readonly errno: number; readonly text: string }
  /** These never fail for the machine: what is given back is gone. */
  | { readonly type: 'unwire' }
  | { readonly type: 'unclaimRange'; readonly base: number }
  /** And those of the queues. */
  | { readonly type: 'unbindPort'; readonly port: EvtchnPort }
  | { readonly type: 'closeSession' };

export interface BackStep {
  readonly state: BackState;
  /** Absent: at rest. */
  readonly effect?: BackEffect;
}

export type BackMove =
  | 'stay'
  | 'begin'
  | 'adopt'
  | 'sweep'
  | 'connect'
  | 'close'
  | 'reject'
  | 'finish'
  | 'follow'
  | 'restart'
  | 'vanish'
  | 'rest';
export type BackRow = Readonly<Record<XenbusState, BackMove>>;

export interface BackWorkRule {
  /** Undefined: nothing to do here, as if done. */
  effect(state: BackState): BackEffect | undefined;
  done(state: BackState, value: number | FrontendKeys | undefined): BackState;
  /** Default: the connection is given up, the frontend told. */
  failed?(state: BackState, failure: BackFailure): BackState;
}

/** What the machine runs on. */
export interface BackTables {
  readonly protocol: Protocol;
  readonly own: Readonly<Record<BackRest, BackRow>>;
  readonly rest: Readonly<Record<BackRest, BackRow>>;
  readonly work: Readonly<Record<BackWork, BackWorkRule>>;
}
