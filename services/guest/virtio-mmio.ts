// The guest's virtio-mmio transport and virtio core: finds the device, negotiates, sets up queues, hands out interrupts, and
// takes everything down again, with the register accesses of Linux's virtio_mmio.c and virtio.c in their order.
// Leaves what the device is to its driver (virtio-gpu.ts) and how an access leaves the guest to the vCPU.

import { assert, ErrnoError } from '../../lib/core/errors.js';
import type { DomId, EvtchnPort } from '../../lib/core/ids.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import {
  VIRTIO_CONFIG_S_ACKNOWLEDGE,
  VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FAILED,
  VIRTIO_CONFIG_S_FEATURES_OK,
  VIRTIO_CONFIG_S_NEEDS_RESET,
  VIRTIO_MMIO_CONFIG,
  VIRTIO_MMIO_DEVICE_FEATURES,
  VIRTIO_MMIO_DEVICE_FEATURES_SEL,
  VIRTIO_MMIO_DEVICE_ID,
  VIRTIO_MMIO_DRIVER_FEATURES,
  VIRTIO_MMIO_DRIVER_FEATURES_SEL,
  VIRTIO_MMIO_INT_CONFIG,
  VIRTIO_MMIO_INT_VRING,
  VIRTIO_MMIO_INTERRUPT_ACK,
  VIRTIO_MMIO_INTERRUPT_STATUS,
  VIRTIO_MMIO_MAGIC,
  VIRTIO_MMIO_MAGIC_VALUE,
  VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
  VIRTIO_MMIO_QUEUE_AVAIL_LOW,
  VIRTIO_MMIO_QUEUE_DESC_HIGH,
  VIRTIO_MMIO_QUEUE_DESC_LOW,
  VIRTIO_MMIO_QUEUE_NOTIFY,
  VIRTIO_MMIO_QUEUE_NUM,
  VIRTIO_MMIO_QUEUE_NUM_MAX,
  VIRTIO_MMIO_QUEUE_READY,
  VIRTIO_MMIO_QUEUE_SEL,
  VIRTIO_MMIO_QUEUE_USED_HIGH,
  VIRTIO_MMIO_QUEUE_USED_LOW,
  VIRTIO_MMIO_SHM_BASE_HIGH,
  VIRTIO_MMIO_SHM_BASE_LOW,
  VIRTIO_MMIO_SHM_LEN_HIGH,
  VIRTIO_MMIO_SHM_LEN_LOW,
  VIRTIO_MMIO_SHM_SEL,
  VIRTIO_MMIO_STATUS,
  VIRTIO_MMIO_VENDOR_ID,
  VIRTIO_MMIO_VERSION,
  VIRTIO_MMIO_VERSION_2,
} from '../../lib/layout/virtio-mmio.js';
import {
  featureBits,
  hasFeature,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_VERSION_1,
  VIRTQ_SIZE_MAX,
} from '../../lib/layout/virtio-ring.js';
import { HOP } from '../../lib/trace/hops.js';
import { POINT } from '../../lib/trace/points.js';
import { type DriverRing, ringPlace } from '../../lib/virtio/driver-ring.js';
import { openDriverRing } from '../../lib/virtio/open-driver-ring.js';
import type { DmaMemory, DmaSpaces } from './dma.js';
import type { Events } from './events.js';
import { PAGE_SIZE, type PageRun } from './pages.js';
import type { Vcpu } from './vcpu.js';

/** What this transport can do of the bits that belong to it (28 to 41); Linux takes more, and would be held to it. */
const TRANSPORT_FEATURES = featureBits(
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_VERSION_1,
  VIRTIO_F_ACCESS_PLATFORM,
);
const NO_REGION = 0xffffffff;

export interface VirtioDriver {
  readonly deviceId: number;
  /** Device-specific features that it takes when offered, and the layout of its rings. */
  readonly features: bigint;
  /** Calls findQueues and ready. What it throws fails the device; it has given back its own things then. */
  probe(device: VirtioMmio): Promise<void>;
  /** Ends all traffic and calls reset and deleteQueues. */
  remove(device: VirtioMmio): Promise<void>;
  /** In interrupt context; not before probe has returned. */
  configChanged(): void;
  /** In interrupt context, while probe is under way; configChanged follows. */
  configChangedEarly?(): void;
}

