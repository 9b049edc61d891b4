// The device's end of a packed virtqueue (virtio 1.4, 2.8): one ring of descriptors that the driver makes available and we
// overwrite as used, in the order in which we give back. Leaves what a chain means to the device, and how a kick or a call
// travels to the transport.
//
// Order. A slot's flags are its publication: the driver writes them last, and those of a chain's first slot after all the
// others; we load them first. We write id and length, then the flags, and only then look whether the driver wants to be
// told. Flags and event words are accessed sequentially consistent (loadU16, storeU16), which gives the full barriers that
// "store mine, then load theirs" needs on both sides.
//
// Wrap counters. Each side has one bit that flips when it passes the end of the ring, so that a slot of the last round is
// told from one of this round. Either position is told to others as a slot with the counter in bit 15.
import { type GuestMemory, RegionMemory } from '../core/memory.js';
import {
  VIRTQ_PACKED_DESC as DESC,
  VIRTQ_PACKED_EVENT as EVENT,
  hasFeature,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTQ_DESC_ALIGN,
  VIRTQ_DESC_F_WRITE,
  VIRTQ_PACKED_DESC_F_AVAIL,
  VIRTQ_PACKED_DESC_F_USED,
  VIRTQ_PACKED_EVENT_ALIGN,
  VIRTQ_PACKED_EVENT_FLAGS,
  VIRTQ_PACKED_WRAP,
  VIRTQ_SIZE_MAX,
  vringNeedEvent,
} from '../layout/virtio-ring.js';
import { type Chain, type ChainTable, VirtqError } from './chain.js';
import {
  checkArea,
  type DeviceRing,
  type PackedInflightLog,
  type QueueLayout,
  type RecordedChain,
} from './device-ring.js';

/** A place in the ring, going round and round. */
class Position {
  slot: number;
  wrap: boolean;
  readonly #size: number;

  /** `word`: as it is told to others. Throws VirtqError when the slot lies outside the ring. */
  constructor(word: number, size: number) {
    this.slot = word & ~VIRTQ_PACKED_WRAP;
    this.wrap = (word & VIRTQ_PACKED_WRAP) !== 0;
    this.#size = size;
    if (this.slot >= size) throw new VirtqError('QUEUE_LAYOUT', `slot ${this.slot} in a ring of ${size}`);
  }

  get word(): number {
    return this.slot | (this.wrap ? VIRTQ_PACKED_WRAP : 0);
  }

  /** Answers whether it passed the end. */
  advance(count: number): boolean {
    this.slot += count;
    if (this.slot < this.#size) return false;
    this.slot -= this.#size;
    this.wrap = !this.wrap;
    return true;
  }
}

export class PackedQueue implements DeviceRing {
  readonly #memory: GuestMemory;
  readonly #table: ChainTable;
  readonly #driverEvent: number;
  readonly #deviceEvent: number;
  readonly #eventIdx: boolean;
  readonly #avail: Position;
  readonly #used: Position;
  /** Each chain that is taken, by its id: its slots, and its entry in the record. */
  readonly #taken = new Map<number, { readonly slots: number; readonly entry: number }>();
  readonly #inflight: PackedInflightLog | undefined;
  /** Chains that an earlier server took and did not give back. */
  readonly #again: RecordedChain[];
  /** Slot at the last decision to notify; unknown after a start and a wrap, when a stale one must not silence us. */
  #signalled: number | undefined;
  #pushed = false;

