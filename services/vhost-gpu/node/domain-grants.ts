// Granted pages of the lab's domains for a front-end on a unix socket (vhost-user XEN_MMAP, GRANT). What it sends is its
// gntdev file. On Xen a device server maps references through that; here a server is no program with the preloaded library, so
// it asks the hypervisor itself for what the file proves that the front-end may have: the domain's RAM and grant table, and that
// the references of regions which are mapped in advance stay granted. All before the message is handled: what fails here is
// what mapping that region fails with.
import type { Remote } from '../../../lib/core/bus.js';
import { DEADLINE_MS } from '../../../lib/core/deadlines.js';
import { ErrnoError, PeerDiedError, ProtocolError, passOver } from '../../../lib/core/errors.js';
import { mapRam } from '../../../lib/core/guest-ram.js';
import { DOM0 } from '../../../lib/core/ids.js';
import { RegionMemory } from '../../../lib/core/memory.js';
import type { BusClient } from '../../../lib/core/service.js';
import type { SharedFiles } from '../../../lib/core/shared.js';
import { GNTST, GRANT_ENTRY_V1, GRANT_FRAMES_MAX } from '../../../lib/layout/grant-table.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';
import { VHOST_USER_REQUEST } from '../../../lib/layout/vhost-user.js';
import type { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { withDeadline } from '../../../lib/node/process/wait.js';
import { decodeRequest, type RawMessage } from '../../../lib/vhost-user/messages.js';
import type { MemoryRegionBody } from '../../../lib/vhost-user/payloads.js';
import type { GrantMapping } from '../backend.js';
import { grantRangeOf } from '../granted-regions.js';

const BRINGS_MEMORY: readonly number[] = [
  VHOST_USER_REQUEST.VHOST_USER_SET_MEM_TABLE,
  VHOST_USER_REQUEST.VHOST_USER_ADD_MEM_REG,
];
/** References of the largest table. */
const REFS_MAX = (GRANT_FRAMES_MAX * PAGE_SIZE) / GRANT_ENTRY_V1.size;

export interface DomainGrantsParts {
  readonly connect: () => Promise<BusClient>;
  readonly shared: SharedFiles;
  /** Throws ProtocolError unless a descriptor is a gntdev file of this lab. */
  readonly check: (file: OwnedFd) => void;
}

interface Taken {
  readonly mapping: GrantMapping;
  giveBack(): void;
}

/** Regions of granted pages that a message brings, each with its descriptor; a message that is malformed brings none. */
function grantedRegions(message: RawMessage<OwnedFd>): { region: MemoryRegionBody; handle: OwnedFd }[] {
  if (!BRINGS_MEMORY.includes(message.request)) return [];
  try {
    const request = decodeRequest(message);
    const regions =
      request.type === 'SET_MEM_TABLE' ? request.regions : request.type === 'ADD_MEM_REG' ? [request.region] : [];
    return regions
      .map((region, index) => ({ region, handle: request.handles[index]! }))
      .filter(({ region }) => region.xen?.kind === 'grant');
  } catch (error) {
    if (error instanceof ProtocolError) return [];
    throw error;
  }
}

export class DomainGrants {
  readonly #parts: DomainGrantsParts;
  /** By the descriptor of a region: what is behind it, or why there is nothing. */
  readonly #taken = new Map<OwnedFd, Taken | Error>();
  #hypervisor: Promise<BusClient> | undefined;

  constructor(parts: DomainGrantsParts) {
    this.#parts = parts;
  }

  /** Undefined: the message brings no granted pages. Resolves once of() has an answer for each region that it brings. */
  prepare(message: RawMessage<OwnedFd>): Promise<void> | undefined {
    const found = grantedRegions(message);
    if (found.length === 0) return undefined;
    return Promise.all(found.map((each) => this.#prepare(each.handle, each.region))).then(() => {});
  }

  async #prepare(handle: OwnedFd, region: MemoryRegionBody): Promise<void> {
    try {
      this.#parts.check(handle);
      this.#taken.set(handle, await this.#take(region));
    } catch (error) {
      if (error instanceof PeerDiedError) this.#taken.set(handle, new ErrnoError('ENODEV', error.message));
      else if (error instanceof ErrnoError || error instanceof ProtocolError) this.#taken.set(handle, error);
      else throw error;
    }
  }

  async #take(region: MemoryRegionBody): Promise<Taken> {
    const { first, count } = grantRangeOf(region);
    const { domid, onDemand } = region.xen!;
    if (!onDemand && count > REFS_MAX) throw new ErrnoError('EINVAL', `${count} references are more than a table has`);
    const hypervisor = (await this.#connected()).remote('Hypervisor');
    const { ram: ramFile, table: tableFile } = await hypervisor.gntdev_open({ domid });
    // Last first.
    const undo: (() => void)[] = [() => ignore(hypervisor.gntdev_close({ domid }))];
    const giveBack = (): void => {
      for (const action of undo.splice(0).reverse()) action();
    };
    try {
      if (ramFile == null || tableFile == null) throw new ErrnoError('ENODEV', `no grants of domain ${domid}`);
      const ram = mapRam(this.#parts.shared, ramFile);
      undo.push(() => ram.close());
      const table = this.#parts.shared.map(tableFile);
      undo.push(() => table.close());
      if (!onDemand) undo.push(await pin(hypervisor, domid, first, count));
      const memory = new RegionMemory(ram.regions);
      return { mapping: { ram: memory, table: table.bytes, domid: DOM0, close: () => {} }, giveBack };
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  async #connected(): Promise<BusClient> {
    this.#hypervisor ??= this.#parts.connect();
    try {
      return await withDeadline(this.#hypervisor, DEADLINE_MS.grantsOpened, 'the hypervisor');
    } catch (error) {
      // Out of time, or it ended meanwhile.
      throw new ErrnoError('ENODEV', 'no hypervisor to map granted pages with', { cause: error });
    }
  }

  /** What is behind a region's descriptor; stays this object's. Throws what prepare() met. */
  of(handle: OwnedFd): GrantMapping | undefined {
    const taken = this.#taken.get(handle);
    if (taken instanceof Error) throw taken;
    return taken?.mapping;
  }

  /** The connection does not need the region any more. */
  release(handle: OwnedFd): void {
    const taken = this.#taken.get(handle);
    this.#taken.delete(handle);
    if (taken !== undefined && !(taken instanceof Error)) taken.giveBack();
  }
}

/** Maps references, so that the guest cannot take them back; answers how to unmap them. Throws EFAULT where one is not granted. */
async function pin(hypervisor: Remote<'Hypervisor'>, domid: number, first: number, count: number): Promise<() => void> {
  const refs = Array.from({ length: count }, (_, index) => first + index);
  const { mapped } = await hypervisor.gntdev_map({ domid, refs, readonly: false });
  const handles = mapped.filter(({ status }) => status === GNTST.okay).map(({ handle }) => handle);
  const unmap = (): void => ignore(hypervisor.gntdev_unmap({ handles }));
  if (handles.length === count) return unmap;
  unmap();
  throw new ErrnoError('EFAULT', `${count - handles.length} of ${count} references from ${first} on are not granted`);
}

/** A hypervisor that ended has taken everything back. */
function ignore(call: Promise<unknown>): void {
  call.catch(passOver);
}
