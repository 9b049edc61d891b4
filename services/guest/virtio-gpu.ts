// The guest's virtio-gpu driver, 2D: the commands of Linux's probe, first modeset and updates, in their order and batches
// (drivers/gpu/drm/virtio), hot-plug, removal; and, unlike Linux's, the way back after DEVICE_NEEDS_RESET.
// Leaves queues and registers to virtio-mmio.ts, buffers and fences to gpu-channel.ts, pictures to workload.ts.

import type { Clock } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { ErrnoError, errorMessage, isOurBug } from '../../lib/core/errors.js';
import type { Log } from '../../lib/core/log.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import {
  VIRTIO_GPU_CONFIG,
  VIRTIO_GPU_EVENT_DISPLAY,
  VIRTIO_GPU_F_EDID,
  VIRTIO_GPU_F_RESOURCE_BLOB,
  VIRTIO_GPU_F_RESOURCE_UUID,
  VIRTIO_GPU_QUEUE_CONTROL,
  VIRTIO_GPU_QUEUE_CURSOR,
  VIRTIO_GPU_SHM_ID_HOST_VISIBLE,
  VIRTIO_ID_GPU,
} from '../../lib/layout/virtio-gpu.js';
import { hasFeature, VIRTIO_F_RING_PACKED } from '../../lib/layout/virtio-ring.js';
import { POINT } from '../../lib/trace/points.js';
import { CursorQueue } from './cursor-queue.js';
import { type Framebuffer, freeFramebuffer, makeFramebuffer } from './framebuffer.js';
import { GpuChannel, type GpuFence } from './gpu-channel.js';
import { CURSOR_SCANOUT, type CursorState, GpuCursor, NO_CURSOR } from './gpu-cursor.js';
import { featuresTaken, type GpuChoices, type GpuRings } from './gpu-options.js';
import { GpuOutputs, type Output, type Size } from './gpu-outputs.js';
import { GpuPictures, type PictureTarget } from './gpu-pictures.js';
import type { Vcpu } from './vcpu.js';
import type { VirtioDriver, VirtioMmio } from './virtio-mmio.js';
import { Completion } from './wait.js';

export interface GpuParts extends GpuChoices {
  readonly vcpu: Vcpu;
  readonly memory: GuestMemory;
  readonly clock: Clock;
  readonly probe: Probe;
  readonly log: Log;
}

interface KnownBuffer {
  readonly framebuffer: Framebuffer;
  scanout: number | undefined;
  /** The channel of the device that has its resource. */
  madeOn: GpuChannel | undefined;
}

export class VirtioGpu implements VirtioDriver {
  readonly deviceId = VIRTIO_ID_GPU;
  readonly features: bigint;
  readonly #parts: GpuParts;
  readonly #framebuffers = new Map<number, KnownBuffer>();
  /** Scanouts that show nothing because their display was unplugged. */
  readonly #unplugged = new Set<number>();
  #device: VirtioMmio | undefined;
  #control: GpuChannel | undefined;
  #cursor: CursorQueue | undefined;
  readonly #pointer: GpuCursor;
  readonly #pictures: GpuPictures;
  readonly #outputs: GpuOutputs;
  /** Counter of resource ids; Linux's never come back, and its first is 2. */
  #lastResource = 1;
  /** takeNewMode() may have something to tell. */
  onNewMode: () => void = () => {};
  #configWork = false;
  /** Restoring and removing exclude each other. */
  #busy: Promise<void> = Promise.resolve();
  #restored: Completion | undefined;
  #removed = false;
  /** A config interrupt came while probe had no queues yet. */
  #toldEarly = false;

  constructor(parts: GpuParts) {
    this.#parts = parts;
    this.features = featuresTaken(parts);
    this.#pointer = new GpuCursor(CURSOR_SCANOUT, parts.vcpu);
    this.#pictures = new GpuPictures(parts);
    this.#outputs = new GpuOutputs(parts.clock, parts.log);
  }

  get outputs(): readonly Output[] {
    return this.#outputs.all;
  }

  /** As it is now: a reset of the device brings another. */
  get cursor(): CursorQueue | undefined {
    return this.#cursor;
  }

  /** The device reads frame buffers itself, at each flush, and keeps no copy to transfer to: they are blobs. */
  get buffersAreShared(): boolean {
    return this.#device !== undefined && hasFeature(this.#device.features, VIRTIO_GPU_F_RESOURCE_BLOB);
  }

  /** As they were negotiated. */
  get rings(): GpuRings {
    return this.#device !== undefined && hasFeature(this.#device.features, VIRTIO_F_RING_PACKED) ? 'packed' : 'split';
  }

  /** Removed for good: nothing can be drawn any more. */
  get removed(): boolean {
    return this.#removed;
  }

