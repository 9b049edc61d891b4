// The guest's page allocator: a bitmap over its RAM. Contiguous blocks come from below (rings, tables), scattered pages for
// frame buffers from above in runs of changing length, each below the one before, as a busy kernel would give them: a
// device that takes a frame buffer for one piece shows a wrong picture.
import { ErrnoError } from '../../lib/core/errors.js';
import { RAM_CHUNK_BYTES, ramFileSize, ramOfFile, storeFrame } from '../../lib/core/guest-ram.js';
import type { Probe } from '../../lib/core/probe.js';
import { HVM_HIGH_RAM_START } from '../../lib/layout/hvm-memory.js';
import { POINT } from '../../lib/trace/points.js';

export const PAGE_SIZE = 4096;
/** Below 1 MiB a PC keeps firmware, and the kernel its own image above; take() gives none of those pages. */
const RESERVED_PAGES = 512;
const HIGH_PAGE = HVM_HIGH_RAM_START / PAGE_SIZE;
/** A page's place in the bitmap: free, out, or none that the allocator has. */
const [FREE, OUT, NONE] = [0, 1, 2];
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

export interface PagesOptions {
  /** The page that guest and xenstored share is not to be given away. */
  readonly keepStorePage?: boolean;
  /** Gives pages to RAM that has none (guest-ram.ts), a chunk at a time. Throws ErrnoError. Absent: all RAM has them. */
  back?(addr: number, bytes: number): void;
}

export class Pages implements PageSource {
  readonly #used: Uint8Array;
  readonly #probe: Probe;
  #usable = 0;
  readonly #back: PagesOptions['back'];
  /** Chunks that have pages. */
  readonly #backed = new Set<number>();
  #taken = 0;

  constructor(ramBytes: number, probe: Probe, { keepStorePage = false, back }: PagesOptions = {}) {
    const size = ramFileSize(ramBytes);
    this.#used = new Uint8Array(Math.floor(size / PAGE_SIZE)).fill(NONE);
    for (const range of ramOfFile(size)) {
      const first = Math.max(range.offset / PAGE_SIZE, RESERVED_PAGES);
      const end = Math.max(first, Math.floor((range.offset + range.size) / PAGE_SIZE));
      this.#used.fill(FREE, first, end);
      this.#usable += end - first;
    }
    if (keepStorePage) {
      this.#used[storeFrame(ramBytes)] = NONE;
      this.#usable--;
    }
    this.#back = back;
    this.#probe = probe;
  }

  /** Pages out at the moment; 0 once everything is given back. */
  get taken(): number {
    return this.#taken;
  }

  get free(): number {
    return this.#usable - this.#taken;
  }

  /** `count` pages in one piece, the lowest that are free: above 4 GiB before those below, as Linux does. Throws ENOMEM. */
  contiguous(count: number): PageRun {
    const first = this.#find(count, HIGH_PAGE, this.#used.length) ?? this.#find(count, RESERVED_PAGES, HIGH_PAGE);
    if (first === undefined) throw new ErrnoError('ENOMEM', `no ${count} free pages in one piece`);
    return this.#take(first, count);
  }

  /** The first of `count` free pages in a row, among those from `from` to `end`. */
  #find(count: number, from: number, end: number): number | undefined {
    let run = 0;
    for (let page = from; page < Math.min(end, this.#used.length); page++) {
      run = this.#used[page] === FREE ? run + 1 : 0;
      if (run === count) return page - count + 1;
    }
    return undefined;
  }

  /** `count` pages in runs, in the order in which they make up the whole. Throws ENOMEM and takes nothing then. */
  scattered(count: number): PageRun[] {
    if (count > this.free) throw new ErrnoError('ENOMEM', `no ${count} free pages`);
    const runs: PageRun[] = [];
    let left = count;
    let top = this.#used.length;
    try {
      while (left > 0) {
        while (this.#used[top - 1] !== FREE) top--;
        const want = Math.min(left, RUN_LENGTHS[runs.length % RUN_LENGTHS.length]!);
        let first = top - 1;
        while (top - first < want && this.#used[first - 1] === FREE) first--;
        runs.push(this.#take(first, top - first));
        left -= top - first;
        top = first;
      }
    } catch (error) {
      for (const run of runs) this.release(run);
      throw error;
    }
    return runs;
  }

  /** Gives a run back whole. A run that is not out is a bug of the kernel: EINVAL. */
  release(run: PageRun): void {
    const first = run.addr / PAGE_SIZE;
    const count = run.length / PAGE_SIZE;
    for (let page = first; page < first + count; page++) {
      if (this.#used[page] !== OUT) {
        throw new ErrnoError('EINVAL', `page 0x${(page * PAGE_SIZE).toString(16)} is not out`);
      }
    }
    this.#used.fill(FREE, first, first + count);
    this.#taken -= count;
    this.#probe.at(POINT['pages.give'], '', run.addr, run.length);
  }

  #take(first: number, count: number): PageRun {
    this.#populate(first * PAGE_SIZE, (first + count) * PAGE_SIZE);
    this.#used.fill(OUT, first, first + count);
    this.#taken += count;
    const run = { addr: first * PAGE_SIZE, length: count * PAGE_SIZE };
    this.#probe.at(POINT['pages.take'], '', run.addr, run.length);
    return run;
  }

  /** Throws ENOMEM where the machine has no room for these pages. */
  #populate(start: number, end: number): void {
    if (this.#back === undefined) return;
    const size = this.#used.length * PAGE_SIZE;
    for (let at = start - (start % RAM_CHUNK_BYTES); at < end; at += RAM_CHUNK_BYTES) {
      if (this.#backed.has(at)) continue;
      try {
        this.#back(at, Math.min(RAM_CHUNK_BYTES, size - at));
      } catch (error) {
        if (!(error instanceof ErrnoError)) throw error;
        throw new ErrnoError('ENOMEM', error.message, { cause: error });
      }
      this.#backed.add(at);
    }
  }
}
