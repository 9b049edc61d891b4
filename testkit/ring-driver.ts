// A driver's end of one split virtqueue for tests of devices: lays the queue out in memory, builds chains good and bad, and
// reads what came back. Deliberately simple and unchecked, so that it can break every rule.
import { type GuestMemory, RegionMemory } from '../lib/core/memory.js';
import {
  VIRTQ_AVAIL,
  VIRTQ_DESC,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  VIRTQ_USED,
  virtqAvailBytes,
  virtqAvailEvent,
  virtqAvailSlot,
  virtqDescBytes,
  virtqUsedBytes,
  virtqUsedEvent,
  virtqUsedSlot,
} from '../lib/layout/virtio-ring.js';
import type { QueueLayout } from '../lib/virtio/device-ring.js';

export interface RawDesc {
  addr: number;
  len: number;
  flags?: number;
  next?: number;
}

/** Bytes at an address that the device may read (`write` false) or write. */
export interface Segment {
  addr: number;
  len: number;
  write?: boolean;
}

export function plainMemory(bytes = 1 << 20, base = 0): RegionMemory {
  return new RegionMemory([{ base, bytes: new Uint8Array(bytes) }]);
}

export class RingDriver {
  readonly memory: GuestMemory;
  readonly layout: QueueLayout;
  /** First address after the queue: free for buffers. */
  readonly free: number;
  #nextDesc = 0;
  availIdx = 0;
  usedSeen = 0;

  constructor(memory: GuestMemory, { size = 8, at = 0, base = 0 } = {}) {
    this.memory = memory;
    const avail = at + virtqDescBytes(size);
    const used = (avail + virtqAvailBytes(size) + 3) & ~3;
    this.layout = { size, desc: at, avail, used, base };
    this.free = (used + virtqUsedBytes(size) + 15) & ~15;
    this.availIdx = base;
    this.usedSeen = base;
    memory.storeU16(avail + VIRTQ_AVAIL.offset.idx, base);
    memory.storeU16(used + VIRTQ_USED.offset.idx, base);
  }

  /** Begins anew as a driver that was loaded again does: on zeroed memory, from 0. */
  clear(): void {
    const { desc } = this.layout;
    this.memory.write(desc, new Uint8Array(this.free - desc));
    this.#nextDesc = 0;
    this.availIdx = 0;
    this.usedSeen = 0;
  }

  /** Writes entry `index` of a descriptor table, the queue's own unless said. */
  desc(index: number, { addr, len, flags = 0, next = 0 }: RawDesc, table = this.layout.desc): void {
    this.memory.write(table + index * VIRTQ_DESC.size, VIRTQ_DESC.bytes({ addr: BigInt(addr), len, flags, next }));
  }

  /** Lays a chain from the next descriptors on (they wrap); answers its head. Does not publish it. */
  chain(segments: readonly Segment[], { indirectAt }: { indirectAt?: number } = {}): number {
    const head = this.#nextDesc;
    if (indirectAt !== undefined) {
      segments.forEach((segment, index) => {
        this.desc(index, linked(segment, index, segments.length, index + 1), indirectAt);
      });
      this.desc(head, { addr: indirectAt, len: segments.length * VIRTQ_DESC.size, flags: VIRTQ_DESC_F_INDIRECT });
      this.#nextDesc = (head + 1) % this.layout.size;
      return head;
    }
    segments.forEach((segment, index) => {
      const next = (head + index + 1) % this.layout.size;
      this.desc((head + index) % this.layout.size, linked(segment, index, segments.length, next));
    });
    this.#nextDesc = (head + segments.length) % this.layout.size;
    return head;
  }

  /** Makes a head available. */
  publish(head: number): void {
    const { avail, size } = this.layout;
    this.memory.writeU16(avail + virtqAvailSlot(this.availIdx % size), head);
    this.availIdx = (this.availIdx + 1) & 0xffff;
    this.memory.storeU16(avail + VIRTQ_AVAIL.offset.idx, this.availIdx);
  }

  add(segments: readonly Segment[], options: { indirectAt?: number } = {}): number {
    const head = this.chain(segments, options);
    this.publish(head);
    return head;
  }

  /** Used elements not seen before. */
  collect(): { id: number; len: number }[] {
    const { used, size } = this.layout;
    const idx = this.memory.loadU16(used + VIRTQ_USED.offset.idx);
    const seen: { id: number; len: number }[] = [];
    for (; this.usedSeen !== idx; this.usedSeen = (this.usedSeen + 1) & 0xffff) {
      const at = used + virtqUsedSlot(this.usedSeen % size);
      seen.push({ id: this.memory.readU32(at), len: this.memory.readU32(at + 4) });
    }
    return seen;
  }

  get usedIdx(): number {
    return this.memory.loadU16(this.layout.used + VIRTQ_USED.offset.idx);
  }
  set availFlags(flags: number) {
    this.memory.storeU16(this.layout.avail + VIRTQ_AVAIL.offset.flags, flags);
  }
  set usedEvent(event: number) {
    this.memory.storeU16(this.layout.avail + virtqUsedEvent(this.layout.size), event);
  }
  get usedFlags(): number {
    return this.memory.loadU16(this.layout.used + VIRTQ_USED.offset.flags);
  }
  get availEvent(): number {
    return this.memory.loadU16(this.layout.used + virtqAvailEvent(this.layout.size));
  }
}

function linked(segment: Segment, index: number, count: number, next: number): RawDesc {
  const last = index === count - 1;
  return {
    addr: segment.addr,
    len: segment.len,
    flags: (segment.write ? VIRTQ_DESC_F_WRITE : 0) | (last ? 0 : VIRTQ_DESC_F_NEXT),
    next: last ? 0 : next,
  };
}
