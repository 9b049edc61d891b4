// Memory that a device is given: where it comes from, and by which address the device knows it. Plain pages have their own
// addresses; with VIRTIO_F_ACCESS_PLATFORM a device sees nothing but a pool of pages granted to its backend, under the
// addresses of their grants (Linux, drivers/xen/grant-dma-ops.c). A page of the pool is granted as long as it is out, rings,
// commands and frame buffers alike: a frame buffer is granted and not copied through a bounce buffer, since the device reads
// all of it at each frame, and the copy would cost as much as the transfer itself.

import { grantDmaAddress } from '../../lib/core/dma-address.js';
import { assert, ErrnoError } from '../../lib/core/errors.js';
import type { DomId } from '../../lib/core/ids.js';
import type { Probe } from '../../lib/core/probe.js';
import type { TableAllocator } from '../../lib/virtio/driver-ring.js';
import { GrantTable } from './grant-table.js';
import { Heap } from './heap.js';
import { PAGE_SIZE, type PageRun, type PageSource } from './pages.js';

export interface DmaMemory {
  readonly pages: PageSource;
  /** Small blocks, out of `pages`. */
  readonly heap: Heap;
  /** The heap, for indirect tables. */
  readonly tables: TableAllocator;
  /** What the device knows a byte of it by. Throws when it is none of this memory. */
  address(addr: number): bigint;
}

/** Where a device's memory comes from, as its features ask for it. */
export interface DmaSpaces {
  readonly plain: DmaMemory;
  /** Granted to that domain. Rejects with ErrnoError where there is no grant table. */
  granted(backendDomid: DomId): Promise<DmaMemory>;
}

/** The kernel's: plain pages, and a pool of granted ones for each domain that a backend is in. */
export class DmaPools implements DmaSpaces {
  readonly plain: DmaMemory;
  readonly #pages: PageSource;
  readonly #setUp: () => Promise<Uint8Array>;
  readonly #probe: Probe;
  readonly #granted = new Map<number, DmaMemory>();
  #table: GrantTable | undefined;

  /** `setUp`: has Xen set up the grant table and maps it; called when it is first needed. */
  constructor(pages: PageSource, setUp: () => Promise<Uint8Array>, probe: Probe) {
    this.plain = dmaMemory(pages, BigInt);
    this.#pages = pages;
    this.#setUp = setUp;
    this.#probe = probe;
  }

  /** References that are out. */
  get grantsTaken(): number {
    return this.#table?.taken ?? 0;
  }

  async granted(backendDomid: DomId): Promise<DmaMemory> {
    this.#table ??= new GrantTable(await this.#setUp(), this.#probe);
    let memory = this.#granted.get(backendDomid);
    if (memory === undefined) {
      const pages = new GrantedPages(this.#pages, this.#table, backendDomid);
      memory = dmaMemory(pages, (addr) => pages.address(addr));
      this.#granted.set(backendDomid, memory);
    }
    return memory;
  }
}

/** Pages granted to `domid` while they are out. */
export class GrantedPages implements PageSource {
  readonly #pages: PageSource;
  readonly #table: GrantTable;
  readonly #domid: DomId;
  /** Reference of each page that is out, by its number. */
  readonly #refs = new Map<number, number>();
  /** Given back while the backend still had them mapped: kept until it has not. */
  readonly #stuck = new Set<PageRun>();

  constructor(pages: PageSource, table: GrantTable, domid: DomId) {
    this.#pages = pages;
    this.#table = table;
    this.#domid = domid;
  }

  contiguous(count: number): PageRun {
    return this.#grant([this.#pages.contiguous(count)])[0]!;
  }

  scattered(count: number): PageRun[] {
    return this.#grant(this.#pages.scattered(count));
  }

  /** The grant goes first: a page is given to no other user while the backend may touch it. */
  release(run: PageRun): void {
    this.#stuck.add(run);
    for (const each of this.#stuck) if (this.#revoke(each)) this.#stuck.delete(each);
  }

  address(addr: number): bigint {
    const offset = addr % PAGE_SIZE;
    const ref = this.#refs.get((addr - offset) / PAGE_SIZE);
    assert(ref !== undefined, `0x${addr.toString(16)} is not granted`);
    return grantDmaAddress(ref, offset);
  }

  #grant(runs: readonly PageRun[]): PageRun[] {
    const granted: PageRun[] = [];
    try {
      for (const run of runs) {
        const page = run.addr / PAGE_SIZE;
        const count = run.length / PAGE_SIZE;
        const first = this.#table.grant(page, count, this.#domid);
        for (let index = 0; index < count; index++) this.#refs.set(page + index, first + index);
        granted.push(run);
      }
    } catch (error) {
      for (const run of runs) {
        if (granted.includes(run)) this.release(run);
        else this.#pages.release(run);
      }
      throw error;
    }
    return granted;
  }

  #revoke(run: PageRun): boolean {
    const page = run.addr / PAGE_SIZE;
    const count = run.length / PAGE_SIZE;
    if (!this.#table.revoke(this.#refs.get(page)!, count)) return false;
    for (let index = 0; index < count; index++) this.#refs.delete(page + index);
    this.#pages.release(run);
    return true;
  }
}

function dmaMemory(pages: PageSource, address: (addr: number) => bigint): DmaMemory {
  const heap = new Heap(pages);
  return { pages, heap, tables: tablesOf(heap), address };
}

function tablesOf(heap: Heap): TableAllocator {
  return {
    alloc(bytes) {
      try {
        return heap.alloc(bytes);
      } catch (error) {
        if (error instanceof ErrnoError) return undefined;
        throw error;
      }
    },
    release: (table) => heap.release(table),
  };
}
