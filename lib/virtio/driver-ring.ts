// The driver's end of a virtqueue, whichever of its two layouts was negotiated: where it lies, and what it owes its user.
// Leaves each layout to its file: split to driver-queue.ts, packed to packed-driver-queue.ts; open-driver-ring.ts chooses.
import type { GuestMemory } from '../core/memory.js';
import { virtqAvailBytes, virtqDescBytes, virtqUsedBytes } from '../layout/virtio-ring.js';

/** A piece of guest memory. */
export interface Segment {
  readonly addr: number;
  readonly length: number;
}

/** Where the three areas of one queue lie: one block, the used ring on a page of its own (vring_init with PAGE_SIZE).
 * Of a packed ring the two event structures lie where the rings would */
export interface RingPlace {
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  /** Bytes of the whole block. */
  readonly bytes: number;
}

const PAGE = 4096;

export function ringPlace(base: number, size: number): RingPlace {
  const avail = base + virtqDescBytes(size);
  const used = Math.ceil((avail + virtqAvailBytes(size)) / PAGE) * PAGE;
  return { desc: base, avail, used, bytes: used + virtqUsedBytes(size) - base };
}

/** Memory for indirect tables; alloc answers undefined when there is none, the chain then goes direct. */
export interface TableAllocator {
  alloc(bytes: number): Segment | undefined;
  release(table: Segment): void;
}

export interface Used<T> {
  readonly cookie: T;
  /** What the device says it wrote; unchecked. */
  readonly length: number;
}

/** A chain that the device has. */
export interface LiveChain<T> {
  readonly cookie: T;
  /** Descriptors of the ring that it took. */
  readonly count: number;
  readonly table: Segment | undefined;
}

/**
 * What no device may do to a ring: count more chains used than it has, as an index does that goes back (virtio 1.2, 2.7.8), or
 * give back a chain that it has not.
 */
export type RingFault = 'used-index' | 'used-id';

export interface DriverRingParts {
  readonly memory: GuestMemory;
  readonly tables: TableAllocator;
  /** Page-aligned guest memory of ringPlace(base, size).bytes bytes, for either layout; it is zeroed. */
  readonly base: number;
  readonly size: number;
  /** As they were negotiated. */
  readonly features: bigint;
  /** The address by which the device knows a buffer or table, its own if left out. */
  readonly dma?: (addr: number) => bigint;
  /** Told of each; after `used-id` the ring is broken, as Linux's BAD_RING leaves it. */
  readonly onFault?: (fault: RingFault) => void;
}

export interface DriverRing<T> {
  readonly size: number;
  /** Table, available ring and used ring; of a packed ring descriptors, driver event and device event. */
  readonly place: RingPlace;
  /** No more traffic: the owner said so, or the device gave back what it does not have. */
  readonly broken: boolean;
  /** Descriptors that a chain may take. */
  readonly free: number;
  /** Chains that the device has. */
  readonly outstanding: number;
  /** Publishes a chain. Throws ErrnoError ENOSPC when the ring is full, EIO when it is broken, EINVAL for no segments. */
  add(out: readonly Segment[], into: readonly Segment[], cookie: T): void;
  /** Whether the device must be kicked for what was added since the last question. */
  kickPrepare(): boolean;
  /** The next used chain, or undefined. */
  take(): Used<T> | undefined;
  hasUsed(): boolean;
  /** No interrupts wanted; a hint. */
  disableCallbacks(): void;
  /** Interrupts wanted again. False when something was used meanwhile: look again before sleeping. */
  enableCallbacks(): boolean;
  /** No more traffic: the device was removed or must be reset. */
  breakQueue(): void;
  /** After a reset of the device: hands out what it still had, so that each chain ends exactly once. */
  detach(): T[];
}
