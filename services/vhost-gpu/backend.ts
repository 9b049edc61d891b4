// A GPU device as its vhost-user connection drives it: maps memory, opens the ends of kicks and calls, starts and stops
// queues. What a handle is (a doorbell, a file of the run directory, a descriptor) only the transport knows, so that the
// bus and a unix socket share this. Leaves which message may come when to lib/vhost-user/backend-session.ts.
import type { Clock, Timer } from '../../lib/core/clock.js';
import { loggingMemory } from '../../lib/core/dirty-log.js';
import { DMA_NOWHERE, dmaAddressOf, GRANT_SPACE } from '../../lib/core/dma-address.js';
import { ErrnoError, ProtocolError } from '../../lib/core/errors.js';
import { GrantMemory } from '../../lib/core/grant-memory.js';
import { GPU_MEMORY_REGIONS_MAX } from '../../lib/core/limits.js';
import { type GuestMemory, RegionMemory } from '../../lib/core/memory.js';
import { type MappedPart, mapInWindows } from '../../lib/core/memory-windows.js';
import type { Notifier } from '../../lib/core/notify.js';
import type { Mapping } from '../../lib/core/shared.js';
import { PAGE_SIZE } from '../../lib/layout/page.js';
import { VHOST_F_LOG_ALL, VHOST_USER_PROTOCOL_F } from '../../lib/layout/vhost-user.js';
import { VIRTIO_GPU_QUEUE_CONTROL, VIRTIO_GPU_QUEUE_COUNT } from '../../lib/layout/virtio-gpu.js';
import {
  featureBits,
  hasFeature,
  VIRTIO_F_RING_PACKED,
  VIRTQ_PACKED_BASE_FRESH,
} from '../../lib/layout/virtio-ring.js';
import type { HandleUse, InflightPlace, RingSetup, VhostUserDevice } from '../../lib/vhost-user/device.js';
import { inflightBytes, SplitInflight } from '../../lib/vhost-user/inflight.js';
import { PackedInflight } from '../../lib/vhost-user/inflight-packed.js';
import type { MappedRegion } from '../../lib/vhost-user/memory-map.js';
import type { QueueLayout } from '../../lib/virtio/device-ring.js';
import { GPU_FEATURES, type GpuDevice } from './device.js';
import { grantRangesOf } from './granted-regions.js';

/** What QEMU shows of a queue behind virtio-mmio, and the largest that Linux then makes. */
export const GPU_QUEUE_SIZE_MAX = 1024;

/** What handles mean on one connection. What throws ErrnoError or ProtocolError is answered as a failure of the message. */
export interface BackendTransport<H> {
  /** Throws unless the handle is fit for that. */
  check(use: HandleUse, handle: H): void;
  /** Makes sure that a region's file has `size` bytes. */
  checkMemory(handle: H, size: number): void;
  /** Maps `size` bytes of a region's file from `offset` on, a multiple of the page size. */
  map(handle: H, offset: number, size: number): Mapping;
  /** What stands behind a region of granted pages; undefined: the region is a file. Absent: there are no such regions. */
  grants?(handle: H): GrantMapping | undefined;
  /** The sending end of a call or error handle. */
  notifier(handle: H): Notifier;
  /** Runs `onKick` when a kick handle, which was checked, is signalled. */
  listen(handle: H, onKick: () => void): { close(): void };
  /** The connection does not need the handle any more. */
  release(handle: H): void;
  /** Where back-end requests go from now on. */
  setBackendChannel(handle: H): void;
  /** Where the picture goes from now on, beside screenshots. */
  setDisplay(handle: H): void;
  /** A fresh file of zeroes, for a record of inflight chains. Absent: there are none. */
  makeFile?(size: number): H;
  /** The driver broke ring `index`, which has stopped; beside the ring's error handle. */
  ringFailed(index: number): void;
}

/** A guest's RAM and grant table, of which this process may touch what is granted to `domid`. */
export interface GrantMapping {
  readonly ram: RegionMemory;
  readonly table: Uint8Array;
  readonly domid: number;
  close(): void;
}

/** How often the queue of a ring without a kick is looked at. */
const POLL_MS = 1;

/** Runs `action` every POLL_MS. */
function poll(clock: Clock, action: () => void): { close(): void } {
  let timer: Timer;
  const again = (): void => {
    timer = clock.after(POLL_MS, () => {
      again();
      action();
    });
  };
  again();
  return { close: () => timer.cancel() };
}