export interface TransportParts {
  readonly vcpu: Vcpu;
  readonly events: Events;
  readonly memory: GuestMemory;
  readonly dma: DmaSpaces;
  /** Whom granted pages are granted to: the domain that the backend is in. */
  readonly backendDomid: DomId;
  readonly probe: Probe;
  readonly base: number;
  readonly irq: number;
  /** Event channels that are sent on instead of QueueNotify, index = queue. */
  readonly queuePorts: readonly EvtchnPort[];
}

interface Queue {
  readonly ring: DriverRing<unknown>;
  readonly run: PageRun;
  /** In interrupt context, when something was used. */
  readonly onUsed: (() => void) | undefined;
}

export class VirtioMmio {
  readonly #parts: TransportParts;
  readonly #queues: Queue[] = [];
  #driver: VirtioDriver | undefined;
  #features = 0n;
  /** Chosen by the first negotiation. */
  #dma: DmaMemory | undefined;
  #requested = false;
  /** Config interrupts from before the driver was ready are told to it then. */
  #configPending = false;
  #ready = false;
  #restoring = false;
  #kickCount = 0;

  constructor(parts: TransportParts) {
    this.#parts = parts;
  }

  get features(): bigint {
    return this.#features;
  }

  /** Memory for this device; from FEATURES_OK on. */
  get dma(): DmaMemory {
    assert(this.#dma !== undefined, 'a device has memory once its features are agreed');
    return this.#dma;
  }

  read(offset: number): Promise<number> {
    return this.#parts.vcpu.read(this.#parts.base + offset, 4);
  }
  write(offset: number, value: number): Promise<void> {
    return this.#parts.vcpu.write(this.#parts.base + offset, 4, value);
  }

  /** Platform probe, registration, bus probe; resolves with the driver. Throws ErrnoError: it is FAILED or no device then. */
  async probe(drivers: readonly VirtioDriver[]): Promise<VirtioDriver> {
    if ((await this.read(VIRTIO_MMIO_MAGIC_VALUE)) !== VIRTIO_MMIO_MAGIC) {
      throw new ErrnoError('ENODEV', 'no virtio device answers: wrong magic');
    }
    const version = await this.read(VIRTIO_MMIO_VERSION);
    if (version !== VIRTIO_MMIO_VERSION_2) throw new ErrnoError('ENXIO', `virtio-mmio version ${version}`);
    const deviceId = await this.read(VIRTIO_MMIO_DEVICE_ID);
    if (deviceId === 0) throw new ErrnoError('ENODEV', 'an empty virtio-mmio slot');
    await this.read(VIRTIO_MMIO_VENDOR_ID);
    await this.reset();
    await this.#addStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE);
    const driver = drivers.find((candidate) => candidate.deviceId === deviceId);
    if (driver === undefined) throw new ErrnoError('ENODEV', `no driver for virtio device ${deviceId}`);
    await this.#bind(driver);
    return driver;
  }

  async #bind(driver: VirtioDriver): Promise<void> {
    this.#driver = driver;
    try {
      await this.#negotiate(driver);
      await driver.probe(this);
      const status = await this.read(VIRTIO_MMIO_STATUS);
      if ((status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) await this.ready();
    } catch (error) {
      this.#driver = undefined;
      await this.#addStatus(VIRTIO_CONFIG_S_FAILED);
      throw error;
    }
    this.#ready = true;
    if (this.#configPending) driver.configChanged();
  }

  /** From DRIVER to FEATURES_OK; also the way back after a reset. */
  async #negotiate(driver: VirtioDriver): Promise<void> {
    await this.#addStatus(VIRTIO_CONFIG_S_DRIVER);
    const offered = await this.#deviceFeatures();
    const accepted = offered & (TRANSPORT_FEATURES | driver.features);
    await this.#chooseMemory(accepted);
    await this.#acceptFeatures(accepted);
    this.#features = accepted;
    await this.#addStatus(VIRTIO_CONFIG_S_FEATURES_OK);
    if (((await this.read(VIRTIO_MMIO_STATUS)) & VIRTIO_CONFIG_S_FEATURES_OK) === 0) {
      throw new ErrnoError('ENODEV', 'the device refuses the features');
    }
  }

  /** With ACCESS_PLATFORM the device sees granted pages and nothing else. It cannot change its mind: pages are out by then. */
  async #chooseMemory(features: bigint): Promise<void> {
    const { dma, backendDomid } = this.#parts;
    const chosen = hasFeature(features, VIRTIO_F_ACCESS_PLATFORM) ? await dma.granted(backendDomid) : dma.plain;
    if (this.#dma !== undefined && this.#dma !== chosen)
      throw new ErrnoError('EINVAL', 'the device changed its memory');
    this.#dma = chosen;
  }

  async #deviceFeatures(): Promise<bigint> {
    await this.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    const high = await this.read(VIRTIO_MMIO_DEVICE_FEATURES);
    await this.write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    const low = await this.read(VIRTIO_MMIO_DEVICE_FEATURES);
    return (BigInt(high) << 32n) | BigInt(low);
  }

