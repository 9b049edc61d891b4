// Grant tables, version 1 (xen/common/grant_table.c): a guest's table of pages that another domain may map,
// and the mappings of dom0's processes. The entries are the guest's own memory, so each is read once and pinned by
// compare-exchange. Statuses are GNTST_*. Leaves what is mapped where to the caller: it learns the frame.
import { ERRNO } from '../../../lib/core/errno.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { ramBytesFrom, ramFileSize } from '../../../lib/core/guest-ram.js';
import { GRANT_HANDLES_MAX } from '../../../lib/core/limits.js';
import type { Probe } from '../../../lib/core/probe.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import type { SharedFiles } from '../../../lib/core/shared.js';
import {
  GNTMAP_device_map,
  GNTMAP_host_map,
  GNTMAP_readonly,
  GNTST,
  GRANT_ENTRIES_PER_PAGE,
  GRANT_ENTRY_V1,
  GRANT_FRAMES_MAX,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
  GTF_type_mask,
  GTF_writing,
} from '../../../lib/layout/grant-table.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';
import { POINT } from '../../../lib/trace/points.js';
import type { Domain } from '../domain/domain.js';

/** Tries on an entry that its guest keeps changing; Xen gives up as well. */
const PIN_TRIES_MAX = 5;
/** Xen's default of initial table pages. */
const FRAMES_INITIAL = 1;

/** The table of one domain: made when it is first asked for, as a file of its full size. */
class GrantTable {
  readonly file: ReturnType<SharedFiles['create']>;
  frames = FRAMES_INITIAL;
  /** Entry as one 32-bit word of flags and domid, then the frame. */
  readonly #words: Int32Array;
  /** Mappings of each reference in use: all, and writable ones. */
  readonly pins = new Map<number, { all: number; writable: number }>();

  constructor(file: ReturnType<SharedFiles['create']>) {
    this.file = file;
    this.#words = new Int32Array(file.bytes.buffer, file.bytes.byteOffset, file.bytes.length >>> 2);
  }

  get entries(): number {
    return this.frames * GRANT_ENTRIES_PER_PAGE;
  }
  head(ref: number): number {
    return Atomics.load(this.#words, (ref * GRANT_ENTRY_V1.size) >>> 2);
  }
  frame(ref: number): number {
    return this.#words[(ref * GRANT_ENTRY_V1.size + GRANT_ENTRY_V1.offset.frame) >>> 2]! >>> 0;
  }
  exchange(ref: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, (ref * GRANT_ENTRY_V1.size) >>> 2, from, to) === from;
  }
  clear(ref: number, flags: number): void {
    Atomics.and(this.#words, (ref * GRANT_ENTRY_V1.size) >>> 2, ~flags);
  }
}

interface Mapped {
  readonly owner: object;
  readonly domain: Domain;
  readonly ref: number;
  readonly writable: boolean;
}

export interface GrantMapResult {
  readonly status: number;
  readonly handle: number;
  /** Guest frame that the grant names; the page of the guest's RAM file. */
  readonly gfn: number;
}

const failed = (status: number): GrantMapResult => ({ status, handle: 0, gfn: 0 });

export class Grants {
  readonly #files: SharedFiles;
  readonly #probe: Probe;
  readonly #tables = new Map<Domain, GrantTable>();
  readonly #handles = new Map<number, Mapped>();
  #nextHandle = 1;

  constructor(files: SharedFiles, probe: Probe) {
    this.#files = files;
    this.#probe = probe;
  }

  /** GNTTABOP_setup_table: at least that many pages; the file that holds them, or a GNTST status. */
  setup(domain: Domain, frames: number): FileHandle | number {
    if (frames > GRANT_FRAMES_MAX) return GNTST.general_error;
    const table = this.#table(domain);
    if (table === undefined) return GNTST.general_error;
    table.frames = Math.max(table.frames, frames);
    return table.file.handle;
  }

  frames(domain: Domain): number {
    return this.#tables.get(domain)?.frames ?? FRAMES_INITIAL;
  }

