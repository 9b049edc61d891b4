// What a fault is: something done to one process while another, or the same, stands at a point. A fault undoes itself: when it
// resolves, the process that stood goes on and the victim works again, or its replacement does.
import type { Resource } from '../../lib/node/files/other-process.js';

/**
 * When the replacement of a process that has ended is started: while the process that stands at the point still stands
 * there; once the others have gone on and come to rest; or not before the guest was given up and removed without it. `same` is
 * `restart`, and each guest that is made after it gets the domid of the one before, which Xen gives again once 32752 have gone by.
 */
export const RESTARTS = ['restart', 'late', 'never', 'same'] as const;
export type Restart = (typeof RESTARTS)[number];

/** What a fault may do to the lab; made by the engine for one case. */
export interface FaultScene {
  /** The process that stands is the victim itself. */
  readonly victimStands: boolean;
  /** When the replacement is started. */
  readonly restart: Restart;
  /** Lets the process that stands go on; nothing when it has ended meanwhile. */
  letGo(): Promise<void>;
  /** Sends the victim a signal. */
  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGTERM' | 'SIGKILL'): void;
  /** Resolves once the victim has ended; rejects with DeadlineError. `inOrder`: anything but status 0 is a violation. */
  ended(options: { inOrder: boolean }): Promise<void>;
  /** The user gives the guest up while the victim is away: resolves once it is removed, or will not be without the victim. */
  giveUp(): Promise<void>;
  /** Starts the victim's replacement. */
  replace(): void;
  /** Resolves once the replacement says that it is ready. */
  replaced(): Promise<void>;
  /** Resolves once no process has recorded anything for a while: whatever could go on without the victim has. */
  rest(): Promise<void>;
  /** Resolves after so long: only for faults that are a time. */
  pass(ms: number): Promise<void>;
  /** Takes from the victim what it would get more of a resource, until it is given back. It may end for that, with its reason. */
  limit(resource: Resource, limited: boolean): void;
  /**
   * Closes the connections between the process that stands and the victim, of a victim that stands itself to all others: all of them, or those
   * that carry messages. A process that loses its host so must end by itself.
   */
  cut(which: 'all' | 'messages'): void;
  /** Waits for the ends that `cut` has made necessary, and starts again what has ended for `cut` or `limit`. */
  settled(): Promise<void>;
  /** Leaves in shared memory what the victim would if it died in the middle of a store. */
  tear(): Promise<void>;
  /** Rings every bit of the victim's doorbell. */
  ringAll(): void;
  /** Takes the rings that the victim has not seen yet; what it answers rings them. */
  takeRings(): () => void;
}

export interface Fault {
  /** What a case says: one word in capitals. */
  readonly name: string;
  readonly describe: string;
  /** Whether the word is followed by milliseconds. */
  readonly takesMs: boolean;
  /** Whether the victim ends, so that a replacement comes. */
  readonly replaces: boolean;
  /** Whether it is done to the connections between two processes: such a case is only where there are some. */
  readonly ofConnections?: boolean;
  /** Whether it may cost a guest its device, with the reason in the store's `error` keys: the guest is made anew then. */
  readonly mayRefuse?: boolean;
  run(scene: FaultScene, ms: number): Promise<void>;
}

/** The end of every fault that ends its victim: the replacement comes before or after the others go on. */
export async function replaceVictim(scene: FaultScene): Promise<void> {
  if (scene.restart === 'restart' || scene.restart === 'same') {
    scene.replace();
    await scene.letGo();
  } else {
    await scene.letGo();
    await replaceLater(scene);
  }
  await scene.replaced();
}

/** Starts the replacement once the others have come to rest, or have been left to do without it. */
export async function replaceLater(scene: FaultScene): Promise<void> {
  await scene.rest();
  if (scene.restart === 'never') await scene.giveUp();
  scene.replace();
}

/** Faults that take something from a process that goes on: it does without until the others have come to rest. */
export async function withoutResource(scene: FaultScene, resource: Resource): Promise<void> {
  scene.limit(resource, true);
  try {
    await scene.letGo();
    await scene.rest();
  } finally {
    scene.limit(resource, false);
  }
  await scene.rest();
  await scene.settled();
}
