// The world of one device as one immutable value: the store, what each process has of it in its memory, Xen's half. A step
// replaces the parts that it changes. Leaves what processes do to guest.ts, back.ts and tool.ts, and which steps there are to
// model.ts.
import {
  backendNode,
  backendPath,
  errorKey,
  frontendNode,
  frontendPath,
  homePath,
  KIND_VIRTIO_MMIO,
} from '../lib/layout/xenbus.js';
import type { BackState } from '../lib/xenbus/backend.js';
import type { StoreState } from './store.js';
import type { Running } from './task.js';

/** The guest's domain, and the number of its device. The backend's domain is 0. */
export const DOMID = 1;
export const DEVID = 0;

/** Everything by its place in the store. */
export interface Paths {
  readonly kind: string;
  readonly home: string;
  readonly front: string;
  readonly back: string;
  readonly frontState: string;
  readonly backState: string;
  readonly frontError: string;
  readonly backError: string;
}

export function pathsOf(kind: string = KIND_VIRTIO_MMIO): Paths {
  const id = { kind, domid: DOMID, devid: DEVID, backDomid: 0 };
  const [home, front, back] = [homePath(DOMID), frontendPath(id), backendPath(id)];
  return {
    ...{ kind, home, front, back, frontState: `${front}/state`, backState: `${back}/state` },
    frontError: `${home}/${errorKey(frontendNode(kind, DEVID))}`,
    backError: `${homePath(0)}/${errorKey(backendNode(id))}`,
  };
}

/** A device object of the guest's xenbus. */
export interface GuestDevice {
  /** Its own state as the core has it in its cache. */
  readonly state: number;
  readonly otherend: string;
  readonly vanished?: true;
  /** The store did not take even the state that says that it closes: only the error key tells. */
  readonly silenced?: true;
  /** A driver is bound; its data. */
  readonly driver?: unknown;
}

export interface GuestState {
  readonly life: 'off' | 'booting' | 'up' | 'dead';
  readonly device?: GuestDevice;
  /** Drivers' data whose device is gone: what was never given back. */
  readonly orphans?: readonly unknown[];
  /** The watch callback, or the boot, that is under way. */
  readonly run?: Running;
}

/** Events that wait for the guest's xenwatch task: `<path> <token>`, paths relative to its home. */
export type Inbox = readonly string[];

export interface BackDevice {
  readonly machine: unknown;
  /** Something happened since it last looked. */
  readonly dirty?: true;
  /** The guest's domain ended. */
  readonly ended?: true;
  readonly run?: Running;
}

export interface BackProcess {
  readonly life: 'dead' | 'booting' | 'up';
  readonly device?: BackDevice;
  /** An event of a directory that is no device of ours yet. */
  readonly look?: true;
  readonly run?: Running;
}

export interface ToolState {
  readonly run?: Running;
  /** A watch event came. */
  readonly due?: true;
  /** Sequences that follow. */
  readonly next: readonly string[];
  /** A killed toolstack's sequence, which the next call finishes. */
  readonly left?: string;
}

export interface Xen {
  /** Event-channel ports of the guest that are for the backend's domain. */
  readonly ports: Readonly<Record<number, 'unbound' | 'bound'>>;
  /** Ranges that the guest's resource tree has given out. */
  readonly ranges: readonly number[];
  /**
   * The ioreq server: of a process that lives; left by one that died, its requests waiting; taken over by the next, which
   * has not claimed the range again.
   */
  readonly server: 'none' | 'open' | 'left' | 'adopted';
  /** The server has claimed the range: accesses wait for whoever has it, or will have it. Others read all ones. */
  readonly mapped?: true;
  /** Kicks and calls pass the backend by: dom0's kernel has event descriptors of it. Kept only where they outlive it (`dom0 linux`). */
  readonly wired?: true;
  /**
   * `dom0 linux`: a server that a dead backend left with its events disabled and its ports taken. No process can take it over; one
   * that is made after it is asked first.
   */
  readonly stuck?: true;
  /** An access of the guest lies in the stuck server: its vCPU waits for ever. */
  readonly waits?: true;
  /** The register file behind the range; `lost`: Status reads 0x40. Absent: the range is not answered. */
  readonly registers?: 'fresh' | 'lost' | 'begun' | 'running';
  /** A driver of the guest is at work on the registers. */
  readonly driver?: true;
  /** The guest's domain is no more. */
  readonly dead?: true;
}

/**
 * Something was refused; the device was taken away; its frontend was cut off without being asked; Linux's core has closed a
 * directory by itself, because one that it was looking at had been removed.
 */
export type Excuse = 'refused' | 'removed' | 'forced' | 'core';

/** What was done to the world so far, for those who judge a state at rest. */
export interface Doings {
  /** Faults that may still come. */
  readonly left: number;
  /** What they leave behind that excuses what else must not be. */
  readonly done: readonly Excuse[];
}

export interface World {
  readonly store: StoreState;
  readonly guest: GuestState;
  readonly inbox: Inbox;
  readonly back: BackProcess;
  readonly tool: ToolState;
  readonly xen: Xen;
  readonly doings: Doings;
}

export const PARTS = ['store', 'guest', 'inbox', 'back', 'tool', 'xen', 'doings'] as const satisfies (keyof World)[];

export const backMachine = (back: BackProcess): BackState | undefined => back.device?.machine as BackState | undefined;

/** Something that must not be. `property` says which rule, `text` what broke it. */
export interface Violation {
  readonly property: string;
  readonly text: string;
}

export type Side = 'toolstack' | 'frontend' | 'backend' | 'world';

/** What happened in a step, for people and for diagrams. */
export interface Note {
  readonly by: Side;
  readonly to: 'store' | 'device' | 'xen' | 'self';
  readonly text: string;
}

/** What a process does in one step, or what happens to it. */
export interface Actor {
  readonly name: string;
  /** `time`: a deadline passes, which it does only when nothing else can happen. */
  readonly kind: 'step' | 'time' | 'fault';
}

/** One step from a world to the next. */
export interface Move {
  readonly actor: Actor;
  readonly changed: Partial<World>;
  readonly violations: readonly Violation[];
  /** Kept only when a path is told. */
  readonly notes: readonly Note[];
}
