// A virtqueue of GPU commands: buffers in guest memory, replies, fences. Each command ends exactly once: with its reply,
// or with the error that ended the channel. Leaves bytes to lib/virtio/gpu-codec.ts, what commands mean to virtio-gpu.ts.
import { assert } from '../../lib/core/errors.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import { VIRTIO_GPU_CMD, VIRTIO_GPU_FLAG_FENCE } from '../../lib/layout/virtio-gpu.js';
import { POINT } from '../../lib/trace/points.js';
import type { DriverRing } from '../../lib/virtio/driver-ring.js';
import {
  type DecodedResponse,
  decodeResponse,
  encodeCommandParts,
  type GpuCommandName,
  type GpuFields,
  responseBytes,
} from '../../lib/virtio/gpu-codec.js';
import type { Block, Heap } from './heap.js';
import type { Vcpu } from './vcpu.js';
import { Completion } from './wait.js';

/** What a command is answered by: INVALID where the device wrote nothing, or what is no response. */
export type GpuReply = Completion<DecodedResponse>;

/** A command under way: its buffers, and its answer to come. */
export interface GpuPending {
  readonly name: GpuCommandName;
  readonly buffers: readonly Block[];
  readonly response: Block;
  readonly reply: GpuReply;
}

export interface GpuFence {
  readonly id: bigint;
  readonly done: Completion;
}

export interface GpuChannelParts {
  readonly queue: DriverRing<GpuPending>;
  readonly kick: () => Promise<void>;
  readonly vcpu: Vcpu;
  readonly memory: GuestMemory;
  readonly heap: Heap;
  readonly probe: Probe;
}

export class GpuChannel {
  readonly #parts: GpuChannelParts;
  readonly #fences: GpuFence[] = [];
  readonly #pending = new Set<GpuPending>();
  #roomWaiters: Completion[] = [];
  #draining = false;
  #failure: Error | undefined;

  constructor(parts: GpuChannelParts) {
    this.#parts = parts;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Commands that the device has. */
  get outstanding(): number {
    return this.#parts.queue.outstanding;
  }

  /** Puts a command into the ring, waiting for room if it must; notify() then tells the device. */
  async submit<N extends GpuCommandName>(
    name: N,
    fields: GpuFields<N>,
    fence?: GpuFence,
  ): Promise<{ readonly reply: GpuReply }> {
    const parts = encodeCommandParts(name, fields, fence === undefined ? {} : { fence: fence.id });
    while (this.#parts.queue.free < parts.length + 1) {
      if (this.#failure !== undefined) throw this.#failure;
      const room = new Completion(this.#parts.vcpu);
      this.#roomWaiters.push(room);
      await this.notify();
      await room.wait();
    }
    if (this.#failure !== undefined) throw this.#failure;
    return { reply: this.#add(name, parts, fence) };
  }

  #add(name: GpuCommandName, parts: readonly Uint8Array[], fence: GpuFence | undefined): GpuReply {
    const { memory, heap, queue, vcpu, probe } = this.#parts;
    if (fence !== undefined) this.#fences.push(fence);
    const type = VIRTIO_GPU_CMD[`VIRTIO_GPU_CMD_${name}`];
    const buffers = parts.map((part) => {
      const block = heap.alloc(part.length);
      memory.write(block.addr, part);
      return block;
    });
    const response = heap.alloc(responseBytes(name));
    memory.write(response.addr, new Uint8Array(response.length));
    const reply: GpuReply = new Completion(vcpu);
    const pending = { name, buffers, response, reply };
    probe.at(POINT['gpu.submit'], name, type, Number(fence?.id ?? 0n));
    queue.add(buffers, [response], pending);
    this.#pending.add(pending);
    return reply;
  }

  async notify(): Promise<void> {
    if (this.#failure === undefined && this.#parts.queue.kickPrepare()) await this.#parts.kick();
  }

  /** Interrupt context: the ring has used chains. They are taken by a task of their own, as Linux's work item does. */
  onUsed(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#parts.queue.disableCallbacks();
    this.#parts.vcpu.run(() => this.#drain());
  }

  #drain(): void {
    const { queue } = this.#parts;
    if (this.#failure !== undefined) return;
    do {
      queue.disableCallbacks();
      for (let used = queue.take(); used !== undefined; used = queue.take()) this.#complete(used.cookie);
    } while (!queue.enableCallbacks() && !queue.broken);
    this.#draining = false;
    const waiters = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const waiter of waiters) waiter.complete();
  }

  #complete(pending: GpuPending): void {
    const bytes = new Uint8Array(pending.response.length);
    this.#parts.memory.read(pending.response.addr, bytes);
    this.#release(pending);
    const response = decodeResponse(bytes);
    const { type, flags, fence_id } = response.hdr;
    this.#parts.probe.at(POINT['gpu.reply'], pending.name, type, Number(fence_id));
    if ((flags & VIRTIO_GPU_FLAG_FENCE) !== 0) this.#signal(fence_id);
    pending.reply.complete(response);
  }

  /** A fence that completes completes every older one of its context. */
  #signal(id: bigint): void {
    while (this.#fences.length > 0 && this.#fences[0]!.id <= id) this.#fences.shift()!.done.complete();
  }

  #release(pending: GpuPending): void {
    this.#pending.delete(pending);
    for (const block of pending.buffers) this.#parts.heap.release(block);
    this.#parts.heap.release(pending.response);
  }

  /** submit() throws from now on, and everything under way fails now, once. The buffers are the device's until close(). */
  fail(failure: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    for (const pending of this.#pending) pending.reply.fail(failure);
    for (const fence of this.#fences.splice(0)) fence.done.fail(failure);
    for (const waiter of this.#roomWaiters.splice(0)) waiter.fail(failure);
  }

  /** After fail() and a reset of the device, which touches no buffer any more: gives them back. */
  close(): void {
    assert(this.#failure !== undefined, 'a channel fails before it is closed');
    for (const pending of this.#parts.queue.detach()) this.#release(pending);
  }
}
