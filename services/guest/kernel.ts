// The guest kernel put together: boot in Linux's order (store, shutdown watch, xenbus, devices), its one user that shows a
// picture on each display that comes up, and shutdown. Pure: pages, calls and the store are given to it.

import type { Clock } from '../../lib/core/clock.js';
import { ErrnoError, errorMessage, isOurBug, passOver } from '../../lib/core/errors.js';
import type { DomId, EvtchnPort } from '../../lib/core/ids.js';
import type { Log } from '../../lib/core/log.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import { SHUTDOWN } from '../../lib/layout/evtchn.js';
import { CONTROL_KEY, DATA_KEY } from '../../lib/layout/xenbus.js';
import { POINT } from '../../lib/trace/points.js';
import { type FrontendName, KIND_OF, protocolOf } from '../../lib/xenbus/protocols.js';
import type { StoreClient } from '../../lib/xenstore/api.js';
import { ChannelStoreClient } from '../../lib/xenstore/client.js';
import { Animation } from './animation.js';
import type { CoreRules } from './core-rules.js';
import { followModes } from './display-modes.js';
import { DmaPools } from './dma.js';
import { type EventCalls, Events } from './events.js';
import type { Framebuffer } from './framebuffer.js';
import type { GpuChoices } from './gpu-options.js';
import { GuestStore } from './guest-store.js';
import { LatencyLoad } from './latency-load.js';
import { MmioRanges } from './mmio-ranges.js';
import { Pages } from './pages.js';
import { Rfc1Front } from './rfc1-front.js';
import { StoreRing } from './store-ring.js';
import type { Vcpu } from './vcpu.js';
import { VirtioGpu } from './virtio-gpu.js';
import { type FrontParts, VirtioMmioFront } from './virtio-mmio-front.js';
import { draw, type Picture, showPicture } from './workload.js';
import { XenbusCore } from './xenbus-core.js';
import { Xenwatch } from './xenwatch.js';

export interface HyperCalls extends EventCalls {
  shutdown(reason: number): Promise<void>;
  /** GNTTABOP_setup_table: the whole table, mapped. */
  grantTable(): Promise<Uint8Array>;
  /** HVM_PARAM_STORE_PFN. */
  storeFrame(): Promise<number>;
}

export interface KernelParts extends GpuChoices {
  readonly domid: DomId;
  readonly vcpu: Vcpu;
  readonly memory: GuestMemory;
  readonly sharedInfo: Uint8Array;
  /** Missing: the store is reached on the ring page. */
  readonly store?: StoreClient;
  /** The ring page cannot be used any more. */
  readonly onStoreLost?: (error: Error) => void;
  /** Each enters the vCPU by itself (Vcpu.hypercall). */
  readonly calls: HyperCalls;
  /** The store's own port, unmasked first of all. */
  readonly storePort: EvtchnPort;
  readonly rules: CoreRules;
  readonly picture: Picture;
  /** Answers requests to measure its notifications, once its picture is shown. */
  readonly measured?: boolean;
  readonly clock: Clock;
  readonly probe: Probe;
  readonly log: Log;
  /** Which version of the protocol its driver speaks; default: the reviewed one. */
  readonly frontend?: FrontendName;
  /** Gives pages to RAM that has none yet (pages.ts). Absent: all of it has. */
  readonly backRam?: (addr: number, bytes: number) => void;
  readonly onState: (state: string) => void;
  /** Xen was told that the domain has shut down: nothing runs any more. */
  readonly onHalted: () => void;
}

/** What control/shutdown asks for, and what Xen is told; others are left alone, as by a kernel without them. */
const SHUTDOWN_COMMANDS: Readonly<Record<string, number>> = {
  poweroff: SHUTDOWN.poweroff,
  halt: SHUTDOWN.poweroff,
  reboot: SHUTDOWN.reboot,
};

export class Kernel {
  readonly pages: Pages;
  readonly events: Events;
  readonly ranges: MmioRanges;
  readonly #parts: KernelParts;
  readonly #store: GuestStore;
  readonly #ring: StoreRing | undefined;
  readonly #dma: DmaPools;
  readonly #xenwatch: Xenwatch;
  readonly #front: VirtioMmioFront | Rfc1Front;
  readonly #xenbus: XenbusCore;
  #load: LatencyLoad | undefined;
  #animation: Animation | undefined;
  #measuredGpu: VirtioGpu | undefined;
  #shuttingDown = false;

