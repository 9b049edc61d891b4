// Small blocks of guest memory (what kmalloc is to a kernel): commands, responses, indirect tables. Power-of-two sizes from 64
// bytes; a page holds blocks of one size and goes back when its last block does. Larger than half a page: whole pages.
import { ErrnoError } from '../../lib/core/errors.js';
import { PAGE_SIZE, type PageRun, type PageSource } from './pages.js';

export interface Block {
  readonly addr: number;
  /** Bytes asked for. */
  readonly length: number;
}

const SMALLEST = 64;

interface Slab {
  readonly run: PageRun;
  readonly size: number;
  readonly free: number[];
}

export class Heap {
  readonly #pages: PageSource;
  readonly #slabs = new Map<number, Slab>();
  readonly #whole = new Map<number, PageRun>();
  /** Slabs with room, by block size. */
  readonly #partial = new Map<number, Set<Slab>>();

  constructor(pages: PageSource) {
    this.#pages = pages;
  }

  /** Throws ENOMEM. The bytes are what their last owner left. */
  alloc(length: number): Block {
    if (length > PAGE_SIZE / 2) {
      const run = this.#pages.contiguous(Math.ceil(length / PAGE_SIZE));
      this.#whole.set(run.addr, run);
      return { addr: run.addr, length };
    }
    let size = SMALLEST;
    while (size < length) size *= 2;
    const slab = this.#partial.get(size)?.values().next().value ?? this.#grow(size);
    const addr = slab.free.pop()!;
    if (slab.free.length === 0) this.#partial.get(size)?.delete(slab);
    return { addr, length };
  }

  release(block: Block): void {
    const whole = this.#whole.get(block.addr);
    if (whole !== undefined) {
      this.#whole.delete(block.addr);
      this.#pages.release(whole);
      return;
    }
    const slab = this.#slabs.get(block.addr - (block.addr % PAGE_SIZE));
    if (slab === undefined || slab.free.includes(block.addr)) throw new ErrnoError('EINVAL', 'block is not out');
    slab.free.push(block.addr);
    if (slab.free.length * slab.size === PAGE_SIZE) {
      this.#slabs.delete(slab.run.addr);
      this.#partial.get(slab.size)?.delete(slab);
      this.#pages.release(slab.run);
    } else this.#partial.get(slab.size)!.add(slab);
  }

  #grow(size: number): Slab {
    const run = this.#pages.contiguous(1);
    const free: number[] = [];
    for (let at = PAGE_SIZE - size; at >= 0; at -= size) free.push(run.addr + at);
    const slab = { run, size, free };
    this.#slabs.set(run.addr, slab);
    if (!this.#partial.has(size)) this.#partial.set(size, new Set());
    this.#partial.get(size)!.add(slab);
    return slab;
  }
}
