// What of its guest's memory a device server is given: all of it, mapped as a foreign domain's, or a pool of granted pages
// (`grant_usage` = 1). In the second case ring pages stay pinned while rings run (gntdev), so that the guest cannot take
// them back; other pages are looked up at each access by the device server (lib/core/grant-memory.ts).
// Leaves when that is to virtio-link.ts.
import type { Remote } from '../../lib/core/bus.js';
import { dmaAddressOf, GRANT_DMA_BASE, GRANT_SPACE, grantRefOf } from '../../lib/core/dma-address.js';
import { ErrnoError } from '../../lib/core/errors.js';
import { ramOfFile } from '../../lib/core/guest-ram.js';
import type { DomId } from '../../lib/core/ids.js';
import type { FileHandle, GrantHandle } from '../../lib/core/proto-types.js';
import { GNTST, GRANT_DMA_PAGE_SHIFT, GRANT_ENTRY_V1 } from '../../lib/layout/grant-table.js';
import {
  featureBits,
  hasFeature,
  VIRTIO_F_ACCESS_PLATFORM,
  virtqAvailBytes,
  virtqDescBytes,
  virtqUsedBytes,
} from '../../lib/layout/virtio-ring.js';
import type { FrontendRegion } from '../../lib/vhost-user/frontend-session.js';
import type { QueueSetup } from '../../lib/virtio/mmio-registers.js';
import type { ServerHandle, ServerSession } from './device-server.js';
import type { Ledger } from './ledger.js';

const PAGE_SIZE = 2 ** GRANT_DMA_PAGE_SHIFT;

export interface MemoryDeps {
  readonly hypervisor: Remote<'Hypervisor'>;
  readonly ledger: Ledger;
}

export interface DeviceMemory {
  /** Offered to the driver beside the device's own features. */
  readonly features: bigint;
  /** Whether a driver that took these features can be let through. */
  accepts(features: bigint): boolean;
  /** For vhost-user. Throws ErrnoError EOPNOTSUPP where the device server cannot be given such memory. */
  regions(session: ServerSession): FrontendRegion<ServerHandle>[];
  /** Before rings run in it. Rejects with EFAULT, nothing pinned, where one does not lie in memory of ours. */
  pin(queues: readonly QueueSetup[]): Promise<void>;
  /** One ring more. */
  pinRing(queue: QueueSetup): Promise<void>;
  /** After a ring has stopped; all of them when none is named. */
  unpin(index?: number): Promise<void>;
  readonly pinned: boolean;
  close(): Promise<void>;
}

export async function openDeviceMemory(domid: DomId, granted: boolean, deps: MemoryDeps): Promise<DeviceMemory> {
  const { hypervisor, ledger } = deps;
  if (granted) {
    const handle = await hypervisor.gntdev_open({ domid });
    return new GrantedMemory(domid, handle, ledger.take('gntdev', domid, domid), deps);
  }
  const { file } = await hypervisor.privcmd_map_foreign({ domid });
  const unmapped = ledger.take('foreign map', domid, domid);
  return new ForeignMemory(file, () => hypervisor.privcmd_unmap_foreign({ domid }).finally(unmapped));
}

class ForeignMemory implements DeviceMemory {
  readonly features = 0n;
  readonly pinned = false;
  readonly #file: FileHandle;
  readonly #unmap: () => Promise<unknown>;

  constructor(file: FileHandle, unmap: () => Promise<unknown>) {
    this.#file = file;
    this.#unmap = unmap;
  }

  accepts(): boolean {
    return true;
  }
  regions(session: ServerSession): FrontendRegion<ServerHandle>[] {
    return ramOfFile(this.#file.size).map(({ offset, size }) => ({
      guestAddr: BigInt(offset),
      size: BigInt(size),
      mmapOffset: BigInt(this.#file.offset + offset),
      handle: session.memoryHandle(this.#file),
    }));
  }
  async pin(): Promise<void> {}
  async pinRing(): Promise<void> {}
  async unpin(): Promise<void> {}
  async close(): Promise<void> {
    await this.#unmap();
  }
}

