// A GPU device as its vhost-user connection drives it: maps memory, opens the ends of kicks and calls, starts and stops
// queues. What a handle is (a doorbell, a file of the run directory, a descriptor) only the transport knows, so that the
// bus and a unix socket share this. Leaves which message may come when to lib/vhost-user/backend-session.ts.
import { DMA_NOWHERE, dmaAddressOf, GRANT_DMA_BASE, GRANT_SPACE } from '../../lib/core/dma-address.js';
import { ErrnoError, ProtocolError } from '../../lib/core/errors.js';
import { GrantMemory } from '../../lib/core/grant-memory.js';
import { GPU_MEMORY_REGIONS_MAX } from '../../lib/core/limits.js';
import { type GuestMemory, type MemoryRegion, RegionMemory } from '../../lib/core/memory.js';
import type { Notifier } from '../../lib/core/notify.js';
import type { Mapping } from '../../lib/core/shared.js';
import { VHOST_USER_PROTOCOL_F } from '../../lib/layout/vhost-user.js';
import { VIRTIO_GPU_QUEUE_COUNT } from '../../lib/layout/virtio-gpu.js';
import { featureBits } from '../../lib/layout/virtio-ring.js';
import type { RingSetup, VhostUserDevice } from '../../lib/vhost-user/device.js';
import type { MappedRegion } from '../../lib/vhost-user/memory-map.js';
import { GPU_FEATURES, type GpuDevice } from './device.js';

/** What QEMU shows of a queue behind virtio-mmio, and the largest that Linux then makes. */
export const GPU_QUEUE_SIZE_MAX = 1024;

/** What handles mean on one connection. What throws ErrnoError is answered as a failure of the message. */
export interface BackendTransport<H> {
  /** Maps the first `size` bytes of a region's file. */
  map(handle: H, size: number): Mapping;
  /** What stands behind a region of granted pages; undefined: the region is a file. Absent: there are no such regions. */
  grants?(handle: H): GrantMapping | undefined;
  /** The sending end of a call or error handle. */
  notifier(handle: H): Notifier;
  /** Runs `onKick` when a kick handle is signalled. */
  listen(handle: H, onKick: () => void): { close(): void };
  /** The connection does not need the handle any more. */
  release(handle: H): void;
  /** Where back-end requests go from now on. */
  setBackendChannel(handle: H): void;
  /** Where the picture goes from now on, beside screenshots. */
  setDisplay(handle: H): void;
  /** The driver broke ring `index`, which has stopped; beside the ring's error handle. */
  ringFailed(index: number): void;
}

/** A guest's RAM and grant table, of which this process may touch what is granted to `domid`. */
export interface GrantMapping {
  readonly ram: Uint8Array;
  readonly table: Uint8Array;
  readonly domid: number;
  close(): void;
}

interface Ring {
  readonly kick: { close(): void };
  call: Notifier | undefined;
  readonly err: Notifier | undefined;
}

export class GpuBackend<H> implements VhostUserDevice<H> {
  readonly features: bigint;
  readonly protocolFeatures: bigint;
  readonly queueCount = VIRTIO_GPU_QUEUE_COUNT;
  readonly queueSizeMax = GPU_QUEUE_SIZE_MAX;
  readonly memorySlotsMax = GPU_MEMORY_REGIONS_MAX;
  readonly #device: GpuDevice;
  readonly #transport: BackendTransport<H>;
  readonly #rings: (Ring | undefined)[] = [];
  #mappings = new Map<H, Mapping>();
  #granted: { readonly handle: H; readonly mapping: GrantMapping } | undefined;

  /** `more`: features and protocol features that the transport can do beside those of the device. */
  constructor(device: GpuDevice, transport: BackendTransport<H>, more = { features: 0n, protocolFeatures: 0n }) {
    this.#device = device;
    this.#transport = transport;
    this.features = GPU_FEATURES | more.features;
    this.protocolFeatures =
      featureBits(VHOST_USER_PROTOCOL_F.CONFIGURE_MEM_SLOTS, VHOST_USER_PROTOCOL_F.RESET_DEVICE) |
      more.protocolFeatures;
  }

  get mappingCount(): number {
    return this.#mappings.size + (this.#granted === undefined ? 0 : 1);
  }

  setFeatures(features: bigint): void {
    this.#device.setFeatures(features);
  }