  constructor(parts: KernelParts) {
    this.#parts = parts;
    const { vcpu, probe, log, memory, domid } = parts;
    const { backRam: back } = parts;
    this.pages = new Pages(memory.size, probe, { keepStorePage: parts.store === undefined, ...(back && { back }) });
    this.#dma = new DmaPools(this.pages, () => parts.calls.grantTable(), probe);
    this.ranges = new MmioRanges(probe);
    this.events = new Events({ ...parts, calls: parts.calls });
    this.#ring = parts.store === undefined ? this.#makeRing() : undefined;
    this.#store = new GuestStore(parts.store ?? new ChannelStoreClient(this.#ring as StoreRing, probe), vcpu, probe);
    this.#xenwatch = new Xenwatch(log);
    const { events, ranges } = this;
    const front: FrontParts = {
      ...{ vcpu, events, ranges, memory, probe, log, domid },
      dma: this.#dma,
      makeDrivers: () => [this.#makeGpu()],
      onConnected: (driver) => {
        parts.onState('connected');
        if (driver instanceof VirtioGpu) vcpu.run(() => void this.#useDisplay(driver));
      },
      onFailed: (_device, reason) => void this.#reportFailure(reason),
      onReleased: () => this.#checkHeld(),
    };
    this.#front =
      parts.frontend === 'rfc1'
        ? new Rfc1Front({ ...front, closePort: (port) => parts.calls.close(port) })
        : new VirtioMmioFront(front);
    this.#xenbus = new XenbusCore({
      ...parts,
      protocol: protocolOf(KIND_OF[parts.frontend ?? 'review']),
      store: this.#store,
      xenwatch: this.#xenwatch,
      drivers: [this.#front],
    });
  }

  #makeRing(): StoreRing {
    const { calls, storePort: port, onStoreLost: onLost = () => {} } = this.#parts;
    const { events } = this;
    const frame = (): Promise<number> => calls.storeFrame();
    return new StoreRing({ ...this.#parts, events, port, frame, grantTable: () => calls.grantTable(), onLost });
  }

  #makeGpu(): VirtioGpu {
    return new VirtioGpu(this.#parts);
  }

  /** What is out at the moment; nothing once all devices are gone. */
  held(): string[] {
    const held = this.#front.held();
    if (this.pages.taken > 0) held.push(`${this.pages.taken} pages`);
    if (this.#dma.grantsTaken > 0) held.push(`${this.#dma.grantsTaken} grants`);
    if (this.events.boundCount > 0) held.push(`${this.events.boundCount} ports`);
    if (this.ranges.count > 0) held.push(`${this.ranges.count} ranges`);
    return held;
  }

  /** A device let go: with no other there, everything must be back. */
  #checkHeld(): void {
    const held = this.held();
    if (this.#front.held().length > 0 || held.length === 0) return;
    this.#parts.probe.at(POINT['error.leak'], '', held.length);
    this.#parts.log.error({ held }, 'not everything was given back');
  }

  /** Runs on the vCPU; resolves when the kernel is up and lives by its watches. */
  async boot(): Promise<void> {
    if (this.#ring === undefined) await this.#unmaskStorePort();
    else await this.#ring.open();
    await this.#startStore();
    await this.#xenbus.start();
    this.#parts.onState('up');
  }

  /** The first thing to leave the vCPU: a domain that is still paused stays here. */
  async #unmaskStorePort(): Promise<void> {
    try {
      await this.#parts.vcpu.unmask(this.#parts.storePort);
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error; // a domain without that port: its store is reached otherwise
    }
  }

  async #startStore(): Promise<void> {
    const store = this.#store;
    const resets = await store.read(CONTROL_KEY.resetWatches).catch(none);
    if (resets !== undefined && Number(resets) === 1) await store.resetWatches();
    await store.watch(CONTROL_KEY.shutdown, this.#xenbus.newToken(), () => {
      this.#xenwatch.add(this, () => this.#shutdownAsked());
    });
    for (const feature of [CONTROL_KEY.featurePoweroff, CONTROL_KEY.featureReboot]) {
      await store.write(feature, '1').catch(none);
    }
  }

  /** The watch on control/shutdown: takes the command and acknowledges it by emptying the key, in one transaction. */
  async #shutdownAsked(): Promise<void> {
    if (this.#shuttingDown) return;
    let command = '';
    try {
      await this.#store.transaction(async (tx) => {
        command = await tx.read(CONTROL_KEY.shutdown);
        if (SHUTDOWN_COMMANDS[command] === undefined) throw new ErrnoError('ERANGE');
        await tx.write(CONTROL_KEY.shutdown, '');
      });
    } catch (error) {
      none(error);
      if (command !== '') this.#parts.log.warn({ command }, 'shutdown command ignored');
      return;
    }
    this.#shuttingDown = true;
    // A task of its own: closing devices needs the watches to go on.
    this.#parts.vcpu.run(() => void this.#shutdown(SHUTDOWN_COMMANDS[command]!));
  }

  /** Devices first: virtio devices are reset, then each frontend closes. Then Xen is told, and nothing runs any more. */
  async #shutdown(reason: number): Promise<void> {
    const { log, probe, calls, vcpu } = this.#parts;
    log.info('shutting down');
    probe.at(POINT['guest.shutdown'], '', reason);
    for (const transport of this.#front.transports) await transport.shutdown();
    await this.#xenbus.shutdown();
    probe.at(POINT['guest.halt'], '', reason);
    await calls.shutdown(reason);
    vcpu.stop();
    this.#parts.onHalted();
  }

  /** The user of the display: one picture, and the word that it is shown. */
  async #useDisplay(gpu: VirtioGpu): Promise<void> {
    const { memory, clock, probe, picture, log } = this.#parts;
    let framebuffer: Framebuffer;
    try {
      framebuffer = await showPicture({ gpu, memory, clock, probe, picture });
    } catch (error) {
      if (isOurBug(error)) throw error;
      if (gpu.removed || this.#shuttingDown) return;
      await this.#reportFailure(`the picture is not shown: ${errorMessage(error)}`);
      return;
    }
    const uuid = await gpu.uuidOf(framebuffer).catch(passOver);
    log.info({ uuid, rings: gpu.rings }, 'the picture is shown');
    probe.at(POINT['guest.frame']);
    await this.#store.write(DATA_KEY.frame, '1').catch(none);
    this.#parts.onState('shown');
    await this.#animate(gpu, framebuffer);
    const leave = async (): Promise<readonly Framebuffer[]> => (await this.#animation?.leave(gpu)) ?? [];
    followModes({ ...this.#parts, gpu, leave, use: (shown) => this.#animate(gpu, shown) });
    if (this.#parts.measured) await this.#beMeasured(gpu);
  }

  /** Frames are drawn on this display whenever the toolstack asks for them. */
  async #animate(gpu: VirtioGpu, framebuffer: Framebuffer): Promise<void> {
    if (this.#animation === undefined) {
      this.#animation = new Animation({
        ...this.#parts,
        store: this.#store,
        onFailure: (reason) => void this.#reportFailure(reason),
      });
      await this.#animation.start(this.#xenbus.newToken());
    }
    const back = await this.#backBuffer(gpu, framebuffer);
    this.#animation.use(gpu, framebuffer, ...(back === undefined ? [] : [back]));
  }

  /** Another buffer with the same picture, to draw frames into while the first is shown; undefined: none is needed, or no room. */
  async #backBuffer(gpu: VirtioGpu, { width, height }: Framebuffer): Promise<Framebuffer | undefined> {
    const { memory, picture } = this.#parts;
    if (!gpu.buffersAreShared) return undefined;
    try {
      const back = gpu.allocateFramebuffer(width, height);
      draw(memory, back, picture);
      await gpu.createResource(back);
      return back;
    } catch (error) {
      return none(error);
    }
  }

  async #beMeasured(gpu: VirtioGpu): Promise<void> {
    this.#measuredGpu = gpu;
    if (this.#load !== undefined) return;
    const { vcpu, clock, probe } = this.#parts;
    this.#load = new LatencyLoad({ vcpu, clock, probe, store: this.#store, cursor: () => this.#measuredGpu?.cursor });
    await this.#load.start(this.#xenbus.newToken());
  }

  /** For the toolstack, which waits for the picture. */
  async #reportFailure(text: string): Promise<void> {
    this.#parts.log.error(text);
    await this.#store.write(DATA_KEY.failure, text.slice(0, 1024)).catch(none);
  }
}

/** A refusal by the store that changes nothing; a bug is none. */
function none(error: unknown): undefined {
  if (!(error instanceof ErrnoError)) throw error;
}
