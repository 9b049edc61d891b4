// Guest memory behind one interface: the only code that touches raw bytes of a guest. Every address and length is
// checked here, so that a hostile descriptor ends in a GuestMemoryError and never in a wild access.
// Leaves mapping files to lib/node/files/shm.ts and what a page means to its protocol.
import { ErrnoError } from './errors.js';

export class GuestMemoryError extends ErrnoError {
  constructor(addr: number, length: number) {
    super('EFAULT', `guest address 0x${addr.toString(16)} length ${length} is outside its memory`);
  }
}

/**
 * A run of guest-physical addresses backed by bytes of this process. Memory beyond what one ArrayBuffer holds is several
 * of them, its windows: their bytes may go on into the next one's addresses, where they are the same memory mapped twice,
 * so that a ring that lies across the border is in one piece nevertheless (memory-windows.ts).
 */
export interface MemoryRegion {
  /** First guest-physical address, a multiple of 4096. */
  readonly base: number;
  readonly bytes: Uint8Array;
  /** Bytes up to the next window's base; all of them when absent. */
  readonly size?: number;
}

export interface GuestMemory {
  /** Throws GuestMemoryError unless [addr, addr+length) lies inside one region. Zero lengths need a valid address too. */
  check(addr: number, length: number): void;
  /**
   * Whether all of [addr, addr+length) is backed, and may be written if asked so, over region borders if need be; true for
   * no bytes at all.
   */
  contains(addr: number, length: number, writable?: boolean): boolean;
  /** Live views that make up [addr, addr+length), one a region, in order; the rules of view() hold for each. */
  views(addr: number, length: number): Uint8Array[];
  /** A live view of guest bytes inside one region; not to be kept across an await: the memory may be unmapped. */
  view(addr: number, length: number): Uint8Array;
  /** Copies out, over region borders if need be. */
  read(addr: number, target: Uint8Array): void;
  /** Copies in, over region borders if need be; nothing is written when any part is outside. */
  write(addr: number, source: Uint8Array): void;
  readU8(addr: number): number;
  readU16(addr: number): number;
  readU32(addr: number): number;
  readU64(addr: number): bigint;
  writeU8(addr: number, value: number): void;
  writeU16(addr: number, value: number): void;
  writeU32(addr: number, value: number): void;
  writeU64(addr: number, value: bigint): void;
  /** Sequentially consistent 16-bit access to a naturally aligned word: ring indexes, flags, event words. */
  loadU16(addr: number): number;
  storeU16(addr: number, value: number): void;
  /** Total bytes of all regions. */
  readonly size: number;
  /** What was allowed may be taken back by the guest: views are good for one access and not to be kept. */
  readonly revocable?: boolean;
}

interface Mapped {
  readonly base: number;
  /** Where the next region may begin. */
  readonly end: number;
  /** Where its bytes end. */
  readonly reach: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly words16: Uint16Array;
}

/** GuestMemory over sorted, non-overlapping regions. Throws EINVAL when they overlap or are misaligned. */
export class RegionMemory implements GuestMemory {
  readonly size: number;
  #regions: Mapped[];
  #last: Mapped;