  async probe(device: VirtioMmio): Promise<void> {
    this.#device = device;
    this.#removed = false;
    this.#toldEarly = false;
    try {
      await device.sharedRegion(VIRTIO_GPU_SHM_ID_HOST_VISIBLE);
      await this.#openQueues(device);
      // Told before there was a queue: what is set up now goes to registers that forgot it.
      if (this.#toldEarly && (await device.needsReset())) throw new ErrnoError('ESTALE', 'the device was reset');
      const scanouts = await device.readConfig(VIRTIO_GPU_CONFIG.offset.num_scanouts);
      // Capsets matter to rendering contexts only; Linux reads their number all the same.
      await device.readConfig(VIRTIO_GPU_CONFIG.offset.num_capsets);
      this.#outputs.preset(scanouts);
      await device.ready();
      if (scanouts > 0) await this.#askDisplay();
    } catch (error) {
      await this.#takeDown(device);
      throw error;
    }
  }

  async #openQueues(device: VirtioMmio): Promise<void> {
    const [control, cursor] = await device.findQueues<never>([
      () => this.#control?.onUsed(),
      () => this.#cursor?.onUsed(),
    ]);
    const { vcpu, memory, probe } = this.#parts;
    const { heap } = device.dma;
    const kick = (index: number) => (): Promise<void> => device.kick(index);
    this.#control = new GpuChannel({
      ...{ queue: control!, vcpu, memory, heap, probe },
      kick: kick(VIRTIO_GPU_QUEUE_CONTROL),
    });
    this.#cursor = new CursorQueue({ queue: cursor!, memory, heap, probe, kick: kick(VIRTIO_GPU_QUEUE_CURSOR) });
    this.#pointer.open(this.#cursor);
  }

  async #askDisplay(): Promise<void> {
    await this.#outputs.ask(this.#channel(), hasFeature(this.#device!.features, VIRTIO_GPU_F_EDID));
  }

  /** A frame buffer that the device does not know yet. Throws ENOMEM, ENODEV. */
  allocateFramebuffer(width: number, height: number): Framebuffer {
    this.#channel();
    const framebuffer = makeFramebuffer(this.#device!.dma.pages, ++this.#lastResource, width, height);
    this.#framebuffers.set(framebuffer.resourceId, { framebuffer, scanout: undefined, madeOn: undefined });
    return framebuffer;
  }

  /** Its resource: created, backed by the scattered pages, one kick for both. Throws what ended the device. */
  async createResource(framebuffer: Framebuffer): Promise<void> {
    const channel = this.#channel();
    const entry = this.#entryOf(framebuffer);
    if (entry.madeOn === channel) return; // by a restore meanwhile
    entry.madeOn = channel;
    await this.#pictures.create(this.#target(), framebuffer, this.#device!.dma.address);
  }

  /** Sets a mode of the buffer's size: the scanout is off until the first update. */
  async setMode(scanout: number, framebuffer: Framebuffer): Promise<void> {
    const entry = this.#entryOf(framebuffer);
    for (const other of this.#framebuffers.values()) if (other.scanout === scanout) other.scanout = undefined;
    entry.scanout = scanout;
    await this.#pictures.switchOff(this.#channel(), scanout, framebuffer);
  }

  /**
   * Shows the whole buffer as it is now: transfer, scanout, flush, one kick. Resolves with the flush's fence, which
   * completes when the device shows the picture; of a display that was unplugged, when the device has it: it is shown once
   * the display is plugged in again. Throws what ended the device.
   */
  async update(scanout: number, framebuffer: Framebuffer): Promise<GpuFence> {
    if (this.#unplugged.has(scanout)) return this.#pictures.transfer(this.#channel(), framebuffer);
    return this.#pictures.show(this.#target(), scanout, framebuffer);
  }

  /** The device has this buffer, or will. */
  knows(framebuffer: Framebuffer): boolean {
    return this.#framebuffers.get(framebuffer.resourceId)?.framebuffer === framebuffer;
  }

  /**
   * Takes a buffer that is not shown any more from the device, then its pages, which the device has not touched since. Of a device
   * that is gone they were given back with it. Throws DeadlineError: then they stay out until the device is removed.
   */
  async release(framebuffer: Framebuffer): Promise<void> {
    try {
      await this.#exclusive(async () => {
        if (this.#control === undefined || !this.knows(framebuffer)) return;
        const { madeOn } = this.#entryOf(framebuffer);
        if (madeOn !== undefined) await this.#pictures.unreference(this.#control, [framebuffer.resourceId]);
        this.#framebuffers.delete(framebuffer.resourceId);
        freeFramebuffer(this.#device!.dma.pages, framebuffer);
      });
    } catch (error) {
      if (!(error instanceof ErrnoError) || error.code !== 'ESTALE') throw error;
      await this.whenRestored();
      await this.release(framebuffer);
    }
  }

  /** The size that the display of pictures has come to prefer since this was asked last; undefined: nothing new. */
  takeNewMode(): Size | undefined {
    return this.#outputs.takeNewMode(CURSOR_SCANOUT);
  }

  /** By which name others may know the buffer: its UUID, as 32 hexadecimal digits; undefined when the device has none. */
  async uuidOf(framebuffer: Framebuffer): Promise<string | undefined> {
    const channel = this.#channel();
    if (!hasFeature(this.#device!.features, VIRTIO_GPU_F_RESOURCE_UUID)) return undefined;
    return this.#pictures.uuidOf(channel, framebuffer);
  }

  /**
   * This buffer, VIRTIO_GPU_CURSOR_SIZE a side, is the display's cursor from now on (undefined: none is), its top left corner
   * at x, y; the same one again only moves. A device that is reset has it back once it is restored.
   * Throws what ended the device, and DeadlineError when the image is not taken in time.
   */
  async setCursor(
    framebuffer: Framebuffer | undefined,
    place: Omit<CursorState, 'resourceId'> = NO_CURSOR,
  ): Promise<void> {
    const resourceId = framebuffer?.resourceId ?? 0;
    this.#channel();
    const isNew = resourceId !== this.#pointer.wanted.resourceId;
    await this.#pointer.want({ ...place, resourceId });
    if (isNew) await this.#giveCursorImage();
  }

  /** As Linux: transferred, and waited for, before the cursor queue hears of it. A blob is read when it hears. */
  async #giveCursorImage(): Promise<void> {
    const { resourceId } = this.#pointer.wanted;
    const entry = this.#framebuffers.get(resourceId);
    if (entry === undefined) return;
    const channel = this.#channel();
    await this.createResource(entry.framebuffer);
    if (!this.buffersAreShared) {
      const { done } = await this.#pictures.transfer(channel, entry.framebuffer);
      await done.wait({ clock: this.#parts.clock, ms: DEADLINE_MS.frameFence, what: "the cursor's image" });
    }
    if (channel === this.#control) await this.#pointer.imageThere(resourceId);
  }

  /** After a restore, and in no one's way: a display without its cursor is a display. */
  async #restoreCursor(): Promise<void> {
    try {
      await this.#giveCursorImage();
    } catch (error) {
      if (isOurBug(error)) throw error;
      this.#parts.log.warn(`the cursor is not restored: ${errorMessage(error)}`);
    }
  }

  /** Waits until a device that was reset is restored. Throws when it is gone for good, or was not reset. */
  async whenRestored(): Promise<void> {
    if (this.#removed || this.#restored === undefined) throw new ErrnoError('ENODEV', 'the display is gone');
    await this.#restored.wait();
  }

  #entryOf({ resourceId }: Framebuffer): KnownBuffer {
    const entry = this.#framebuffers.get(resourceId);
    if (entry === undefined) throw new ErrnoError('ENOENT', 'no such frame buffer');
    return entry;
  }

  #target(): PictureTarget {
    return { channel: this.#channel(), shared: this.buffersAreShared };
  }

  #channel(): GpuChannel {
    if (this.#control === undefined) throw new ErrnoError('ENODEV', 'the display is gone');
    return this.#control;
  }

  configChanged(): void {
    if (this.#configWork) return;
    this.#configWork = true;
    this.#parts.vcpu.run(() => {
      this.#configWork = false;
      void this.#changed();
    });
  }

  async #changed(): Promise<void> {
    try {
      // At once, and not in its turn: what has its turn may wait for an answer that will not come any more.
      if (this.#parts.personality === 'restore') await this.#noticeLoss();
      await this.#exclusive(() => this.#configChangedWork());
    } catch (error) {
      if (isOurBug(error)) throw error;
      this.#parts.log.error(`display change: ${errorMessage(error)}`);
    }
  }

  /** While probe is still under way: a device that lost its state must not hold it up. */
  configChangedEarly(): void {
    if (this.#parts.personality !== 'restore') return;
    this.#toldEarly = true;
    this.#parts.vcpu.run(() => void this.#noticeLoss());
  }

  async #noticeLoss(): Promise<void> {
    const device = this.#device;
    if (device !== undefined && this.#control !== undefined && (await device.needsReset())) this.#lost();
  }

  /** Every command and fence under way fails, once; the workload then waits for whenRestored(). */
  #lost(): void {
    if (this.#restored === undefined || this.#restored.done) this.#restored = new Completion(this.#parts.vcpu);
    this.#control?.fail(new ErrnoError('ESTALE', 'the device was reset'));
  }

  async #configChangedWork(): Promise<void> {
    const device = this.#device;
    if (device === undefined || this.#control === undefined) return;
    if (this.#parts.personality === 'restore' && (await device.needsReset())) {
      await this.#restore(device);
      return;
    }
    const events = await device.readConfig(VIRTIO_GPU_CONFIG.offset.events_read);
    const display = events & VIRTIO_GPU_EVENT_DISPLAY;
    if (display !== 0 && this.#outputs.all.length > 0) {
      await this.#askDisplay();
      await this.#followOutputs();
    }
    // Cleared after the fetch, as Linux does it: an event set again meanwhile is cleared with it.
    await device.writeConfig(VIRTIO_GPU_CONFIG.offset.events_clear, display);
  }

  /** A display that was unplugged shows nothing any more; one that was plugged in again, what it would have shown. */
  async #followOutputs(): Promise<void> {
    for (const { framebuffer, scanout } of this.#framebuffers.values()) {
      if (scanout === undefined) continue;
      const gone = this.#outputs.all[scanout]?.enabled !== true;
      if (gone === this.#unplugged.has(scanout)) continue;
      if (gone) {
        this.#unplugged.add(scanout);
        await this.#pictures.switchOff(this.#channel(), scanout, framebuffer);
      } else {
        this.#unplugged.delete(scanout);
        await this.update(scanout, framebuffer);
      }
    }
    await this.#pointer.setPlugged(!this.#unplugged.has(CURSOR_SCANOUT));
    this.onNewMode();
  }

  /** The device lost its state: everything is made anew under the same ids. */
  async #restore(device: VirtioMmio): Promise<void> {
    this.#parts.probe.at(POINT['gpu.restore']);
    this.#parts.log.warn('the device asks for a reset');
    this.#lost();
    const old = this.#channel();
    const restored = this.#restored!;
    try {
      await device.renegotiate();
      old.close();
      this.#cursor?.close();
      await this.#openQueues(device);
      await device.ready();
      // Its server is not back yet: the next interrupt says when, and until then a drawing waits for `restored`.
      if (await device.needsReset()) return this.#lost();
      const channel = this.#channel();
      for (const { framebuffer, scanout } of this.#framebuffers.values()) {
        await this.createResource(framebuffer);
        if (scanout === undefined) continue;
        await this.setMode(scanout, framebuffer);
        await this.update(scanout, framebuffer);
      }
      if (channel.failed) return; // as below, after the last command
    } catch (error) {
      // Lost once more in the middle of it: the interrupt that said so brings the next attempt.
      if (error instanceof ErrnoError && error.code === 'ESTALE') return;
      // Registers that forgot what was negotiated are a new backend's, which closes this connection: remove() ends the wait.
      if (!isOurBug(error) && (await device.needsReset()))
        return this.#parts.log.warn(`lost while it was restored: ${errorMessage(error)}`);
      restored.fail(new ErrnoError('ENODEV', `the device was not restored: ${errorMessage(error)}`));
      throw error;
    }
    restored.complete();
    this.#parts.vcpu.run(() => void this.#restoreCursor());
    // The event of a change that came before the reset is gone with it.
    if (this.#outputs.all.length === 0) return;
    await this.#askDisplay();
    await this.#followOutputs();
  }

  async remove(device: VirtioMmio): Promise<void> {
    this.#removed = true;
    // A command that restoring waits for may never be answered.
    const gone = new ErrnoError('ENODEV', 'the display is removed');
    this.#restored?.fail(gone);
    await this.#exclusive(async () => {
      await this.#unreference();
      await this.#takeDown(device);
    });
  }

  /** RESOURCE_UNREF for each buffer, and its reply, if the device still answers. */
  async #unreference(): Promise<void> {
    if (this.#control === undefined || this.#framebuffers.size === 0) return;
    const channel = this.#control;
    try {
      if (this.#parts.personality === 'restore' && (await this.#device!.needsReset())) return;
      await this.#pictures.unreference(channel, this.#framebuffers.keys());
    } catch (error) {
      if (isOurBug(error)) throw error;
      this.#parts.log.warn(`removal: ${errorMessage(error)}`);
    }
  }

  /** Resets the device and gives back all memory: after it the device touches none of it. */
  async #takeDown(device: VirtioMmio): Promise<void> {
    const channel = this.#control;
    this.#control = undefined;
    channel?.fail(new ErrnoError('ENODEV', 'the display is removed'));
    await device.reset();
    await device.deleteQueues();
    channel?.close();
    this.#cursor?.close();
    this.#cursor = undefined;
    this.#pointer.close();
    for (const { framebuffer } of this.#framebuffers.values()) freeFramebuffer(device.dma.pages, framebuffer);
    this.#framebuffers.clear();
    this.#unplugged.clear();
    this.#device = undefined;
  }

  #exclusive(work: () => Promise<void>): Promise<void> {
    // Who had the turn before may go on as well: the vCPU runs one of the two at a time.
    const turn = this.#parts.vcpu.enter(this.#busy).then(work);
    this.#busy = turn.catch(() => {});
    return turn;
  }
}