  constructor(memory: GuestMemory, layout: QueueLayout, features: bigint) {
    const { size, desc, avail, used, base } = layout;
    if (!Number.isInteger(size) || size < 1 || size > VIRTQ_SIZE_MAX)
      throw new VirtqError('QUEUE_LAYOUT', `a packed ring of ${size} descriptors`);
    checkArea(memory, 'descriptor ring', desc, size * DESC.size, VIRTQ_DESC_ALIGN);
    checkArea(memory, 'driver event', avail, EVENT.size, VIRTQ_PACKED_EVENT_ALIGN);
    checkArea(memory, 'device event', used, EVENT.size, VIRTQ_PACKED_EVENT_ALIGN);
    this.#memory = memory;
    this.#table = { memory, desc, size, indirect: hasFeature(features, VIRTIO_F_INDIRECT_DESC) };
    this.#driverEvent = avail;
    this.#deviceEvent = used;
    this.#eventIdx = hasFeature(features, VIRTIO_F_EVENT_IDX);
    this.#inflight = layout.packedInflight;
    const again = this.#inflight?.begin(base >>> 16, (word) => this.#isAvailable(new Position(word, size)));
    const recorded = again === undefined ? undefined : this.#inflight?.used;
    this.#again = again === undefined ? [] : [...again];
    this.#used = new Position(recorded ?? base >>> 16, size);
    this.#avail = new Position(recorded ?? base & 0xffff, size);
    for (const { slots } of this.#again) this.#avail.advance(slots);
  }

  pop(chain: Chain): boolean {
    const again = this.#again.shift();
    if (again !== undefined) {
      const desc = new RegionMemory([{ base: 0, bytes: again.descriptors }]);
      chain.walkPacked(this.#table, 0, { memory: desc, desc: 0, size: again.slots });
      this.#take(chain, again.slots, again.entry);
      return true;
    }
    if (!this.#isAvailable(this.#avail)) return false;
    const slots = chain.walkPacked(this.#table, this.#avail.slot);
    this.#take(chain, slots, this.#inflight?.taken(this.#descriptors(slots)) ?? 0);
    this.#avail.advance(slots);
    return true;
  }

  #take({ head }: Chain, slots: number, entry: number): void {
    if (this.#taken.has(head))
      throw new VirtqError('HEAD_RANGE', `buffer ${head} is available, and was not given back yet`);
    this.#taken.set(head, { slots, entry });
  }

  /** Copies of the next ones of the ring. The driver may have changed them since they were walked: they are walked anew, too. */
  #descriptors(slots: number): Uint8Array[] {
    const { desc, size } = this.#table;
    return Array.from({ length: slots }, (_, index) => {
      const bytes = new Uint8Array(DESC.size);
      this.#memory.read(desc + ((this.#avail.slot + index) % size) * DESC.size, bytes);
      return bytes;
    });
  }

  #isAvailable({ slot, wrap }: Position): boolean {
    const flags = this.#memory.loadU16(this.#flagsAt(slot));
    return ((flags & VIRTQ_PACKED_DESC_F_AVAIL) !== 0) === wrap && ((flags & VIRTQ_PACKED_DESC_F_USED) !== 0) !== wrap;
  }

  #flagsAt(slot: number): number {
    return this.#table.desc + slot * DESC.size + DESC.offset.flags;
  }

  pushUsed(head: number, written: number): void {
    const at = this.#table.desc + this.#used.slot * DESC.size;
    this.#memory.writeU32(at + DESC.offset.len, written);
    this.#memory.writeU16(at + DESC.offset.id, head);
    const { slots, entry } = this.#taken.get(head) ?? { slots: 1, entry: 0 };
    const both = VIRTQ_PACKED_DESC_F_AVAIL | VIRTQ_PACKED_DESC_F_USED;
    // The length means something only beside WRITE (2.8.4).
    const flags = (this.#used.wrap ? both : 0) | (written > 0 ? VIRTQ_DESC_F_WRITE : 0);
    if (this.#used.advance(slots)) this.#signalled = undefined;
    this.#inflight?.givingBack(entry, this.#used.word);
    this.#memory.storeU16(at + DESC.offset.flags, flags);
    this.#inflight?.gaveBack(entry);
    this.#taken.delete(head);
    this.#pushed = true;
  }

  needsCall(): boolean {
    const old = this.#signalled;
    const { slot, wrap } = this.#used;
    this.#signalled = slot;
    if (!this.#pushed) return false;
    this.#pushed = false;
    const flags = this.#memory.loadU16(this.#driverEvent + EVENT.offset.flags);
    if (flags === VIRTQ_PACKED_EVENT_FLAGS.DISABLE) return false;
    if (flags !== VIRTQ_PACKED_EVENT_FLAGS.DESC || !this.#eventIdx || old === undefined) return true;
    const word = this.#memory.loadU16(this.#driverEvent + EVENT.offset.desc);
    const event = word & ~VIRTQ_PACKED_WRAP;
    const lastRound = ((word & VIRTQ_PACKED_WRAP) !== 0) !== wrap;
    return vringNeedEvent(lastRound ? event - this.#table.size : event, slot, old);
  }

  disableKicks(): void {
    this.#memory.storeU16(this.#deviceEvent + EVENT.offset.flags, VIRTQ_PACKED_EVENT_FLAGS.DISABLE);
  }

  enableKicks(): boolean {
    if (this.#eventIdx) this.#memory.storeU16(this.#deviceEvent + EVENT.offset.desc, this.#avail.word);
    const { DESC: AT, ENABLE } = VIRTQ_PACKED_EVENT_FLAGS;
    this.#memory.storeU16(this.#deviceEvent + EVENT.offset.flags, this.#eventIdx ? AT : ENABLE);
    return this.#isAvailable(this.#avail);
  }

  base(kept: boolean): number {
    // What is kept begins where the next one is given back.
    const avail = kept || this.#again.length > 0 ? this.#used.word : this.#avail.word;
    return (avail | (this.#used.word << 16)) >>> 0;
  }
}