class GrantedMemory implements DeviceMemory {
  readonly features = featureBits(VIRTIO_F_ACCESS_PLATFORM);
  readonly #domid: DomId;
  readonly #handle: GrantHandle;
  readonly #closed: () => void;
  readonly #deps: MemoryDeps;
  /** Mappings of each ring's pages. */
  readonly #pins = new Map<number, { handles: number[]; giveBack: () => void }>();

  constructor(domid: DomId, handle: GrantHandle, closed: () => void, deps: MemoryDeps) {
    this.#domid = domid;
    this.#handle = handle;
    this.#closed = closed;
    this.#deps = deps;
  }

  /** A driver that would give plain addresses is not let through (virtio 1.4, 6.1). */
  accepts(features: bigint): boolean {
    return hasFeature(features, VIRTIO_F_ACCESS_PLATFORM);
  }

  /** All that the table can grant. */
  regions(session: ServerSession): FrontendRegion<ServerHandle>[] {
    if (session.grantHandle === undefined)
      throw new ErrnoError('EOPNOTSUPP', 'this device server cannot be given granted pages');
    const size = (this.#handle.table.size / GRANT_ENTRY_V1.size) * PAGE_SIZE;
    const handle = session.grantHandle(this.#handle);
    return [{ guestAddr: GRANT_DMA_BASE, size: BigInt(size), mmapOffset: 0n, handle }];
  }

  get pinned(): boolean {
    return this.#pins.size > 0;
  }

  async pin(queues: readonly QueueSetup[]): Promise<void> {
    await this.unpin();
    try {
      for (const queue of queues) await this.pinRing(queue);
    } catch (error) {
      await this.unpin();
      throw error;
    }
  }

  async pinRing(queue: QueueSetup): Promise<void> {
    await this.unpin(queue.index);
    const { hypervisor, ledger } = this.#deps;
    const { mapped } = await hypervisor.gntdev_map({ domid: this.#domid, refs: ringRefs(queue), readonly: false });
    const handles = mapped.filter(({ status }) => status === GNTST.okay).map(({ handle }) => handle);
    const giveBack = ledger.take('ring grants', handles.length, this.#domid);
    this.#pins.set(queue.index, { handles, giveBack });
    const failed = mapped.find(({ status }) => status !== GNTST.okay);
    if (failed !== undefined)
      throw new ErrnoError('EFAULT', `a page of ring ${queue.index} is not granted: status ${failed.status}`);
  }

  async unpin(index?: number): Promise<void> {
    for (const [ring, { handles, giveBack }] of [...this.#pins]) {
      if (index !== undefined && ring !== index) continue;
      this.#pins.delete(ring);
      await this.#deps.hypervisor.gntdev_unmap({ handles }).finally(giveBack);
    }
  }

  async close(): Promise<void> {
    try {
      await this.unpin();
      await this.#deps.hypervisor.gntdev_close({ domid: this.#domid });
    } finally {
      this.#closed();
    }
  }
}

/** References of the pages that a ring's three areas lie in. Throws EFAULT for what is no granted address. */
function ringRefs({ index, size, desc, avail, used }: QueueSetup): number[] {
  const refs = new Set<number>();
  const areas: [bigint, number][] = [
    [desc, virtqDescBytes(size)],
    [avail, virtqAvailBytes(size)],
    [used, virtqUsedBytes(size)],
  ];
  for (const [wire, bytes] of areas) {
    const address = dmaAddressOf(wire);
    const last = grantRefOf(address + bytes - 1);
    // A reference is a u32 in the hypercall.
    if (address < GRANT_SPACE || last > 0xffffffff)
      throw new ErrnoError('EFAULT', `ring ${index} at 0x${wire.toString(16)} is no granted memory`);
    for (let ref = grantRefOf(address); ref <= last; ref++) refs.add(ref);
  }
  return [...refs];
}
