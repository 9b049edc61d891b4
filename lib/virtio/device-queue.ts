// The device's end of a split virtqueue (virtio 1.4, 2.7): takes available chains, gives used ones back, decides who must be told. Leaves
// what a chain means to the device, and how a kick or a call travels to the transport.
//
// Order (2.7.13, 2.7.8). The driver writes descriptors, then the ring entry, then avail.idx; so we load avail.idx first and
// the rest after it. We write the used element, then used.idx, and only then look whether the driver wants to be told. Both
// loads and stores of the shared words are sequentially consistent (GuestMemory.loadU16, storeU16), which gives the full
// barrier that "store mine, then load theirs" needs on both sides; plain accesses do not pass them.
//
// Suppression (2.7.7, 2.7.10). Kicks: while we serve, the driver need not tell us. With EVENT_IDX that is so whenever
// avail_event lies behind; without it, used.flags says it. Before sleeping, enableKicks() asks for the next entry and then
// looks at avail.idx once more: an entry published in between was perhaps not told, so the caller must go on serving.
// Calls: a driver that sees nothing new may sleep after it wrote used_event; we store used.idx, then load used_event: one
// of the two sees the other's store, so either it finds the entry or we notify.
import type { GuestMemory } from '../core/memory.js';
import {
  hasFeature,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTQ_AVAIL,
  VIRTQ_AVAIL_ALIGN,
  VIRTQ_AVAIL_F_NO_INTERRUPT,
  VIRTQ_DESC_ALIGN,
  VIRTQ_SIZE_MAX,
  VIRTQ_USED,
  VIRTQ_USED_ALIGN,
  VIRTQ_USED_ELEM,
  VIRTQ_USED_F_NO_NOTIFY,
  virtqAvailBytes,
  virtqAvailEvent,
  virtqAvailSlot,
  virtqDescBytes,
  virtqUsedBytes,
  virtqUsedEvent,
  virtqUsedSlot,
  vringNeedEvent,
} from '../layout/virtio-ring.js';
import { type Chain, type ChainTable, VirtqError } from './chain.js';
import { checkArea, type DeviceRing, type InflightLog, type QueueLayout } from './device-ring.js';

export class DeviceQueue implements DeviceRing {
  readonly #memory: GuestMemory;
  readonly #table: ChainTable;
  readonly #size: number;
  readonly #mask: number;
  readonly #avail: number;
  readonly #used: number;
  readonly #eventIdx: boolean;
  readonly #inflight: InflightLog | undefined;
  /** Heads that an earlier server took and did not give back. */
  readonly #again: number[];
  #nextAvail: number;
  #nextUsed: number;
  /** used.idx at the last decision to notify; unknown after a start, when a stale value must not silence us. */
  #signalled: number | undefined;

  /** Checks the three areas against `memory`; throws VirtqError QUEUE_LAYOUT. Nothing is written yet. */
  constructor(memory: GuestMemory, layout: QueueLayout, features: bigint) {
    const { size, desc, avail, used } = layout;
    if (!Number.isInteger(size) || size < 1 || size > VIRTQ_SIZE_MAX || (size & (size - 1)) !== 0) {
      throw new VirtqError('QUEUE_LAYOUT', `queue size ${size} is no power of two up to ${VIRTQ_SIZE_MAX}`);
    }
    checkArea(memory, 'descriptor table', desc, virtqDescBytes(size), VIRTQ_DESC_ALIGN);
    checkArea(memory, 'available ring', avail, virtqAvailBytes(size), VIRTQ_AVAIL_ALIGN);
    checkArea(memory, 'used ring', used, virtqUsedBytes(size), VIRTQ_USED_ALIGN);
    this.#memory = memory;
    this.#table = { memory, desc, size, indirect: hasFeature(features, VIRTIO_F_INDIRECT_DESC) };
    this.#size = size;
    this.#mask = size - 1;
    this.#avail = avail;
    this.#used = used;
    this.#eventIdx = hasFeature(features, VIRTIO_F_EVENT_IDX);
    this.#nextAvail = layout.base & 0xffff;
    // The used index belongs to the device and lives in memory only; after a restart it is read back from there.
    this.#nextUsed = memory.loadU16(used + VIRTQ_USED.offset.idx);
    this.#inflight = layout.inflight;
    const again = this.#inflight?.begin(this.#nextUsed);
    this.#again = again === undefined ? [] : [...again];
    if (again !== undefined) this.#nextAvail = (this.#nextUsed + again.length) & 0xffff;
  }

  /** The available index that a later start goes on from: chains taken so far count as ours. */
  get nextAvail(): number {
    return (this.#nextAvail - this.#again.length) & 0xffff;
  }

  base(kept: boolean): number {
    return (this.nextAvail - (kept ? 1 : 0)) & 0xffff;
  }

  pop(chain: Chain): boolean {
    const again = this.#again.shift();
    if (again !== undefined) {
      chain.walk(this.#table, again);
      return true;
    }
    const ahead = (this.#memory.loadU16(this.#avail + VIRTQ_AVAIL.offset.idx) - this.#nextAvail) & 0xffff;
    if (ahead === 0) return false;
    if (ahead > this.#size) {
      throw new VirtqError('AVAIL_INDEX', `available index is ${ahead} ahead in a queue of ${this.#size}`);
    }
    const head = this.#memory.readU16(this.#avail + virtqAvailSlot(this.#nextAvail & this.#mask));
    this.#inflight?.taken(head);
    chain.walk(this.#table, head);
    this.#nextAvail = (this.#nextAvail + 1) & 0xffff;
    return true;
  }

  pushUsed(head: number, written: number): void {
    const at = this.#used + virtqUsedSlot(this.#nextUsed & this.#mask);
    this.#memory.writeU32(at + VIRTQ_USED_ELEM.offset.id, head);
    this.#memory.writeU32(at + VIRTQ_USED_ELEM.offset.len, written);
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    this.#inflight?.givingBack(head);
    this.#memory.storeU16(this.#used + VIRTQ_USED.offset.idx, this.#nextUsed);
    this.#inflight?.gaveBack(head, this.#nextUsed);
  }

  needsCall(): boolean {
    const old = this.#signalled;
    const current = this.#nextUsed;
    this.#signalled = current;
    if (old === current) return false;
    if (!this.#eventIdx) {
      return (this.#memory.loadU16(this.#avail + VIRTQ_AVAIL.offset.flags) & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0;
    }
    const event = this.#memory.loadU16(this.#avail + virtqUsedEvent(this.#size));
    return old === undefined || vringNeedEvent(event, current, old);
  }

  disableKicks(): void {
    if (!this.#eventIdx) this.#memory.storeU16(this.#used + VIRTQ_USED.offset.flags, VIRTQ_USED_F_NO_NOTIFY);
  }

  enableKicks(): boolean {
    if (this.#eventIdx) {
      this.#memory.storeU16(this.#used + virtqAvailEvent(this.#size), this.#nextAvail);
    } else {
      this.#memory.storeU16(this.#used + VIRTQ_USED.offset.flags, 0);
    }
    return this.#memory.loadU16(this.#avail + VIRTQ_AVAIL.offset.idx) !== this.#nextAvail;
  }
}