  /** GNTTABOP_map_grant_ref of one reference for a process of `caller`. */
  map(owner: object, caller: Domain, domain: Domain | undefined, ref: number, flags: number): GrantMapResult {
    if ((flags & (GNTMAP_device_map | GNTMAP_host_map)) === 0) return failed(GNTST.bad_gntref);
    if (domain === undefined || domain.dying) return failed(GNTST.bad_domain);
    if (this.#handles.size >= GRANT_HANDLES_MAX) return failed(GNTST.no_space);
    const table = this.#tables.get(domain);
    if (table === undefined || ref >= table.entries) return failed(GNTST.bad_gntref);
    const writable = (flags & GNTMAP_readonly) === 0;
    const gfn = this.#pin(table, caller, ref, writable);
    if (gfn < 0) return failed(GNTST.general_error);
    const handle = this.#nextHandle++;
    if (ramBytesFrom(ramFileSize(domain.memoryMib * 2 ** 20), gfn * PAGE_SIZE) === 0) {
      this.#unpin(table, ref, writable);
      return failed(GNTST.general_error);
    }
    this.#handles.set(handle, { owner, domain, ref, writable });
    domain.holders++;
    this.#probe.at(POINT['grant.take'], '', ref, gfn, domain.domid);
    return { status: GNTST.okay, handle, gfn };
  }

  /** GNTTABOP_unmap_grant_ref; a handle of another process is as bad as none. `freed` runs for the granter's domain. */
  unmap(owner: object, handle: number, freed: (domain: Domain) => void): number {
    const mapped = this.#handles.get(handle);
    if (mapped === undefined || mapped.owner !== owner) return GNTST.bad_handle;
    this.#handles.delete(handle);
    const table = this.#tables.get(mapped.domain);
    if (table !== undefined) this.#unpin(table, mapped.ref, mapped.writable);
    mapped.domain.holders--;
    this.#probe.at(POINT['grant.give'], '', mapped.ref, 0, mapped.domain.domid);
    freed(mapped.domain);
    return GNTST.okay;
  }

  /** Everything that a process mapped. */
  release(owner: object, freed: (domain: Domain) => void): void {
    for (const [handle, mapped] of [...this.#handles]) if (mapped.owner === owner) this.unmap(owner, handle, freed);
  }

  /** The domain dies: its table goes; a mapping stays with the process that made it until that unmaps it or ends. */
  drop(domain: Domain): void {
    this.#tables.get(domain)?.file.remove();
    this.#tables.delete(domain);
  }

  *held(): Iterable<string> {
    for (const { domain, ref } of this.#handles.values()) yield `${domain.domid}/${ref}`;
  }

  /** Sets reading, and writing, while the entry allows it. The frame, or -errno. */
  #pin(table: GrantTable, caller: Domain, ref: number, writable: boolean): number {
    for (let tries = 0; tries < PIN_TRIES_MAX; tries++) {
      const head = table.head(ref);
      const flags = head & 0xffff;
      const forUs = head >>> 16 === caller.domid;
      if (!forUs || (flags & GTF_type_mask) !== GTF_permit_access || (flags & GTF_sub_page) !== 0) return -ERRNO.EACCES;
      if (writable && (flags & GTF_readonly) !== 0) return -ERRNO.EACCES;
      if (!table.exchange(ref, head, head | GTF_reading | (writable ? GTF_writing : 0))) continue;
      const pins = table.pins.get(ref) ?? { all: 0, writable: 0 };
      pins.all++;
      if (writable) pins.writable++;
      table.pins.set(ref, pins);
      return table.frame(ref);
    }
    return -ERRNO.EAGAIN;
  }

  #unpin(table: GrantTable, ref: number, writable: boolean): void {
    const pins = table.pins.get(ref)!;
    pins.all--;
    if (writable && --pins.writable === 0) table.clear(ref, GTF_writing);
    if (pins.all > 0) return;
    table.pins.delete(ref);
    table.clear(ref, GTF_reading);
  }

  #table(domain: Domain): GrantTable | undefined {
    const known = this.#tables.get(domain);
    if (known !== undefined || domain.dying || domain.memory === undefined) return known;
    try {
      const table = new GrantTable(this.#files.create(`shm/dom${domain.domid}.grants`, GRANT_FRAMES_MAX * PAGE_SIZE));
      this.#tables.set(domain, table);
      return table;
    } catch (error) {
      if (error instanceof ErrnoError) return undefined;
      throw error;
    }
  }
}
