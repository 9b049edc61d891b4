// Doorbell handles: what travels between processes where Linux passes an eventfd. A process that holds a handle can signal its
// receiver, and knows neither who that is nor what is behind it (a device server stays hypervisor-neutral).
// Leaves shared pages and sockets to lib/node/bell/bell.ts.

/** Where a signal goes: a bit of the doorbell page of the process that receives it. */
export interface NotifyHandle {
  /** Name of the receiving process's doorbell, unique in the run directory. */
  readonly bell: string;
  /** Index of the bit in the receiver's page. */
  readonly bit: number;
}

/** The sending end of a handle. Signals coalesce until the receiver looks, as an eventfd's do. */
export interface Notifier {
  signal(): void;
  close(): void;
}

/** The sending end of a doorbell. */
export interface BellNotifier extends Notifier {
  /**
   * Signals, and wakes the receiver even if it seems awake: for the process that finishes what a dead sender may have begun,
   * its signal to that receiver included.
   */
  insist(): void;
}

/** A bit of this process's own doorbell, with what runs when it rings. */
export interface BoundBell {
  readonly handle: NotifyHandle;
  /** Gives the bit back; rings still pending are dropped. */
  release(): void;
}

/** This process's doorbell: hands out bits, runs their actions from the event loop. */
export interface Doorbell {
  /** Throws ENOSPC when all bits are taken. `count` consecutive bits: onRing gets the index from 0. */
  bind(onRing: (index: number) => void, count?: number): BoundBell;
  /** Opens the sending end of a handle, whichever process made it. Throws ENOENT when its receiver does not exist (any more). */
  open(handle: NotifyHandle): BellNotifier;
}

/** How wake-ups travel between processes: bits in shared pages, or messages. */
export const NOTIFY_MODES = ['doorbell', 'zmq'] as const;
export type NotifyMode = (typeof NOTIFY_MODES)[number];