  async #acceptFeatures(features: bigint): Promise<void> {
    if (!hasFeature(features, VIRTIO_F_VERSION_1)) {
      throw new ErrnoError('EINVAL', 'a version 2 device without VERSION_1');
    }
    await this.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    await this.write(VIRTIO_MMIO_DRIVER_FEATURES, Number(features >> 32n));
    await this.write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    await this.write(VIRTIO_MMIO_DRIVER_FEATURES, Number(features & 0xffffffffn));
  }

  async #addStatus(bit: number): Promise<void> {
    await this.write(VIRTIO_MMIO_STATUS, (await this.read(VIRTIO_MMIO_STATUS)) | bit);
  }

  /** DRIVER_OK: the device is live. */
  async ready(): Promise<void> {
    await this.#addStatus(VIRTIO_CONFIG_S_DRIVER_OK);
    // During a first probe the driver is told of changes when it is through.
    if (this.#restoring) this.#ready = true;
    this.#restoring = false;
  }

  /** The device asks for a reset: it cannot go on by itself. */
  async needsReset(): Promise<boolean> {
    return ((await this.read(VIRTIO_MMIO_STATUS)) & VIRTIO_CONFIG_S_NEEDS_RESET) !== 0;
  }

  /** Linux on mmio does not poll: the device has finished before the write completes. */
  async reset(): Promise<void> {
    this.#ready = false;
    await this.write(VIRTIO_MMIO_STATUS, 0);
  }

  /** A 32-bit field of the device's configuration. */
  readConfig(offset: number): Promise<number> {
    return this.read(VIRTIO_MMIO_CONFIG + offset);
  }
  writeConfig(offset: number, value: number): Promise<void> {
    return this.write(VIRTIO_MMIO_CONFIG + offset, value);
  }

  /** A shared memory region, or undefined when the device has none of that id. */
  async sharedRegion(id: number): Promise<{ base: bigint; length: bigint } | undefined> {
    await this.write(VIRTIO_MMIO_SHM_SEL, id);
    const lengthLow = await this.read(VIRTIO_MMIO_SHM_LEN_LOW);
    const lengthHigh = await this.read(VIRTIO_MMIO_SHM_LEN_HIGH);
    if (lengthLow === NO_REGION && lengthHigh === NO_REGION) return undefined;
    const baseLow = await this.read(VIRTIO_MMIO_SHM_BASE_LOW);
    const baseHigh = await this.read(VIRTIO_MMIO_SHM_BASE_HIGH);
    return {
      base: (BigInt(baseHigh) << 32n) | BigInt(baseLow),
      length: (BigInt(lengthHigh) << 32n) | BigInt(lengthLow),
    };
  }

  /** Sets up queues 0 to n-1, the interrupt first. What was set up before a failure is taken down again. */
  async findQueues<T>(onUsed: readonly ((() => void) | undefined)[]): Promise<DriverRing<T>[]> {
    try {
      await this.#parts.events.request(this.#parts.irq, () => this.#interrupt());
      this.#requested = true;
      for (const [index, callback] of onUsed.entries()) await this.#setUpQueue(index, callback);
    } catch (error) {
      await this.deleteQueues();
      throw error;
    }
    return this.#queues.map(({ ring }) => ring as DriverRing<T>);
  }

  async #setUpQueue(index: number, onUsed: (() => void) | undefined): Promise<void> {
    await this.write(VIRTIO_MMIO_QUEUE_SEL, index);
    if ((await this.read(VIRTIO_MMIO_QUEUE_READY)) !== 0) throw new ErrnoError('ENOENT', `queue ${index} is in use`);
    const max = await this.read(VIRTIO_MMIO_QUEUE_NUM_MAX);
    if (max === 0) throw new ErrnoError('ENOENT', `no queue ${index}`);
    if (max > VIRTQ_SIZE_MAX || (max & (max - 1)) !== 0) throw new ErrnoError('EINVAL', `queue size ${max}`);
    const { run, size } = this.#allocRing(max);
    const { memory, probe } = this.#parts;
    const { tables, address } = this.dma;
    const ring = openDriverRing<unknown>({
      ...{ memory, tables, base: run.addr, size, features: this.#features },
      dma: address,
      onFault: (fault) => probe.at(POINT['error.queue'], fault, index),
    });
    if (onUsed === undefined) ring.disableCallbacks();
    this.#queues.push({ ring, run, onUsed });
    await this.#activateQueue(ring);
  }

  /** The whole queue, else half of it, as long as that fits a page. */
  #allocRing(max: number): { run: PageRun; size: number } {
    for (let size = max; ; size /= 2) {
      const pages = Math.ceil(ringPlace(0, size).bytes / PAGE_SIZE);
      try {
        return { run: this.dma.pages.contiguous(pages), size };
      } catch (error) {
        if (pages <= 2 || !(error instanceof ErrnoError)) throw error;
      }
    }
  }

  async #activateQueue(ring: DriverRing<unknown>): Promise<void> {
    const { desc, avail, used } = ring.place;
    await this.write(VIRTIO_MMIO_QUEUE_NUM, ring.size);
    await this.#writeAddress(VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH, desc);
    await this.#writeAddress(VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, avail);
    await this.#writeAddress(VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH, used);
    await this.write(VIRTIO_MMIO_QUEUE_READY, 1);
  }

  async #writeAddress(low: number, high: number, addr: number): Promise<void> {
    const wire = this.dma.address(addr);
    await this.write(low, Number(wire & 0xffffffffn));
    await this.write(high, Number(wire >> 32n));
  }

  async kick(index: number): Promise<void> {
    const { probe, queuePorts, vcpu } = this.#parts;
    probe.at(HOP.guestKick.point, '', index, ++this.#kickCount);
    const port = queuePorts[index];
    if (port !== undefined) await vcpu.send(port);
    else await this.write(VIRTIO_MMIO_QUEUE_NOTIFY, index);
  }

  /** Disables each queue, frees the interrupt, gives the rings back. */
  async deleteQueues(): Promise<void> {
    for (const [index, { ring, run }] of this.#queues.entries()) {
      ring.breakQueue();
      await this.write(VIRTIO_MMIO_QUEUE_SEL, index);
      await this.write(VIRTIO_MMIO_QUEUE_READY, 0);
      await this.read(VIRTIO_MMIO_QUEUE_READY);
      this.dma.pages.release(run);
    }
    this.#queues.length = 0;
    if (this.#requested) this.#parts.events.free(this.#parts.irq);
    this.#requested = false;
  }

  /** Unbinds the driver and leaves the device acknowledged, as an unregistered platform device is. */
  async remove(): Promise<void> {
    const driver = this.#driver;
    this.#driver = undefined;
    this.#ready = false;
    if (driver === undefined) return;
    await driver.remove(this);
    await this.read(VIRTIO_MMIO_STATUS);
    await this.#addStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE);
  }

  /** The whole way from reset to FEATURES_OK again, for a driver that restores a device that asked for it. */
  async renegotiate(): Promise<void> {
    const driver = this.#driver;
    if (driver === undefined) throw new ErrnoError('ENODEV', 'the device is gone');
    this.#restoring = true;
    await this.reset();
    await this.deleteQueues();
    await this.#addStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE);
    await this.#negotiate(driver);
  }

  /** Shutdown of the machine: queues broken, the device reset; nothing is given back, the machine ends. */
  async shutdown(): Promise<void> {
    if (this.#driver === undefined) return;
    for (const { ring } of this.#queues) ring.breakQueue();
    await this.reset();
  }

  /** vm_interrupt: acknowledged right after reading, before the rings are looked at. */
  async #interrupt(): Promise<void> {
    const status = await this.read(VIRTIO_MMIO_INTERRUPT_STATUS);
    await this.write(VIRTIO_MMIO_INTERRUPT_ACK, status);
    if ((status & VIRTIO_MMIO_INT_CONFIG) !== 0) {
      if (this.#ready) this.#driver?.configChanged();
      else {
        this.#configPending = true;
        this.#driver?.configChangedEarly?.();
      }
    }
    if ((status & VIRTIO_MMIO_INT_VRING) === 0) return;
    for (const { ring, onUsed } of this.#queues) if (ring.hasUsed()) onUsed?.();
  }
}