export class GpuBackend<H> implements VhostUserDevice<H> {
  readonly features: bigint;
  readonly protocolFeatures: bigint;
  readonly queueCount = VIRTIO_GPU_QUEUE_COUNT;
  readonly queueSizeMax = GPU_QUEUE_SIZE_MAX;
  readonly memorySlotsMax = GPU_MEMORY_REGIONS_MAX;
  readonly #device: GpuDevice;
  readonly #transport: BackendTransport<H>;
  readonly #clock: Clock;
  readonly #kicks: ({ close(): void } | undefined)[] = [];
  /** Where the control queue's last run stopped; 0 also when it never ran. */
  #stoppedAt = 0;
  /** Rings that run, and whether there was a time without any since the control queue stopped. */
  #runCount = 0;
  #rested = true;
  #mappings = new Map<MappedRegion<H>, MappedPart>();
  /** The record of inflight chains that the front-end keeps. */
  #inflight: { readonly mapping: Mapping; readonly place: InflightPlace } | undefined;
  #features = 0n;
  #memory: GuestMemory | undefined;
  /** Where the front-end wants to know of pages that are written to, while it has LOG_ALL set. */
  #log: Mapping | undefined;
  #granted: { readonly handle: H; readonly mapping: GrantMapping } | undefined;

  /** `more`: features and protocol features that the transport can do beside those of the device. */
  constructor(
    device: GpuDevice,
    transport: BackendTransport<H>,
    clock: Clock,
    more = { features: 0n, protocolFeatures: 0n },
  ) {
    this.#device = device;
    this.#transport = transport;
    this.#clock = clock;
    this.features = GPU_FEATURES | more.features;
    this.protocolFeatures =
      featureBits(VHOST_USER_PROTOCOL_F.CONFIGURE_MEM_SLOTS, VHOST_USER_PROTOCOL_F.RESET_DEVICE) |
      more.protocolFeatures;
  }

  get mappingCount(): number {
    return this.#mappings.size + [this.#granted, this.#inflight, this.#log].filter((held) => held !== undefined).length;
  }

  check(use: HandleUse, handle: H): void {
    this.#transport.check(use, handle);
  }

  openNotifier(handle: H): Notifier {
    return this.#transport.notifier(handle);
  }

  setFeatures(features: bigint): void {
    this.#features = features;
    this.#device.setFeatures(features);
    this.#giveMemory();
  }

  setLog(handle: H, offset: number, size: number): void {
    const log = this.#mapFile(handle, offset, size);
    this.#log?.close();
    this.#log = log;
    this.#giveMemory();
  }

  /** To the device, noting what it writes while the front-end asks for that. */
  #giveMemory(): void {
    const { bytes } = this.#log ?? {};
    const noted = bytes !== undefined && hasFeature(this.#features, VHOST_F_LOG_ALL);
    this.#device.setMemory(this.#memory === undefined || !noted ? this.#memory : loggingMemory(this.#memory, bytes));
  }

  makeInflight(bytes: number): H {
    const made = this.#transport.makeFile?.(bytes);
    if (made === undefined) throw new ErrnoError('EOPNOTSUPP', 'no files here');
    return made;
  }

