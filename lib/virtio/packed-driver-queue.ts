// The driver's end of a packed virtqueue (virtio 1.4, 2.8), as Linux's virtio_ring.c drives it: one ring of descriptors that
// it makes available and the device overwrites as used. Leaves where rings, tables and buffers lie to its owner, and kicks and
// interrupts to the transport. What the device writes is hostile: a used descriptor that names no chain of ours breaks the queue.
//
// Order. The flags of a chain's first descriptor publish it: they are stored last, sequentially consistent, before the look
// at the device's event words; the device stores those before it looks at the flags again, so one of the two sees the other.
// Likewise our event words, then the flags of the next used descriptor, before the driver sleeps.
import { ErrnoError } from '../core/errors.js';
import type { GuestMemory } from '../core/memory.js';
import {
  VIRTQ_PACKED_DESC as DESC,
  VIRTQ_PACKED_EVENT as EVENT,
  VIRTQ_PACKED_EVENT_FLAGS as EVENT_FLAGS,
  hasFeature,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  VIRTQ_PACKED_DESC_F_AVAIL,
  VIRTQ_PACKED_DESC_F_USED,
  VIRTQ_PACKED_WRAP,
  vringNeedEvent,
} from '../layout/virtio-ring.js';
import {
  type DriverRing,
  type DriverRingParts,
  type LiveChain,
  type RingFault,
  type RingPlace,
  ringPlace,
  type Segment,
  type TableAllocator,
  type Used,
} from './driver-ring.js';

export class PackedDriverQueue<T> implements DriverRing<T> {
  readonly size: number;
  readonly place: RingPlace;
  readonly #memory: GuestMemory;
  readonly #tables: TableAllocator;
  readonly #dma: (addr: number) => bigint;
  readonly #eventIdx: boolean;
  readonly #indirect: boolean;
  readonly #onFault: ((fault: RingFault) => void) | undefined;
  /** By id. */
  readonly #live: (LiveChain<T> | undefined)[];
  readonly #freeIds: number[];
  #freeCount: number;
  #availSlot = 0;
  #availWrap = true;
  #usedSlot = 0;
  #usedWrap = true;
  /** Descriptors since the last question about kicks. */
  #addedCount = 0;
  #callbacks = true;
  #broken = false;

  constructor({ memory, tables, base, size, features, dma = BigInt, onFault }: DriverRingParts) {
    this.size = size;
    this.place = ringPlace(base, size);
    this.#memory = memory;
    this.#tables = tables;
    this.#dma = dma;
    this.#eventIdx = hasFeature(features, VIRTIO_F_EVENT_IDX);
    this.#indirect = hasFeature(features, VIRTIO_F_INDIRECT_DESC);
    this.#onFault = onFault;
    this.#live = new Array(size).fill(undefined);
    this.#freeIds = Array.from({ length: size }, (_, index) => size - 1 - index);
    this.#freeCount = size;
    memory.write(base, new Uint8Array(this.place.bytes));
  }

  get broken(): boolean {
    return this.#broken;
  }
  get free(): number {
    return this.#freeCount;
  }
  get outstanding(): number {
    return this.size - this.#freeIds.length;
  }

  add(out: readonly Segment[], into: readonly Segment[], cookie: T): void {
    if (this.#broken) throw new ErrnoError('EIO', 'the virtqueue is broken');
    const total = out.length + into.length;
    if (total === 0) throw new ErrnoError('EINVAL', 'an empty chain');
    const table = this.#indirect && total > 1 && this.#freeCount > 0 ? this.#makeTable(out, into) : undefined;
    const count = table === undefined ? total : 1;
    const id = this.#freeIds.at(-1);
    if (count > this.#freeCount || id === undefined) {
      if (table !== undefined) this.#tables.release(table);
      throw new ErrnoError('ENOSPC', 'the virtqueue is full');
    }
    this.#freeIds.pop();
    this.#live[id] = { cookie, count, table };
    this.#freeCount -= count;
    this.#addedCount += count;
    if (table === undefined) this.#publish([...out, ...into], id, out.length, 0);
    else this.#publish([table], id, 1, VIRTQ_DESC_F_INDIRECT);
  }

  /** Descriptors one after another, the flags of the first one last. */
  #publish(segments: readonly Segment[], id: number, outCount: number, more: number): void {
    let first: { readonly at: number; readonly flags: number } | undefined;
    for (const [index, segment] of segments.entries()) {
      const at = this.place.desc + this.#availSlot * DESC.size;
      this.#writeDesc(at, segment, id);
      const flags =
        more |
        (index < outCount ? 0 : VIRTQ_DESC_F_WRITE) |
        (index + 1 < segments.length ? VIRTQ_DESC_F_NEXT : 0) |
        (this.#availWrap ? VIRTQ_PACKED_DESC_F_AVAIL : VIRTQ_PACKED_DESC_F_USED);
      if (first === undefined) first = { at, flags };
      else this.#memory.storeU16(at + DESC.offset.flags, flags);
      if (++this.#availSlot < this.size) continue;
      this.#availSlot = 0;
      this.#availWrap = !this.#availWrap;
    }
    if (first !== undefined) this.#memory.storeU16(first.at + DESC.offset.flags, first.flags);
  }

  #writeDesc(at: number, segment: Segment, id: number): void {
    this.#memory.writeU64(at + DESC.offset.addr, this.#dma(segment.addr));
    this.#memory.writeU32(at + DESC.offset.len, segment.length);
    this.#memory.writeU16(at + DESC.offset.id, id);
  }

  #makeTable(out: readonly Segment[], into: readonly Segment[]): Segment | undefined {
    const all = [...out, ...into];
    const table = this.#tables.alloc(all.length * DESC.size);
    if (table === undefined) return undefined;
    for (const [index, segment] of all.entries()) {
      const at = table.addr + index * DESC.size;
      this.#writeDesc(at, segment, 0);
      this.#memory.writeU16(at + DESC.offset.flags, index < out.length ? 0 : VIRTQ_DESC_F_WRITE);
    }
    return { addr: table.addr, length: all.length * DESC.size };
  }

