// A descriptor chain of a split or packed virtqueue, walked and checked: where its readable and its writable bytes lie in guest
// memory. What the bytes mean, and the rings that chains travel in, are left to the device and to device-queue.ts.
//
// The guest may write descriptors while we read them: each field is read once, and only what was read is checked and used.
// Where the specification leaves a bad chain open, or real devices differ, the choice here is: refuse what it forbids the
// driver and what cannot be served, since a driver that does so is broken and guessing at its meaning hides that; accept
// what it merely advises against. In particular
//  - a zero-length descriptor is accepted and adds nothing, wherever it points;
//  - WRITE on a descriptor that refers to a table is ignored (2.7.5.3.2); NEXT beside INDIRECT is refused (2.7.5.3.1);
//  - direct descriptors may be followed by an indirect one as the last (2.7.5.3.2);
//  - a table longer than the queue is accepted up to CHAIN_DESCRIPTORS_MAX;
//  - a buffer may cross adjoining memory regions.
import { dmaAddress } from '../core/dma-address.js';
import type { VirtqErrorCode } from '../core/error-codes.js';
import { ProtocolError } from '../core/errors.js';
import { CHAIN_DESCRIPTORS_MAX } from '../core/limits.js';
import type { GuestMemory } from '../core/memory.js';
import {
  VIRTQ_DESC,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  VIRTQ_PACKED_DESC,
} from '../layout/virtio-ring.js';

export type { VirtqErrorCode };

/** The driver broke a rule of the ring: its queue stops, nothing else. */
export class VirtqError extends ProtocolError {
  declare readonly code: VirtqErrorCode;
  constructor(code: VirtqErrorCode, message: string) {
    super(code, message);
  }
}

/** Where chains are found. Addresses are guest-physical, and `desc` holds `size` descriptors inside guest memory. */
export interface ChainTable {
  readonly memory: GuestMemory;
  readonly desc: number;
  readonly size: number;
  /** VIRTIO_F_INDIRECT_DESC was negotiated. */
  readonly indirect: boolean;
}

/** 2.7.4: the bytes of a chain, all together. */
const CHAIN_BYTES_MAX = 2 ** 32;
const { addr: AT_ADDR, len: AT_LEN, flags: AT_FLAGS, next: AT_NEXT } = VIRTQ_DESC.offset;

/**
 * One chain at a time; made once and walked again for every request, so that serving a queue allocates nothing. Its
 * owner must be done with it before the next walk, and before the memory it was walked in is unmapped.
 */
export class Chain {
  /** By which the chain is given back: the index of its first descriptor, in a packed ring the id in its last. */
  head = 0;
  readableBytes = 0;
  writableBytes = 0;
  #memory: GuestMemory | undefined;
  readonly #addr: number[] = [];
  readonly #len: number[] = [];
  #readableCount = 0;
  #count = 0;

  /** Takes the chain that starts at `head`; throws VirtqError, after which the chain is empty. */
  walk(table: ChainTable, head: number): void {
    this.#clear(table.memory, head);
    try {
      if (head >= table.size) throw new VirtqError('HEAD_RANGE', `head ${head} in a queue of ${table.size}`);
      this.#walkTable(table, table.desc, table.size, head, 0);
    } catch (error) {
      this.#clear(undefined, head);
      throw error;
    }
  }

