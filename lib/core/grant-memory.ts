// Guest memory of which a backend may touch granted pages only. Every access looks the page's entry up in the guest's grant
// table as it is at that moment: not granted to this domain, read-only and written, revoked meanwhile: EFAULT, never the
// page. Addresses are those of dma-address.ts. A guard against mistakes of ours, not against a process that wants to look:
// it has the whole file mapped all the same. Leaves the pins that keep a ring granted to who maps it (gntdev).
//
// Linux's counterpart maps a page for each access and unmaps it (vhost-user XEN_MMAP, GRANT with no mapping in advance). All
// accesses here end before other code of this process runs, so that looking the entry up each time is as good.

import { GRANT_ENTRY_V1, GTF_permit_access, GTF_readonly, GTF_sub_page, GTF_type_mask } from '../layout/grant-table.js';
import { PAGE_SIZE } from '../layout/page.js';
import { GRANT_SPACE } from './dma-address.js';
import { ErrnoError } from './errors.js';
import { type GuestMemory, GuestMemoryError, type RegionMemory } from './memory.js';

const DOMID_SHIFT = 16;

export interface GrantParts {
  /** All of the guest's RAM; stays the caller's. */
  readonly ram: RegionMemory;
  /** Its grant table, version 1: the guest's memory as well. */
  readonly table: Uint8Array;
  /** Whom pages must be granted to. */
  readonly domid: number;
  /** Only these references; absent: all of the table. */
  readonly ranges?: readonly GrantRange[];
}

/** References in a row. */
export interface GrantRange {
  readonly first: number;
  readonly count: number;
}

export class GrantMemory implements GuestMemory {
  readonly revocable = true;
  /** Bytes that the table can grant. */
  readonly size: number;
  readonly #domid: number;
  readonly #ranges: readonly GrantRange[] | undefined;
  readonly #ram: RegionMemory;
  #heads: Int32Array;
  readonly #scratch = new DataView(new ArrayBuffer(8));

  /** Throws EINVAL where the table is no whole number of pages. */
  constructor({ ram, table, domid, ranges }: GrantParts) {
    if (table.length === 0 || table.length % PAGE_SIZE !== 0 || ram.size === 0)
      throw new ErrnoError('EINVAL', `a grant table of ${table.length} bytes`);
    this.#domid = domid;
    this.#ram = ram;
    this.#heads = new Int32Array(table.buffer, table.byteOffset, table.length >>> 2);
    this.size = (table.length / GRANT_ENTRY_V1.size) * PAGE_SIZE;
    // All of the table, as our own front-end says it, need not be looked at at each access.
    const isAll = ({ first, count }: GrantRange): boolean => first === 0 && count * PAGE_SIZE >= this.size;
    this.#ranges = ranges?.some(isAll) ? undefined : ranges;
  }

  /** Forgets the table: every later access throws instead of touching unmapped bytes. The RAM is closed by who gave it. */
  close(): void {
    this.#heads = new Int32Array(0);
  }

