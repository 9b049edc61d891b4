// The driver's end of a split virtqueue, as Linux's virtio_ring.c drives it: publishes chains, decides on kicks, takes used ones
// back, asks for or refuses interrupts. Leaves where rings, tables and buffers lie to its owner, and kicks and interrupts to
// the transport. What the device writes is hostile: a used element that names no chain of ours breaks the queue.
//
// Order (2.7.13): descriptors and the ring entry, then avail.idx with a sequentially consistent store, then the look at
// avail_event or used.flags; the device stores those before it looks at avail.idx again, so one of the two sees the other.
// Likewise used_event or avail.flags, then used.idx, before the driver sleeps (2.7.8).
import { ErrnoError } from '../core/errors.js';
import type { GuestMemory } from '../core/memory.js';
import {
  hasFeature,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTQ_AVAIL,
  VIRTQ_AVAIL_F_NO_INTERRUPT,
  VIRTQ_DESC,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  VIRTQ_USED,
  VIRTQ_USED_ELEM,
  VIRTQ_USED_F_NO_NOTIFY,
  virtqAvailEvent,
  virtqAvailSlot,
  virtqUsedEvent,
  virtqUsedSlot,
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

export class DriverQueue<T> implements DriverRing<T> {
  readonly size: number;
  readonly place: RingPlace;
  readonly #memory: GuestMemory;
  readonly #tables: TableAllocator;
  readonly #dma: (addr: number) => bigint;
  readonly #eventIdx: boolean;
  readonly #indirect: boolean;
  readonly #onFault: ((fault: RingFault) => void) | undefined;
  readonly #live: (LiveChain<T> | undefined)[];
  readonly #next: Uint16Array;
  #freeHead = 0;
  #freeCount: number;
  #outstanding = 0;
  #availIdx = 0;
  #addedCount = 0;
  #lastUsed = 0;
  #callbacks = true;
  #broken = false;

  constructor(parts: DriverRingParts) {
    const { memory, base, size, features } = parts;
    this.size = size;
    this.place = ringPlace(base, size);
    this.#memory = memory;
    this.#tables = parts.tables;
    this.#dma = parts.dma ?? BigInt;
    this.#onFault = parts.onFault;
    this.#eventIdx = hasFeature(features, VIRTIO_F_EVENT_IDX);
    this.#indirect = hasFeature(features, VIRTIO_F_INDIRECT_DESC);
    this.#live = new Array(size).fill(undefined);
    this.#next = Uint16Array.from({ length: size }, (_, index) => (index + 1) % size);
    this.#freeCount = size;
    memory.write(base, new Uint8Array(this.place.bytes));
  }

  get broken(): boolean {
    return this.#broken;
  }
  get free(): number {
    return this.#freeCount;
  }
  /** Chains that the device has. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /**
   * Publishes a chain: `out` for the device to read, then `into` for it to write. The index moves now; kickPrepare() says
   * whether the device must be told. Throws ENOSPC when the ring is full, EIO when the queue is broken.
   */
  add(out: readonly Segment[], into: readonly Segment[], cookie: T): void {
    if (this.#broken) throw new ErrnoError('EIO', 'the virtqueue is broken');
    const total = out.length + into.length;
    if (total === 0) throw new ErrnoError('EINVAL', 'an empty chain');
    const table = this.#indirect && total > 1 && this.#freeCount > 0 ? this.#makeTable(out, into) : undefined;
    const count = table === undefined ? total : 1;
    if (count > this.#freeCount) {
      if (table !== undefined) this.#tables.release(table);
      throw new ErrnoError('ENOSPC', 'the virtqueue is full');
    }
    const head = this.#freeHead;
    if (table !== undefined) {
      this.#writeDesc(this.#descAt(head), table, VIRTQ_DESC_F_INDIRECT, 0);
      this.#freeHead = this.#next[head]!;
    } else this.#writeDirect(out, into);
    this.#freeCount -= count;
    this.#live[head] = { cookie, count, table };
    this.#outstanding++;
    this.#memory.writeU16(this.place.avail + virtqAvailSlot(this.#availIdx & (this.size - 1)), head);
    this.#availIdx = (this.#availIdx + 1) & 0xffff;
    this.#addedCount++;
    this.#memory.storeU16(this.place.avail + VIRTQ_AVAIL.offset.idx, this.#availIdx);
  }

  /** Whether the device must be kicked for what was added since the last question. */
  kickPrepare(): boolean {
    const current = this.#availIdx;
    const old = (current - this.#addedCount) & 0xffff;
    const many = this.#addedCount > 0xffff;
    this.#addedCount = 0;
    if (many) return true;
    if (!this.#eventIdx) {
      return (this.#memory.loadU16(this.place.used + VIRTQ_USED.offset.flags) & VIRTQ_USED_F_NO_NOTIFY) === 0;
    }
    return vringNeedEvent(this.#memory.loadU16(this.place.used + virtqAvailEvent(this.size)), current, old);
  }

  /** The next used chain, or undefined. Its descriptors and table are free again. */
  take(): Used<T> | undefined {
    if (this.#broken) return undefined;
    const ahead = this.#usedAhead();
    if (ahead === 0) return undefined;
    // Linux goes on, to the element that names no chain.
    if (ahead > this.#outstanding) this.#onFault?.('used-index');
    const at = this.place.used + virtqUsedSlot(this.#lastUsed & (this.size - 1));
    const id = this.#memory.readU32(at + VIRTQ_USED_ELEM.offset.id);
    const length = this.#memory.readU32(at + VIRTQ_USED_ELEM.offset.len);
    const live = id < this.size ? this.#live[id] : undefined;
    if (live === undefined) {
      this.#broken = true;
      this.#onFault?.('used-id');
      return undefined;
    }
    this.#release(id, live);
    this.#lastUsed = (this.#lastUsed + 1) & 0xffff;
    // Asks for the interrupt of the next one; the store is a full barrier before the caller looks again.
    if (this.#callbacks && this.#eventIdx) this.#storeUsedEvent(this.#lastUsed);
    return { cookie: live.cookie, length };
  }

  hasUsed(): boolean {
    return this.#usedAhead() !== 0;
  }

  /** Chains that the device says it has used since the last one was taken. */
  #usedAhead(): number {
    return (this.#memory.loadU16(this.place.used + VIRTQ_USED.offset.idx) - this.#lastUsed) & 0xffff;
  }

  /** No interrupts wanted; a hint. */
  disableCallbacks(): void {
    this.#callbacks = false;
    if (this.#eventIdx) this.#storeUsedEvent(0);
    else this.#memory.storeU16(this.place.avail + VIRTQ_AVAIL.offset.flags, VIRTQ_AVAIL_F_NO_INTERRUPT);
  }

  /** Interrupts wanted again. False when something was used meanwhile: look again before sleeping. */
  enableCallbacks(): boolean {
    this.#callbacks = true;
    if (!this.#eventIdx) this.#memory.storeU16(this.place.avail + VIRTQ_AVAIL.offset.flags, 0);
    this.#storeUsedEvent(this.#lastUsed);
    return !this.hasUsed();
  }

  /** No more traffic: the device was removed or must be reset. */
  breakQueue(): void {
    this.#broken = true;
  }

  /** After a reset of the device: hands out what it still had, so that each chain ends exactly once. */
  detach(): T[] {
    const cookies: T[] = [];
    this.#broken = true;
    for (let head = 0; head < this.size; head++) {
      const live = this.#live[head];
      if (live === undefined) continue;
      this.#release(head, live);
      cookies.push(live.cookie);
    }
    return cookies;
  }

  #storeUsedEvent(value: number): void {
    this.#memory.storeU16(this.place.avail + virtqUsedEvent(this.size), value);
  }

  #release(head: number, live: LiveChain<T>): void {
    this.#live[head] = undefined;
    this.#outstanding--;
    if (live.table !== undefined) this.#tables.release(live.table);
    // The chain is linked through #next already; its last descriptor points to what was free before.
    let last = head;
    for (let index = 1; index < live.count; index++) last = this.#next[last]!;
    this.#next[last] = this.#freeHead;
    this.#freeHead = head;
    this.#freeCount += live.count;
  }

  #descAt(index: number): number {
    return this.place.desc + index * VIRTQ_DESC.size;
  }

  #writeDesc(at: number, segment: Segment, flags: number, next: number): void {
    this.#memory.writeU64(at + VIRTQ_DESC.offset.addr, this.#dma(segment.addr));
    this.#memory.writeU32(at + VIRTQ_DESC.offset.len, segment.length);
    this.#memory.writeU16(at + VIRTQ_DESC.offset.flags, flags);
    this.#memory.writeU16(at + VIRTQ_DESC.offset.next, next);
  }

  #writeDirect(out: readonly Segment[], into: readonly Segment[]): void {
    const all = [...out, ...into];
    let index = this.#freeHead;
    all.forEach((segment, at) => {
      const next = this.#next[index]!;
      const more = at + 1 < all.length;
      const flags = (at < out.length ? 0 : VIRTQ_DESC_F_WRITE) | (more ? VIRTQ_DESC_F_NEXT : 0);
      this.#writeDesc(this.#descAt(index), segment, flags, more ? next : 0);
      index = next;
    });
    this.#freeHead = index;
  }

  #makeTable(out: readonly Segment[], into: readonly Segment[]): Segment | undefined {
    const all = [...out, ...into];
    const table = this.#tables.alloc(all.length * VIRTQ_DESC.size);
    if (table === undefined) return undefined;
    all.forEach((segment, at) => {
      const more = at + 1 < all.length;
      const flags = (at < out.length ? 0 : VIRTQ_DESC_F_WRITE) | (more ? VIRTQ_DESC_F_NEXT : 0);
      this.#writeDesc(table.addr + at * VIRTQ_DESC.size, segment, flags, more ? at + 1 : 0);
    });
    return { addr: table.addr, length: all.length * VIRTQ_DESC.size };
  }
}