  kickPrepare(): boolean {
    const added = this.#addedCount;
    this.#addedCount = 0;
    const flags = this.#memory.loadU16(this.place.used + EVENT.offset.flags);
    if (flags !== EVENT_FLAGS.DESC) return flags !== EVENT_FLAGS.DISABLE;
    const word = this.#memory.loadU16(this.place.used + EVENT.offset.desc);
    const lastRound = ((word & VIRTQ_PACKED_WRAP) !== 0) !== this.#availWrap;
    const event = (word & ~VIRTQ_PACKED_WRAP) - (lastRound ? this.size : 0);
    return vringNeedEvent(event, this.#availSlot, this.#availSlot - added);
  }

  take(): Used<T> | undefined {
    if (this.#broken || !this.hasUsed()) return undefined;
    const at = this.place.desc + this.#usedSlot * DESC.size;
    const id = this.#memory.readU16(at + DESC.offset.id);
    // Without WRITE the length means nothing (2.8.4).
    const wrote = (this.#memory.readU16(at + DESC.offset.flags) & VIRTQ_DESC_F_WRITE) !== 0;
    const length = wrote ? this.#memory.readU32(at + DESC.offset.len) : 0;
    const live = id < this.size ? this.#live[id] : undefined;
    if (live === undefined) {
      this.#broken = true;
      this.#onFault?.('used-id');
      return undefined;
    }
    this.#release(id, live);
    this.#usedSlot += live.count;
    if (this.#usedSlot >= this.size) {
      this.#usedSlot -= this.size;
      this.#usedWrap = !this.#usedWrap;
    }
    // Asks for the interrupt of the next one; the store is a full barrier before the caller looks again.
    if (this.#callbacks && this.#eventIdx) this.#storeEvent();
    return { cookie: live.cookie, length };
  }

  hasUsed(): boolean {
    const flags = this.#memory.loadU16(this.place.desc + this.#usedSlot * DESC.size + DESC.offset.flags);
    const both = [VIRTQ_PACKED_DESC_F_AVAIL, VIRTQ_PACKED_DESC_F_USED];
    return both.every((flag) => ((flags & flag) !== 0) === this.#usedWrap);
  }

  disableCallbacks(): void {
    this.#callbacks = false;
    this.#memory.storeU16(this.place.avail + EVENT.offset.flags, EVENT_FLAGS.DISABLE);
  }

  enableCallbacks(): boolean {
    this.#callbacks = true;
    this.#storeEvent();
    const flags = this.#eventIdx ? EVENT_FLAGS.DESC : EVENT_FLAGS.ENABLE;
    this.#memory.storeU16(this.place.avail + EVENT.offset.flags, flags);
    return !this.hasUsed();
  }

  breakQueue(): void {
    this.#broken = true;
  }

  detach(): T[] {
    const cookies: T[] = [];
    this.#broken = true;
    for (const [id, live] of this.#live.entries()) {
      if (live === undefined) continue;
      this.#release(id, live);
      cookies.push(live.cookie);
    }
    return cookies;
  }

  #storeEvent(): void {
    const word = this.#usedSlot | (this.#usedWrap ? VIRTQ_PACKED_WRAP : 0);
    this.#memory.storeU16(this.place.avail + EVENT.offset.desc, word);
  }

  #release(id: number, live: LiveChain<T>): void {
    this.#live[id] = undefined;
    if (live.table !== undefined) this.#tables.release(live.table);
    this.#freeIds.push(id);
    this.#freeCount += live.count;
  }
}