  check(addr: number, length: number): void {
    if (!this.#allows(addr, Math.max(length, 1), false)) throw new GuestMemoryError(addr, length);
  }

  contains(addr: number, length: number, writable = false): boolean {
    return length === 0 || this.#allows(addr, length, writable);
  }

  /** For reading. Frames that follow each other are one view. */
  views(addr: number, length: number): Uint8Array[] {
    const views: Uint8Array[] = [];
    let start = 0;
    let end = 0;
    for (let done = 0; done < length; ) {
      const take = Math.min(length - done, PAGE_SIZE - ((addr + done - GRANT_SPACE) % PAGE_SIZE));
      const at = this.#one(addr + done, take, false);
      if (done > 0 && at !== end) {
        views.push(...this.#ram.views(start, end - start));
        start = at;
      } else if (done === 0) start = at;
      end = at + take;
      done += take;
    }
    if (length > 0) views.push(...this.#ram.views(start, end - start));
    return views;
  }

  /** For reading, inside one page. */
  view(addr: number, length: number): Uint8Array {
    const at = this.#within(addr, length, false);
    if (at < 0) throw new GuestMemoryError(addr, length);
    return this.#ram.view(at, length);
  }

  read(addr: number, target: Uint8Array): void {
    this.#walk(addr, target.length, false, (bytes, done) => target.set(bytes, done));
  }

  write(addr: number, source: Uint8Array): void {
    if (!this.contains(addr, source.length, true)) throw new GuestMemoryError(addr, source.length);
    this.#walk(addr, source.length, true, (bytes, done) => bytes.set(source.subarray(done, done + bytes.length)));
  }

  readU8(addr: number): number {
    return this.#ram.readU8(this.#one(addr, 1, false));
  }
  readU16(addr: number): number {
    const at = this.#within(addr, 2, false);
    return at < 0 ? this.#gather(addr, 2).getUint16(0, true) : this.#ram.readU16(at);
  }
  readU32(addr: number): number {
    const at = this.#within(addr, 4, false);
    return at < 0 ? this.#gather(addr, 4).getUint32(0, true) : this.#ram.readU32(at);
  }
  readU64(addr: number): bigint {
    const at = this.#within(addr, 8, false);
    return at < 0 ? this.#gather(addr, 8).getBigUint64(0, true) : this.#ram.readU64(at);
  }
  writeU8(addr: number, value: number): void {
    this.#ram.writeU8(this.#one(addr, 1, true), value);
  }
  writeU16(addr: number, value: number): void {
    this.#scratch.setUint16(0, value, true);
    this.#scatter(addr, 2);
  }
  writeU32(addr: number, value: number): void {
    this.#scratch.setUint32(0, value, true);
    this.#scatter(addr, 4);
  }
  writeU64(addr: number, value: bigint): void {
    this.#scratch.setBigUint64(0, value, true);
    this.#scatter(addr, 8);
  }

  loadU16(addr: number): number {
    return this.#ram.loadU16(this.#aligned16(addr, false));
  }
  storeU16(addr: number, value: number): void {
    this.#ram.storeU16(this.#aligned16(addr, true), value);
  }
  #aligned16(addr: number, writing: boolean): number {
    if (addr % 2 !== 0) throw new GuestMemoryError(addr, 2);
    return this.#one(addr, 2, writing);
  }

  #one(addr: number, length: number, writing: boolean): number {
    const at = this.#within(addr, length, writing);
    if (at < 0) throw new GuestMemoryError(addr, length);
    return at;
  }

  /** Where [addr, addr+length) lies in RAM; negative when it leaves its page, or the page is not ours to touch so. */
  #within(addr: number, length: number, writing: boolean): number {
    const offset = addr - GRANT_SPACE;
    if (!(offset >= 0 && offset < this.size)) return -1;
    const inPage = offset % PAGE_SIZE;
    return inPage + length > PAGE_SIZE ? -1 : this.#page((offset - inPage) / PAGE_SIZE, writing) + inPage;
  }

  /** Where the page of a reference lies in RAM; so far negative that no offset makes up for it when it is not ours. */
  #page(ref: number, writing: boolean): number {
    const word = (ref * GRANT_ENTRY_V1.size) >>> 2;
    if (word >= this.#heads.length) return -PAGE_SIZE;
    if (this.#ranges?.some(({ first, count }) => ref >= first && ref < first + count) === false) return -PAGE_SIZE;
    const head = Atomics.load(this.#heads, word);
    const granted = (head & GTF_type_mask) === GTF_permit_access && (head & GTF_sub_page) === 0;
    if (!granted || head >>> DOMID_SHIFT !== this.#domid) return -PAGE_SIZE;
    if (writing && (head & GTF_readonly) !== 0) return -PAGE_SIZE;
    // The guest writes the frame before the flags, and may write anything: it is read once.
    const at = (this.#heads[word + (GRANT_ENTRY_V1.offset.frame >>> 2)]! >>> 0) * PAGE_SIZE;
    return this.#ram.contains(at, PAGE_SIZE) ? at : -PAGE_SIZE;
  }

  #allows(addr: number, length: number, writing: boolean): boolean {
    const start = addr - GRANT_SPACE;
    if (!(start >= 0 && start + length <= this.size)) return false;
    for (let at = start - (start % PAGE_SIZE); at < start + length; at += PAGE_SIZE)
      if (this.#page(at / PAGE_SIZE, writing) < 0) return false;
    return true;
  }

  #walk(addr: number, length: number, writing: boolean, each: (bytes: Uint8Array, done: number) => void): void {
    for (let done = 0; done < length; ) {
      const take = Math.min(length - done, PAGE_SIZE - ((addr + done - GRANT_SPACE) % PAGE_SIZE));
      const at = this.#within(addr + done, take, writing);
      if (at < 0) throw new GuestMemoryError(addr + done, take);
      each(this.#ram.view(at, take), done);
      done += take;
    }
  }

  /** A word that crosses into another page, or lies in none of ours. */
  #gather(addr: number, length: number): DataView {
    this.read(addr, new Uint8Array(this.#scratch.buffer, 0, length));
    return this.#scratch;
  }

  #scatter(addr: number, length: number): void {
    this.write(addr, new Uint8Array(this.#scratch.buffer, 0, length));
  }
}
