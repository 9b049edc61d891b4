// The device's end of a virtqueue, whichever of its two layouts was negotiated: where it lies, and what it owes its user.
// Leaves each layout to its file: split to device-queue.ts, packed to packed-queue.ts; open-ring.ts chooses.
import type { GuestMemory } from '../core/memory.js';
import { hasFeature, VIRTIO_F_RING_PACKED, VIRTQ_PACKED_BASE_FRESH } from '../layout/virtio-ring.js';
import { type Chain, VirtqError } from './chain.js';

/** Where a queue lies: guest-physical addresses, and where to go on. */
export interface QueueLayout {
  /** Entries; of a split queue a power of two. */
  readonly size: number;
  /** Descriptor area, driver area and device area: in a split queue the table, the available ring and the used ring. */
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  /**
   * What base() of the earlier run answered. A fresh queue: 0, the next available index; in a packed ring
   * VIRTQ_PACKED_BASE_FRESH, both positions.
   */
  readonly base: number;
  /** What earlier servers of the queue took and never gave back, and what this one does. */
  readonly inflight?: InflightLog;
  /** The same of a packed ring. */
  readonly packedInflight?: PackedInflightLog;
}

/** A record of chains that are taken, which outlives the process. Each call is one step of the record. */
export interface InflightLog {
  /**
   * The queue starts with that used index. Answers the heads that are to be taken again, in order; the base is then not
   * asked, since what was taken and given back says how far the queue was read. Undefined: the record is fresh.
   */
  begin(usedIdx: number): readonly number[] | undefined;
  /** Before anything of the chain is executed. */
  taken(head: number): void;
  /** Before the used index is published. */
  givingBack(head: number): void;
  /** After it was. */
  gaveBack(head: number, usedIdx: number): void;
}

/** A chain of a packed ring as it was recorded. */
export interface RecordedChain {
  /** By which it is named to the record. */
  readonly entry: number;
  /** Descriptors that it has in the ring. */
  readonly slots: number;
  /** Their bytes, as the driver wrote them. */
  readonly descriptors: Uint8Array;
}

/** InflightLog of a packed ring, whose descriptors are recorded since used ones overwrite them. Positions are as in its base. */
export interface PackedInflightLog {
  /**
   * The ring starts; a fresh record takes `used` as the next used descriptor's position. `availableAt`: whether the driver's
   * descriptor there is still to be seen. Answers the chains that are to be taken again, in order; the base is then not
   * asked. Undefined: the record is fresh. Throws VirtqError when the record cannot be one of this ring.
   */
  begin(used: number, availableAt: (position: number) => boolean): readonly RecordedChain[] | undefined;
  /** After begin(): the position of the next used descriptor. */
  readonly used: number;
  /** Before anything of the chain is executed; answers its entry. `descriptors`: those of the ring, in order. */
  taken(descriptors: readonly Uint8Array[]): number;
  /** Before the used descriptor is published; `used` is the position after it. */
  givingBack(entry: number, used: number): void;
  /** After it was. */
  gaveBack(entry: number): void;
}

export interface DeviceRing {
  /** Takes the next chain; false when there is none. Throws VirtqError: then the queue is of no further use. */
  pop(chain: Chain): boolean;
  /** Gives the chain with that head back with `written` bytes of its writable part, counted from its start; visible at once. */
  pushUsed(head: number, written: number): void;
  /** Whether the driver must be told of what was pushed since it was last asked; one question covers a whole batch. */
  needsCall(): boolean;
  /** Kicks are not wanted: we are serving. A hint; the driver may kick all the same. */
  disableKicks(): void;
  /** Asks to be kicked for the next chain; true when one is there already and the caller must not sleep. */
  enableKicks(): boolean;
  /** Where a later start goes on. `kept`: the newest chain was not given back and is to be taken again; all others were. */
  base(kept: boolean): number;
}

/** The base of a queue that was not used yet, in the layout that these features mean. */
export function freshBase(features: bigint): number {
  return hasFeature(features, VIRTIO_F_RING_PACKED) ? VIRTQ_PACKED_BASE_FRESH : 0;
}

/** Throws VirtqError QUEUE_LAYOUT unless an area of a queue is aligned and in memory. */
export function checkArea(memory: GuestMemory, what: string, addr: number, bytes: number, align: number): void {
  if (addr % align !== 0) throw new VirtqError('QUEUE_LAYOUT', `${what} at 0x${addr.toString(16)} is not aligned`);
  try {
    memory.check(addr, bytes);
  } catch (cause) {
    throw new VirtqError('QUEUE_LAYOUT', `${what}: ${(cause as Error).message}`);
  }
}