  constructor(regions: readonly MemoryRegion[]) {
    const sorted = [...regions].sort((a, b) => a.base - b.base);
    let end = 0;
    let size = 0;
    this.#regions = sorted.map(({ base, bytes, size: own = bytes.length }) => {
      if (own === 0 || own > bytes.length || base < end || bytes.byteOffset % 2 !== 0) {
        throw new ErrnoError('EINVAL', `memory region at 0x${base.toString(16)} overlaps another or is empty`);
      }
      end = base + own;
      size += own;
      return {
        base,
        end,
        reach: base + bytes.length,
        bytes,
        view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
        words16: new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1),
      };
    });
    const first = this.#regions[0];
    if (first === undefined) throw new ErrnoError('EINVAL', 'no memory region');
    this.#last = first;
    this.size = size;
  }

  /** Forgets all regions: every later access throws instead of touching unmapped bytes. */
  close(): void {
    this.#regions = [];
    const nothing = new Uint8Array(0);
    this.#last = {
      base: 0,
      end: -1,
      reach: -1,
      bytes: nothing,
      view: new DataView(nothing.buffer),
      words16: new Uint16Array(0),
    };
  }

  #find(addr: number, length: number): Mapped {
    const last = this.#last;
    if (addr >= last.base && addr + length <= last.reach) return last;
    const region = this.#regionOf(addr);
    // At the end of a region no byte is, but an address that zero bytes may have.
    if (region === undefined || addr > region.reach || addr + length > region.reach)
      throw new GuestMemoryError(addr, length);
    this.#last = region;
    return region;
  }

  /** The last region that begins at `addr` or before it. */
  #regionOf(addr: number): Mapped | undefined {
    const regions = this.#regions;
    let low = 0;
    let high = regions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (regions[middle]!.base <= addr) low = middle + 1;
      else high = middle;
    }
    return regions[low - 1];
  }

  check(addr: number, length: number): void {
    this.#find(addr, length);
  }

  contains(addr: number, length: number): boolean {
    const last = this.#last;
    if (addr >= last.base && addr + length <= last.reach) return true;
    // Beyond 2^53 a sum may equal its summand; no memory lies there.
    if (length > 0 && addr > Number.MAX_SAFE_INTEGER) return false;
    const end = addr + length;
    for (let at = addr; at < end; ) {
      const region = this.#regionOf(at);
      if (region === undefined || at >= region.end) return false;
      at = region.end;
    }
    return true;
  }

  views(addr: number, length: number): Uint8Array[] {
    const views: Uint8Array[] = [];
    this.#walk(addr, length, (bytes) => views.push(bytes));
    return views;
  }

  view(addr: number, length: number): Uint8Array {
    const region = this.#find(addr, length);
    const at = addr - region.base;
    return region.bytes.subarray(at, at + length);
  }

  read(addr: number, target: Uint8Array): void {
    const { base, reach, bytes } = this.#last;
    if (addr >= base && addr + target.length <= reach) {
      target.set(bytes.subarray(addr - base, addr - base + target.length));
      return;
    }
    this.#walk(addr, target.length, (bytes, done) => target.set(bytes, done));
  }

  write(addr: number, source: Uint8Array): void {
    const { base, reach, bytes } = this.#last;
    if (addr >= base && addr + source.length <= reach) {
      bytes.set(source, addr - base);
      return;
    }
    this.#walk(addr, source.length, () => {});
    this.#walk(addr, source.length, (bytes, done) => bytes.set(source.subarray(done, done + bytes.length)));
  }

  #walk(addr: number, length: number, each: (bytes: Uint8Array, done: number) => void): void {
    let done = 0;
    while (done < length) {
      const region = this.#find(addr + done, 1);
      const at = addr + done - region.base;
      const take = Math.min(length - done, region.bytes.length - at);
      each(region.bytes.subarray(at, at + take), done);
      done += take;
    }
  }

  readU8(addr: number): number {
    const region = this.#find(addr, 1);
    return region.view.getUint8(addr - region.base);
  }
  readU16(addr: number): number {
    const region = this.#find(addr, 2);
    return region.view.getUint16(addr - region.base, true);
  }
  readU32(addr: number): number {
    const region = this.#find(addr, 4);
    return region.view.getUint32(addr - region.base, true);
  }
  readU64(addr: number): bigint {
    const region = this.#find(addr, 8);
    return region.view.getBigUint64(addr - region.base, true);
  }
  writeU8(addr: number, value: number): void {
    const region = this.#find(addr, 1);
    region.view.setUint8(addr - region.base, value);
  }
  writeU16(addr: number, value: number): void {
    const region = this.#find(addr, 2);
    region.view.setUint16(addr - region.base, value, true);
  }
  writeU32(addr: number, value: number): void {
    const region = this.#find(addr, 4);
    region.view.setUint32(addr - region.base, value, true);
  }
  writeU64(addr: number, value: bigint): void {
    const region = this.#find(addr, 8);
    region.view.setBigUint64(addr - region.base, value, true);
  }

  loadU16(addr: number): number {
    const region = this.#aligned16(addr);
    return Atomics.load(region.words16, (addr - region.base) >>> 1);
  }
  storeU16(addr: number, value: number): void {
    const region = this.#aligned16(addr);
    Atomics.store(region.words16, (addr - region.base) >>> 1, value);
  }
  #aligned16(addr: number): Mapped {
    const region = this.#find(addr, 2);
    if ((addr - region.base) % 2 !== 0) throw new GuestMemoryError(addr, 2);
    return region;
  }
}
