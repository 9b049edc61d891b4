// The batches of commands by which the guest's driver makes, shows and names pictures, as Linux sends them: all of a batch in
// one kick, the replies looked at as they come. Leaves which buffers there are and what is shown where to virtio-gpu.ts.
import type { Clock } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { dmaAddressOf } from '../../lib/core/dma-address.js';
import { ErrnoError } from '../../lib/core/errors.js';
import type { Log } from '../../lib/core/log.js';
import type { Probe } from '../../lib/core/probe.js';
import {
  VIRTIO_GPU_BLOB_FLAG,
  VIRTIO_GPU_BLOB_MEM_GUEST,
  VIRTIO_GPU_BYTES_PER_PIXEL,
  VIRTIO_GPU_FORMAT,
} from '../../lib/layout/virtio-gpu.js';
import { POINT } from '../../lib/trace/points.js';
import { type GpuCommandName, isGpuError, type MemEntry, type Rect } from '../../lib/virtio/gpu-codec.js';
import type { Framebuffer } from './framebuffer.js';
import type { GpuChannel, GpuFence, GpuReply } from './gpu-channel.js';
import type { Vcpu } from './vcpu.js';
import { Completion } from './wait.js';

/** Dumb buffers are always of this format, those of cursors too, whose fourth byte is alpha all the same. */
const FORMAT = VIRTIO_GPU_FORMAT.VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM;

export interface PictureParts {
  readonly vcpu: Vcpu;
  readonly clock: Clock;
  readonly probe: Probe;
  readonly log: Log;
}

/** Where commands go, and what frame buffers are to the device there. */
export interface PictureTarget {
  readonly channel: GpuChannel;
  /** The device reads buffers itself: they are blobs. */
  readonly shared: boolean;
}

export class GpuPictures {
  readonly #parts: PictureParts;
  #lastFence = 0n;

  constructor(parts: PictureParts) {
    this.#parts = parts;
  }

  /** The buffer's resource: created, backed by the scattered pages. `address`: by which the device knows a byte of them. */
  async create(
    { channel, shared }: PictureTarget,
    { resourceId, width, height, runs }: Framebuffer,
    address: (addr: number) => bigint,
  ): Promise<void> {
    const resource_id = resourceId;
    // Runs that adjoin are not joined: the device must cope.
    const entries: MemEntry[] = runs.map(({ addr, length }) => ({ addr: dmaAddressOf(address(addr)), length }));
    const backing = { resource_id, nr_entries: entries.length, entries };
    if (shared) {
      const { reply } = await channel.submit('RESOURCE_CREATE_BLOB', {
        ...backing,
        blob_mem: VIRTIO_GPU_BLOB_MEM_GUEST,
        blob_flags: VIRTIO_GPU_BLOB_FLAG.USE_SHAREABLE,
        blob_id: 0n,
        size: BigInt(runs.reduce((bytes, { length }) => bytes + length, 0)),
      });
      await channel.notify();
      this.#watchReply(reply, 'RESOURCE_CREATE_BLOB');
      return;
    }
    const created = await channel.submit('RESOURCE_CREATE_2D', { resource_id, format: FORMAT, width, height });
    const attached = await channel.submit('RESOURCE_ATTACH_BACKING', backing);
    await channel.notify();
    this.#watchReply(created.reply, 'RESOURCE_CREATE_2D');
    this.#watchReply(attached.reply, 'RESOURCE_ATTACH_BACKING');
  }

  async switchOff(channel: GpuChannel, scanout: number, framebuffer: Framebuffer): Promise<void> {
    const off = { scanout_id: scanout, resource_id: 0, r: wholeOf(framebuffer) };
    const { reply } = await channel.submit('SET_SCANOUT', off);
    await channel.notify();
    this.#watchReply(reply, 'SET_SCANOUT');
  }

