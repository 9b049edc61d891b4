// A driver's end of one packed virtqueue for tests of devices: lays the ring out in memory, publishes chains good and bad,
// reads what came back. Deliberately simple and unchecked, so that it can break every rule. Its split sister: ring-driver.ts.
import type { GuestMemory } from '../lib/core/memory.js';
import {
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  VIRTQ_PACKED_BASE_FRESH,
  VIRTQ_PACKED_DESC,
  VIRTQ_PACKED_DESC_F_AVAIL,
  VIRTQ_PACKED_DESC_F_USED,
  VIRTQ_PACKED_EVENT,
  VIRTQ_PACKED_EVENT_FLAGS,
  VIRTQ_PACKED_WRAP,
  vringNeedEvent,
} from '../lib/layout/virtio-ring.js';
import type { QueueLayout } from '../lib/virtio/device-ring.js';
import type { Segment } from './ring-driver.js';

const { ENABLE, DISABLE, DESC } = VIRTQ_PACKED_EVENT_FLAGS;

export class PackedDriver {
  readonly memory: GuestMemory;
  readonly layout: QueueLayout;
  /** First address after the queue: free for buffers. */
  readonly free: number;
  slot = 0;
  wrap = true;
  usedSlot = 0;
  usedWrap = true;
  /** Slots that the device has. */
  out = 0;
  /** Slots of each chain that the device has, by id. */
  readonly chains = new Map<number, number>();
  #nextId = 0;
  #added = 0;

  constructor(memory: GuestMemory, { size = 8, at = 0 } = {}) {
    const avail = at + size * VIRTQ_PACKED_DESC.size;
    const used = avail + VIRTQ_PACKED_EVENT.size;
    this.memory = memory;
    this.layout = { size, desc: at, avail, used, base: VIRTQ_PACKED_BASE_FRESH };
    this.free = (used + VIRTQ_PACKED_EVENT.size + 15) & ~15;
    memory.write(at, new Uint8Array(this.free - at));
  }

  /** Writes one slot, or entry, without the two flags that publish it. */
  desc(at: number, { addr, len, write = false }: Segment, id: number, more = 0): void {
    const flags = (write ? VIRTQ_DESC_F_WRITE : 0) | more;
    this.memory.write(at, VIRTQ_PACKED_DESC.bytes({ addr: BigInt(addr), len, id, flags }));
  }

  /**
   * Makes a chain available; answers its id. The flags of its first slot are written last. With `held` they are written
   * without the mark that publishes the chain: the ring can be spoilt before publish(first slot) shows it to a device that polls.
   */
  add(
    segments: readonly Segment[],
    { indirectAt, held = false }: { indirectAt?: number; held?: boolean } = {},
  ): number {
    const id = this.#freeId();
    const slots: { segment: Segment; more: number }[] = segments.map((segment, index) => ({
      ...{ segment, more: index < segments.length - 1 ? VIRTQ_DESC_F_NEXT : 0 },
    }));
    if (indirectAt !== undefined) {
      const { size } = VIRTQ_PACKED_DESC;
      for (const [index, segment] of segments.entries()) this.desc(indirectAt + index * size, segment, 0);
      const segment = { addr: indirectAt, len: segments.length * size };
      slots.splice(0, slots.length, { segment, more: VIRTQ_DESC_F_INDIRECT });
    }
    const publish: (() => void)[] = [];
    for (const [index, { segment, more }] of slots.entries()) {
      const at = this.layout.desc + this.slot * VIRTQ_PACKED_DESC.size;
      const flags = (segment.write ? VIRTQ_DESC_F_WRITE : 0) | more;
      const mark = this.wrap ? VIRTQ_PACKED_DESC_F_AVAIL : VIRTQ_PACKED_DESC_F_USED;
      const { offset } = VIRTQ_PACKED_DESC;
      this.memory.writeU64(at + offset.addr, BigInt(segment.addr));
      this.memory.writeU32(at + offset.len, segment.len);
      this.memory.writeU16(at + offset.id, id);
      publish.push(() => this.memory.storeU16(at + offset.flags, held && index === 0 ? flags : flags | mark));
      if (++this.slot === this.layout.size) {
        this.slot = 0;
        this.wrap = !this.wrap;
      }
    }
    for (const action of publish.reverse()) action();
    this.chains.set(id, slots.length);
    this.out += slots.length;
    this.#added += slots.length;
    return id;
  }

  /** Publishes a chain of a fresh ring that was held, by the flags of its first slot as they stand. */
  publish(slot: number): void {
    const at = this.layout.desc + slot * VIRTQ_PACKED_DESC.size + VIRTQ_PACKED_DESC.offset.flags;
    this.memory.storeU16(at, this.memory.loadU16(at) | VIRTQ_PACKED_DESC_F_AVAIL);
  }

  #freeId(): number {
    do this.#nextId = (this.#nextId + 7) % 0x10000;
    while (this.chains.has(this.#nextId));
    return this.#nextId;
  }

  /** Chains that came back and were not seen before. A length without WRITE reads as 0. */
  collect(): { id: number; len: number }[] {
    const seen: { id: number; len: number }[] = [];
    for (;;) {
      const at = this.layout.desc + this.usedSlot * VIRTQ_PACKED_DESC.size;
      const flags = this.memory.loadU16(at + VIRTQ_PACKED_DESC.offset.flags);
      const both = [VIRTQ_PACKED_DESC_F_AVAIL, VIRTQ_PACKED_DESC_F_USED].map((flag) => (flags & flag) !== 0);
      if (both.some((set) => set !== this.usedWrap)) return seen;
      const { id, len } = VIRTQ_PACKED_DESC.decode(this.memory.view(at, VIRTQ_PACKED_DESC.size));
      const slots = this.chains.get(id);
      if (slots === undefined) throw new Error(`the device gave back ${id}, which it has not`);
      this.chains.delete(id);
      this.out -= slots;
      seen.push({ id, len: (flags & VIRTQ_DESC_F_WRITE) === 0 ? 0 : len });
      this.usedSlot += slots;
      if (this.usedSlot < this.layout.size) continue;
      this.usedSlot -= this.layout.size;
      this.usedWrap = !this.usedWrap;
    }
  }

  /** What the device is to call for: every chain that it gives back, none, or (EVENT_IDX) the next one that is not seen yet. */
  askCalls(which: 'every' | 'none' | 'next'): void {
    const word = this.usedSlot | (this.usedWrap ? VIRTQ_PACKED_WRAP : 0);
    this.memory.storeU16(this.layout.avail + VIRTQ_PACKED_EVENT.offset.desc, word);
    const flags = { every: ENABLE, none: DISABLE, next: DESC }[which];
    this.memory.storeU16(this.layout.avail + VIRTQ_PACKED_EVENT.offset.flags, flags);
  }

  /** Whether the device wants to be kicked for what was added since the last question. */
  kickWanted(): boolean {
    const added = this.#added;
    this.#added = 0;
    const flags = this.memory.loadU16(this.layout.used + VIRTQ_PACKED_EVENT.offset.flags);
    if (flags !== DESC) return flags !== DISABLE;
    const word = this.memory.loadU16(this.layout.used + VIRTQ_PACKED_EVENT.offset.desc);
    const lastRound = ((word & VIRTQ_PACKED_WRAP) !== 0) !== this.wrap;
    const event = (word & ~VIRTQ_PACKED_WRAP) - (lastRound ? this.layout.size : 0);
    return vringNeedEvent(event, this.slot, this.slot - added);
  }
}