  setInflight(handle: H, place: InflightPlace): void {
    const mapping = this.#mapFile(
      handle,
      place.offset,
      place.queueCount * inflightBytes(place.queueSize, place.packed),
    );
    this.#inflight?.mapping.close();
    this.#inflight = { mapping, place };
  }

  /** A small file of the front-end's, which is given back. */
  #mapFile(handle: H, offset: number, size: number): Mapping {
    if (offset % PAGE_SIZE !== 0) throw new ErrnoError('EINVAL', `a file mapped from ${offset} on`);
    this.#transport.checkMemory(handle, offset + size);
    const mapping = this.#transport.map(handle, offset, size);
    this.#transport.release(handle);
    return mapping;
  }

  /** Ring `index` with its record, where the front-end keeps one. */
  #recorded(index: number, layout: QueueLayout): QueueLayout {
    if (this.#inflight === undefined) return layout;
    const { mapping, place } = this.#inflight;
    const packed = hasFeature(this.#features, VIRTIO_F_RING_PACKED);
    if (index >= place.queueCount || layout.size > place.queueSize || packed !== place.packed)
      throw new ErrnoError('EINVAL', `ring ${index} of ${layout.size} entries has no record of inflight chains`);
    const bytes = inflightBytes(place.queueSize, packed);
    const region = mapping.bytes.subarray(index * bytes, (index + 1) * bytes);
    return packed
      ? { ...layout, packedInflight: new PackedInflight(region, layout.size) }
      : { ...layout, inflight: new SplitInflight(region, place.queueSize) };
  }

  setMemory(regions: readonly MappedRegion<H>[]): void {
    const granted = this.#openGrants(regions);
    const fresh = new Map<MappedRegion<H>, MappedPart>();
    let memory: GuestMemory | undefined = granted?.memory;
    try {
      if (granted === undefined && regions.length > 0) {
        for (const region of regions) if (!this.#mappings.has(region)) fresh.set(region, this.#mapRegion(region));
        memory = new RegionMemory(
          regions.flatMap((region) => (this.#mappings.get(region) ?? fresh.get(region)!).regions),
        );
      }
    } catch (error) {
      for (const mapping of fresh.values()) mapping.close();
      granted?.held.mapping.close();
      throw error;
    }
    this.#memory = memory;
    this.#giveMemory();
    this.#granted?.mapping.close();
    this.#granted = granted?.held;
    for (const [region, mapping] of this.#mappings) {
      if (regions.includes(region)) fresh.set(region, mapping);
      else mapping.close();
    }
    this.#mappings = fresh;
  }

  /** Regions of granted pages: what is behind the first of them is behind all, since they are of one domain. */
  #openGrants(regions: readonly MappedRegion<H>[]) {
    const ranges = grantRangesOf(regions);
    if (ranges === undefined) return undefined;
    const { handle } = regions[0]!;
    const mapping = this.#transport.grants?.(handle);
    if (mapping === undefined) throw new ErrnoError('EINVAL', 'a region of granted pages without a grant table');
    try {
      return { memory: new GrantMemory({ ...mapping, ranges }), held: { handle, mapping } };
    } catch (error) {
      mapping.close();
      throw error;
    }
  }

  #mapRegion({ handle, guestAddr, size, mmapOffset: offset, xen }: MappedRegion<H>): MappedPart {
    // A domain's memory is mapped by its own addresses, and its descriptor has no offset (XEN_MMAP).
    if (xen !== undefined && offset !== 0n) throw new ErrnoError('EINVAL', `memory of a domain at offset ${offset}`);
    const mmapOffset = xen === undefined ? offset : guestAddr;
    // Above GRANT_SPACE numbers mean granted pages.
    if (guestAddr + size > BigInt(GRANT_SPACE) || mmapOffset + size > BigInt(Number.MAX_SAFE_INTEGER) || size === 0n) {
      throw new ErrnoError('EINVAL', `memory region at 0x${guestAddr.toString(16)} of ${size} bytes`);
    }
    this.#transport.checkMemory(handle, Number(mmapOffset + size));
    const part = { base: Number(guestAddr), offset: Number(mmapOffset), size: Number(size) };
    return mapInWindows(part, (offset, bytes) => this.#transport.map(handle, offset, bytes));
  }

  startRing(index: number, setup: RingSetup<H>): void {
    const { size, base, kick, call } = setup;
    const layout = { size, base, desc: address(setup.desc), avail: address(setup.avail), used: address(setup.used) };
    if (index === VIRTIO_GPU_QUEUE_CONTROL && this.#isNewDriver(layout)) this.#forget();
    const recorded = this.#recorded(index, layout);
    this.#runCount++;
    const error = (): void => {
      setup.error();
      this.#transport.ringFailed(index);
    };
    const kicked = (): void => this.#device.kick(index);
    const listener = kick === undefined ? poll(this.#clock, kicked) : this.#transport.listen(kick, kicked);
    try {
      this.#device.startQueue(index, recorded, { call, error });
    } catch (cause) {
      this.#runCount--;
      listener.close();
      throw cause;
    }
    this.#kicks[index] = listener;
  }

  /**
   * Whether a ring that starts belongs to another driver than the one that made what the device has: nothing ran since the
   * ring stopped (a driver may reset a queue by itself), the ring begins at 0, unused, and not where it stopped. A front-end that stops a device for a while, or migrates it, starts it again where it
   * stopped; one whose guest was reset may say so by nothing else (QEMU's sends no RESET_DEVICE).
   */
  #isNewDriver({ base, used }: QueueLayout): boolean {
    if (!this.#rested || this.#stoppedAt === 0) return false;
    if (hasFeature(this.#features, VIRTIO_F_RING_PACKED))
      return base === VIRTQ_PACKED_BASE_FRESH && this.#stoppedAt !== VIRTQ_PACKED_BASE_FRESH;
    return base === 0 && this.#device.usedIndex(used) === 0;
  }

  stopRing(index: number): number {
    this.#kicks[index]?.close();
    this.#kicks[index] = undefined;
    const base = this.#device.stopQueue(index);
    if (index === VIRTIO_GPU_QUEUE_CONTROL) {
      this.#stoppedAt = base;
      this.#rested = false;
    }
    if (--this.#runCount === 0) this.#rested = true;
    return base;
  }

  reset(): void {
    this.#stoppedAt = 0;
    this.#forget();
  }

  /** What another driver is not to find. */
  #forget(): void {
    this.#inflight?.mapping.bytes.fill(0);
    this.#device.reset();
  }

  close(): void {
    this.#inflight?.mapping.close();
    this.#inflight = undefined;
    this.#log?.close();
    this.#log = undefined;
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
