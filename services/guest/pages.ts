// The guest's page allocator: a bitmap over its RAM. Contiguous blocks come from below (rings, tables), scattered pages for
// frame buffers from above in runs of changing length, each below the one before, as a busy kernel would give them: a
// device that takes a frame buffer for one piece shows a wrong picture.
import { ErrnoError } from '../../lib/core/errors.js';
import type { Probe } from '../../lib/core/probe.js';
import { POINT } from '../../lib/trace/points.js';

export const PAGE_SIZE = 4096;
/** Below 1 MiB a PC keeps firmware, and the kernel its own image above; take() gives none of those pages. */
const RESERVED_PAGES = 512;
/** Pages of the runs of a scattered allocation, in turn. Odd lengths, so that pixel rows cross their borders. */
const RUN_LENGTHS = [7, 1, 13, 3, 29, 5, 61, 2];

export interface PageRun {
  /** Guest-physical byte address. */
  readonly addr: number;
  /** Bytes, whole pages. */
  readonly length: number;
}

/** Whom pages are taken from and given back to. */
export interface PageSource {
  contiguous(count: number): PageRun;
  scattered(count: number): PageRun[];
  release(run: PageRun): void;
}

export class Pages implements PageSource {
  readonly #used: Uint8Array;
  readonly #probe: Probe;
  #taken = 0;

  /** `special`: pages at the top that are not RAM for the kernel to give away. */
  constructor(ramBytes: number, probe: Probe, special = 0) {
    this.#used = new Uint8Array(Math.floor(ramBytes / PAGE_SIZE) - special);
    this.#used.fill(1, 0, Math.min(RESERVED_PAGES, this.#used.length));
    this.#probe = probe;
  }

  /** Pages out at the moment; 0 once everything is given back. */
  get taken(): number {
    return this.#taken;
  }

  get free(): number {
    return this.#used.length - Math.min(RESERVED_PAGES, this.#used.length) - this.#taken;
  }

  /** `count` pages in one piece, the lowest that are free. Throws ENOMEM. */
  contiguous(count: number): PageRun {
    let run = 0;
    for (let page = RESERVED_PAGES; page < this.#used.length; page++) {
      run = this.#used[page] ? 0 : run + 1;
      if (run === count) return this.#take(page - count + 1, count);
    }
    throw new ErrnoError('ENOMEM', `no ${count} free pages in one piece`);
  }

  /** `count` pages in runs, in the order in which they make up the whole. Throws ENOMEM and takes nothing then. */
  scattered(count: number): PageRun[] {
    if (count > this.free) throw new ErrnoError('ENOMEM', `no ${count} free pages`);
    const runs: PageRun[] = [];
    let left = count;
    let top = this.#used.length;
    while (left > 0) {
      while (this.#used[top - 1]) top--;
      const want = Math.min(left, RUN_LENGTHS[runs.length % RUN_LENGTHS.length]!);
      let first = top - 1;
      while (top - first < want && !this.#used[first - 1]) first--;
      runs.push(this.#take(first, top - first));
      left -= top - first;
      top = first;
    }
    return runs;
  }

  /** Gives a run back whole. A run that is not out is a bug of the kernel: EINVAL. */
  release(run: PageRun): void {
    const first = run.addr / PAGE_SIZE;
    const count = run.length / PAGE_SIZE;
    for (let page = first; page < first + count; page++) {
      if (page < RESERVED_PAGES || this.#used[page] !== 1) {
        throw new ErrnoError('EINVAL', `page 0x${(page * PAGE_SIZE).toString(16)} is not out`);
      }
    }
    this.#used.fill(0, first, first + count);
    this.#taken -= count;
    this.#probe.at(POINT['pages.give'], '', run.addr, run.length);
  }

  #take(first: number, count: number): PageRun {
    this.#used.fill(1, first, first + count);
    this.#taken += count;
    const run = { addr: first * PAGE_SIZE, length: count * PAGE_SIZE };
    this.#probe.at(POINT['pages.take'], '', run.addr, run.length);
    return run;
  }
}