  /** Transfer, scanout, flush; of a blob, which the device reads at the flush, no transfer. The fence is the flush's. */
  async show({ channel, shared }: PictureTarget, scanout: number, framebuffer: Framebuffer): Promise<GpuFence> {
    if (shared) return this.#showBlob(channel, scanout, framebuffer);
    const resource_id = framebuffer.resourceId;
    const r = wholeOf(framebuffer);
    const fence = this.#makeFence();
    const transfer = await channel.submit('TRANSFER_TO_HOST_2D', { resource_id, r, offset: 0n });
    const set = await channel.submit('SET_SCANOUT', { scanout_id: scanout, resource_id, r });
    const flush = await channel.submit('RESOURCE_FLUSH', { resource_id, r }, fence);
    await channel.notify();
    this.#watchReply(transfer.reply, 'TRANSFER_TO_HOST_2D', fence);
    this.#watchReply(set.reply, 'SET_SCANOUT', fence);
    this.#watchReply(flush.reply, 'RESOURCE_FLUSH', fence);
    return fence;
  }

  async #showBlob(channel: GpuChannel, scanout: number, framebuffer: Framebuffer): Promise<GpuFence> {
    const { resourceId: resource_id, width, height } = framebuffer;
    const r = wholeOf(framebuffer);
    const fence = this.#makeFence();
    const set = await channel.submit('SET_SCANOUT_BLOB', {
      ...{ r, scanout_id: scanout, resource_id, width, height, format: FORMAT },
      ...{ strides: [width * VIRTIO_GPU_BYTES_PER_PIXEL, 0, 0, 0], offsets: [0, 0, 0, 0] },
    });
    const flush = await channel.submit('RESOURCE_FLUSH', { resource_id, r }, fence);
    await channel.notify();
    this.#watchReply(set.reply, 'SET_SCANOUT_BLOB', fence);
    this.#watchReply(flush.reply, 'RESOURCE_FLUSH', fence);
    return fence;
  }

  /** The buffer as it is now becomes the device's, and nothing is shown. */
  async transfer(channel: GpuChannel, framebuffer: Framebuffer): Promise<GpuFence> {
    const fence = this.#makeFence();
    const resource_id = framebuffer.resourceId;
    const { reply } = await channel.submit(
      'TRANSFER_TO_HOST_2D',
      { resource_id, r: wholeOf(framebuffer), offset: 0n },
      fence,
    );
    await channel.notify();
    this.#watchReply(reply, 'TRANSFER_TO_HOST_2D', fence);
    return fence;
  }

  /** The UUID that the device gives the buffer, as 32 hexadecimal digits; undefined: none. */
  async uuidOf(channel: GpuChannel, { resourceId: resource_id }: Framebuffer): Promise<string | undefined> {
    const { reply } = await channel.submit('RESOURCE_ASSIGN_UUID', { resource_id });
    await channel.notify();
    const answer = await reply.wait({ clock: this.#parts.clock, ms: DEADLINE_MS.frameFence, what: 'the UUID' });
    if (answer.name !== 'OK_RESOURCE_UUID') return undefined;
    return [...answer.uuid].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  /** The device forgets these resources, and says so. Throws what ended the device, and DeadlineError. */
  async unreference(channel: GpuChannel, resourceIds: Iterable<number>): Promise<void> {
    const replies: GpuReply[] = [];
    for (const resource_id of resourceIds)
      replies.push((await channel.submit('RESOURCE_UNREF', { resource_id })).reply);
    await channel.notify();
    for (const reply of replies)
      await reply.wait({ clock: this.#parts.clock, ms: DEADLINE_MS.removalReplies, what: 'RESOURCE_UNREF' });
  }

  #makeFence(): GpuFence {
    return { id: ++this.#lastFence, done: new Completion(this.#parts.vcpu) };
  }

  /** Error replies are logged, as in Linux; where a picture depends on them, its fence says so. */
  #watchReply(reply: GpuReply, what: GpuCommandName, fence?: GpuFence): void {
    reply.wait().then(
      (response) => {
        if (!isGpuError(response)) return;
        const { type } = response.hdr;
        this.#parts.probe.at(POINT['error.command'], what, type);
        this.#parts.log.error({ response: type }, `${what} failed`);
        fence?.done.fail(new ErrnoError('EIO', `the device answers 0x${type.toString(16)} to ${what}`));
      },
      () => {}, // the channel's end fails the fences that the drawing waits for
    );
  }
}

function wholeOf({ width, height }: Framebuffer): Rect {
  return { x: 0, y: 0, width, height };
}
