// The guest's own grant table: references handed out in runs, entries published and revoked in the order that lets another
// domain never see half of one (xen/include/public/grant_table.h). Leaves pages to dma.ts.

import { assert, ErrnoError } from '../../lib/core/errors.js';
import type { DomId } from '../../lib/core/ids.js';
import type { Probe } from '../../lib/core/probe.js';
import {
  GNTTAB_NR_RESERVED_ENTRIES,
  GRANT_ENTRY_V1,
  GTF_permit_access,
  GTF_reading,
  GTF_writing,
} from '../../lib/layout/grant-table.js';
import { POINT } from '../../lib/trace/points.js';

const DOMID_SHIFT = 16;

export class GrantTable {
  /** Flags and domid of an entry are one word, its frame the next. */
  readonly #words: Int32Array;
  readonly #used: Uint8Array;
  readonly #probe: Probe;
  #taken = 0;
  /** No free reference below. */
  #lowest = GNTTAB_NR_RESERVED_ENTRIES;

  /** `bytes`: the shared table, which stays mapped as long as this lives. */
  constructor(bytes: Uint8Array, probe: Probe) {
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2);
    this.#used = new Uint8Array(Math.floor(bytes.length / GRANT_ENTRY_V1.size));
    this.#probe = probe;
  }

  /** References out at the moment. */
  get taken(): number {
    return this.#taken;
  }

  /** Lets `domid` read and write `count` pages from frame `gfn` on; the first of as many references in a row. Throws ENOMEM. */
  grant(gfn: number, count: number, domid: DomId): number {
    const first = this.#findRun(count);
    for (let index = 0; index < count; index++) {
      const word = this.#word(first + index);
      // The flags last: from then on the entry is valid.
      Atomics.store(this.#words, word + (GRANT_ENTRY_V1.offset.frame >>> 2), gfn + index);
      Atomics.store(this.#words, word, domid << DOMID_SHIFT);
      Atomics.store(this.#words, word, (domid << DOMID_SHIFT) | GTF_permit_access);
    }
    this.#used.fill(1, first, first + count);
    this.#taken += count;
    if (first === this.#lowest) this.#lowest = first + count;
    this.#probe.at(POINT['grants.take'], '', first, count);
    return first;
  }

  /** Takes back what grant() gave; false, with nothing taken back, while the other domain has one of the pages mapped. */
  revoke(first: number, count: number): boolean {
    for (let ref = first; ref < first + count; ref++) {
      assert(this.#used[ref] === 1, `grant ${ref} is not out`);
      if ((this.#head(ref) & (GTF_reading | GTF_writing)) !== 0) return false;
    }
    for (let ref = first; ref < first + count; ref++) {
      if (this.#clear(ref)) continue;
      // Mapped in between: as it was, and tried again later.
      for (let done = first; done < ref; done++) this.#restore(done);
      return false;
    }
    this.#used.fill(0, first, first + count);
    this.#taken -= count;
    this.#lowest = Math.min(this.#lowest, first);
    this.#probe.at(POINT['grants.give'], '', first, count);
    return true;
  }

  /** By compare-exchange: Xen may set its bits at any moment, and then the entry stays. */
  #clear(ref: number): boolean {
    const head = this.#head(ref);
    if ((head & (GTF_reading | GTF_writing)) !== 0) return false;
    const gone = head & ~0xffff;
    return Atomics.compareExchange(this.#words, this.#word(ref), head, gone) === head;
  }

  #restore(ref: number): void {
    Atomics.or(this.#words, this.#word(ref), GTF_permit_access);
  }

  #head(ref: number): number {
    return Atomics.load(this.#words, this.#word(ref));
  }

  #word(ref: number): number {
    return (ref * GRANT_ENTRY_V1.size) >>> 2;
  }

  #findRun(count: number): number {
    let run = 0;
    for (let ref = this.#lowest; ref < this.#used.length; ref++) {
      run = this.#used[ref] ? 0 : run + 1;
      if (run === count) return ref - count + 1;
    }
    throw new ErrnoError('ENOMEM', `no ${count} free grant references in a row`);
  }
}