  /**
   * Takes the chain that starts in a slot of a packed ring; answers how many slots it has. `ring`: where its descriptors
   * are, when those of the table are not asked any more. Throws as walk() does.
   */
  walkPacked(table: ChainTable, first: number, ring: Omit<ChainTable, 'indirect'> = table): number {
    this.#clear(table.memory, first);
    const { memory } = table;
    const { memory: descriptors, desc, size } = ring;
    try {
      for (let count = 1, slot = first; ; count++, slot = slot + 1 === size ? 0 : slot + 1) {
        if (count > size) throw new VirtqError('CHAIN_LENGTH', `chain ${first} has more than ${size} descriptors`);
        const at = desc + slot * VIRTQ_PACKED_DESC.size;
        const addr = dmaAddress(descriptors.readU32(at + AT_ADDR + 4), descriptors.readU32(at + AT_ADDR));
        const len = descriptors.readU32(at + AT_LEN);
        const flags = descriptors.readU16(at + VIRTQ_PACKED_DESC.offset.flags);
        const next = (flags & VIRTQ_DESC_F_NEXT) !== 0;
        if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
          if (next) throw new VirtqError('INDIRECT_NEXT', `chain ${first} goes on after its indirect table`);
          this.#checkTable(table, addr, len);
          for (let entry = addr; entry < addr + len; entry += VIRTQ_PACKED_DESC.size)
            this.#addPackedEntry(memory, entry);
        } else this.#add(memory, addr, len, (flags & VIRTQ_DESC_F_WRITE) !== 0);
        if (next) continue;
        this.head = descriptors.readU16(at + VIRTQ_PACKED_DESC.offset.id);
        return count;
      }
    } catch (error) {
      this.#clear(undefined, first);
      throw error;
    }
  }

  #addPackedEntry(memory: GuestMemory, at: number): void {
    if (this.#count >= CHAIN_DESCRIPTORS_MAX)
      throw new VirtqError('CHAIN_LENGTH', `chain ${this.head} has more than ${CHAIN_DESCRIPTORS_MAX} descriptors`);
    const addr = dmaAddress(memory.readU32(at + AT_ADDR + 4), memory.readU32(at + AT_ADDR));
    const flags = memory.readU16(at + VIRTQ_PACKED_DESC.offset.flags);
    this.#add(memory, addr, memory.readU32(at + AT_LEN), (flags & VIRTQ_DESC_F_WRITE) !== 0);
  }

  #clear(memory: GuestMemory | undefined, head: number): void {
    this.#memory = memory;
    this.head = head;
    this.readableBytes = 0;
    this.writableBytes = 0;
    this.#readableCount = 0;
    this.#count = 0;
  }

  /** `before`: descriptors of the queue's own table that led to this one; 0 there, at least 1 inside an indirect table. */
  #walkTable(table: ChainTable, base: number, entries: number, first: number, before: number): void {
    const { memory } = table;
    const inside = before > 0;
    // The queue's own table bounds a direct chain; what it and an indirect table hold together has the wider bound.
    const bound = inside ? Math.max(table.size, CHAIN_DESCRIPTORS_MAX) : table.size;
    let index = first;
    for (let count = before + 1; ; count++) {
      if (count > bound) throw new VirtqError('CHAIN_LENGTH', `chain ${this.head} has more than ${bound} descriptors`);
      const at = base + index * VIRTQ_DESC.size;
      const addr = dmaAddress(memory.readU32(at + AT_ADDR + 4), memory.readU32(at + AT_ADDR));
      const len = memory.readU32(at + AT_LEN);
      const flags = memory.readU16(at + AT_FLAGS);
      if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
        if (inside) throw new VirtqError('INDIRECT_NESTED', `chain ${this.head} has a table inside a table`);
        if ((flags & VIRTQ_DESC_F_NEXT) !== 0) {
          throw new VirtqError('INDIRECT_NEXT', `chain ${this.head} goes on after its indirect table`);
        }
        this.#walkIndirect(table, addr, len, count);
        return;
      }
      this.#add(memory, addr, len, (flags & VIRTQ_DESC_F_WRITE) !== 0);
      if ((flags & VIRTQ_DESC_F_NEXT) === 0) return;
      index = memory.readU16(at + AT_NEXT);
      if (index >= entries) throw new VirtqError('NEXT_RANGE', `chain ${this.head} goes to ${index} of ${entries}`);
    }
  }

  #walkIndirect(table: ChainTable, addr: number, len: number, before: number): void {
    this.#checkTable(table, addr, len);
    this.#walkTable(table, addr, len / VIRTQ_DESC.size, 0, before);
  }

  #checkTable(table: ChainTable, addr: number, len: number): void {
    if (!table.indirect) throw new VirtqError('INDIRECT_FEATURE', `chain ${this.head} is indirect, not negotiated`);
    if (len === 0 || len % VIRTQ_DESC.size !== 0) {
      throw new VirtqError('INDIRECT_LENGTH', `chain ${this.head} has an indirect table of ${len} bytes`);
    }
    try {
      table.memory.check(addr, len);
    } catch (cause) {
      throw new VirtqError('INDIRECT_ADDRESS', `chain ${this.head}: ${(cause as Error).message}`);
    }
  }

  #add(memory: GuestMemory, addr: number, len: number, writable: boolean): void {
    if (!writable && this.#count > this.#readableCount) {
      throw new VirtqError('CHAIN_ORDER', `chain ${this.head} has a readable descriptor after a writable one`);
    }
    if (!memory.contains(addr, len, writable)) {
      throw new VirtqError(
        'CHAIN_ADDRESS',
        `chain ${this.head}: 0x${addr.toString(16)} length ${len} is outside memory`,
      );
    }
    if (this.readableBytes + this.writableBytes + len > CHAIN_BYTES_MAX) {
      throw new VirtqError('CHAIN_BYTES', `chain ${this.head} has more than 2^32 bytes`);
    }
    this.#addr[this.#count] = addr;
    this.#len[this.#count] = len;
    this.#count++;
    if (writable) {
      this.writableBytes += len;
    } else {
      this.readableBytes += len;
      this.#readableCount++;
    }
  }

  /** Copies readable bytes from `offset` on into `target`; answers how many there were, at most target.length. */
  read(offset: number, target: Uint8Array): number {
    return this.#copy(0, this.#readableCount, offset, target, false);
  }

  /** Copies `source` into the writable bytes from `offset` on; answers how many had room. */
  write(offset: number, source: Uint8Array): number {
    return this.#copy(this.#readableCount, this.#count, offset, source, true);
  }

  #copy(from: number, to: number, offset: number, local: Uint8Array, out: boolean): number {
    const memory = this.#memory;
    let skip = offset;
    let done = 0;
    for (let segment = from; segment < to && done < local.length; segment++) {
      const len = this.#len[segment]!;
      if (skip >= len) {
        skip -= len;
        continue;
      }
      const take = Math.min(len - skip, local.length - done);
      const addr = this.#addr[segment]! + skip;
      const part = take === local.length ? local : local.subarray(done, done + take);
      if (out) memory!.write(addr, part);
      else memory!.read(addr, part);
      done += take;
      skip = 0;
    }
    return done;
  }
}