  setMemory(regions: readonly MappedRegion<H>[]): void {
    const granted = this.#openGrants(regions);
    const fresh = new Map<H, Mapping>();
    let memory: GuestMemory | undefined = granted?.memory;
    try {
      const parts = granted === undefined ? regions.map((region) => this.#mapRegion(region, fresh)) : [];
      if (parts.length > 0) memory = new RegionMemory(parts);
    } catch (error) {
      for (const mapping of fresh.values()) mapping.close();
      throw error;
    }
    this.#device.setMemory(memory);
    this.#granted?.mapping.close();
    this.#granted = granted?.held;
    const kept = new Set(regions.map(({ handle }) => handle));
    for (const [handle, mapping] of this.#mappings) if (!kept.has(handle)) mapping.close();
    this.#mappings = new Map([...[...this.#mappings].filter(([handle]) => kept.has(handle)), ...fresh]);
  }

  /** Granted pages are one region, from the first granted address on (XEN_MMAP, GRANT); a guest's memory is of one kind. */
  #openGrants(regions: readonly MappedRegion<H>[]) {
    const [first] = regions;
    if (first === undefined || first.guestAddr < GRANT_DMA_BASE) return undefined;
    if (regions.length > 1 || first.guestAddr !== GRANT_DMA_BASE || first.mmapOffset !== 0n)
      throw new ErrnoError('EINVAL', 'granted pages are one region of their own');
    const { handle } = first;
    const mapping = this.#transport.grants?.(handle);
    if (mapping === undefined) throw new ErrnoError('EINVAL', 'a region of granted pages without a grant table');
    try {
      return { memory: new GrantMemory(mapping), held: { handle, mapping } };
    } catch (error) {
      mapping.close();
      throw error;
    }
  }

  /** A handle that is mapped already stays as it is; others are mapped and noted in `fresh`. */
  #mapRegion(region: MappedRegion<H>, fresh: Map<H, Mapping>): MemoryRegion {
    const { handle, guestAddr, size, mmapOffset } = region;
    const end = mmapOffset + size;
    // Above GRANT_SPACE numbers mean granted pages.
    if (guestAddr + size > BigInt(GRANT_SPACE) || end > BigInt(Number.MAX_SAFE_INTEGER) || size === 0n) {
      throw new ErrnoError('EINVAL', `memory region at 0x${guestAddr.toString(16)} of ${size} bytes`);
    }
    let mapping = this.#mappings.get(handle) ?? fresh.get(handle);
    if (mapping === undefined) {
      mapping = this.#transport.map(handle, Number(end));
      fresh.set(handle, mapping);
    }
    if (mapping.bytes.length < Number(end)) throw new ErrnoError('EINVAL', 'memory region passes the end of its file');
    return { base: Number(guestAddr), bytes: mapping.bytes.subarray(Number(mmapOffset), Number(end)) };
  }

  startRing(index: number, setup: RingSetup<H>): void {
    const { size, base } = setup;
    const layout = { size, base, desc: address(setup.desc), avail: address(setup.avail), used: address(setup.used) };
    const opened: { close(): void }[] = [];
    const open = <T extends { close(): void }>(end: T): T => {
      opened.push(end);
      return end;
    };
    try {
      const notifier = (handle: H | undefined): Notifier | undefined =>
        handle === undefined ? undefined : open(this.#transport.notifier(handle));
      const ring: Ring = {
        call: notifier(setup.call),
        err: notifier(setup.err),
        kick: open(this.#transport.listen(setup.kick, () => this.#device.kick(index))),
      };
      const ends = {
        call: () => ring.call?.signal(),
        error: () => {
          ring.err?.signal();
          this.#transport.ringFailed(index);
        },
      };
      this.#device.startQueue(index, layout, ends);
      this.#rings[index] = ring;
    } catch (error) {
      for (const end of opened) end.close();
      throw error;
    }
  }

  stopRing(index: number): number {
    const ring = this.#rings[index];
    this.#rings[index] = undefined;
    const base = this.#device.stopQueue(index);
    for (const end of [ring?.kick, ring?.call, ring?.err]) end?.close();
    return base;
  }

  setCall(index: number, call: H | undefined): void {
    const ring = this.#rings[index];
    if (ring === undefined) return;
    const old = ring.call;
    ring.call = call === undefined ? undefined : this.#transport.notifier(call);
    old?.close();
  }

  reset(): void {
    this.#device.reset();
  }

  readConfig(offset: number, size: number): Uint8Array | undefined {
    return this.#device.displays.readConfig(offset, size);
  }

  writeConfig(offset: number, data: Uint8Array): void {
    this.#device.displays.writeConfig(offset, data);
  }

  setDisplay(handle: H): void {
    this.#transport.setDisplay(handle);
  }

  setBackendChannel(handle: H): void {
    this.#transport.setBackendChannel(handle);
  }

  release(handle: H): void {
    this.#transport.release(handle);
  }
}

function address(value: bigint): number {
  const number = dmaAddressOf(value);
  if (number === DMA_NOWHERE) throw new ProtocolError('ring', `ring address 0x${value.toString(16)}`);
  return number;
}
