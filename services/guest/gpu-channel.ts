// A virtqueue of GPU commands: buffers in guest memory, replies, fences. Each command ends exactly once: with its reply,
// or with the error that ended the channel. Leaves what commands mean to gpu-requests.ts and virtio-gpu.ts.
import { assert } from '../../lib/core/errors.js';
import type { History } from '../../lib/core/history.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import { VIRTIO_GPU_CTRL_HDR, VIRTIO_GPU_FLAG_FENCE } from '../../lib/layout/virtio-gpu.js';
import type { DriverQueue } from '../../lib/virtio/driver-queue.js';
import type { Block, Heap } from './heap.js';
import type { Vcpu } from './vcpu.js';
import { Completion } from './wait.js';

/** A command under way: its buffers and who waits for it. */
export interface GpuPending {
  readonly type: number;
  readonly buffers: readonly Block[];
  readonly response: Block;
  readonly reply: Completion<Uint8Array>;
}

export interface GpuFence {
  readonly id: bigint;
  readonly done: Completion;
}

export interface GpuCommand {
  /** Header and fields; the header's fence fields are written by the channel. */
  readonly bytes: Uint8Array;
  readonly responseSize: number;
  /** A second readable part: the entries of ATTACH_BACKING. */
  readonly data?: Uint8Array;
  readonly fence?: GpuFence;
}

export interface GpuChannelParts {
  readonly queue: DriverQueue<GpuPending>;
  readonly kick: () => Promise<void>;
  readonly vcpu: Vcpu;
  readonly memory: GuestMemory;
  readonly heap: Heap;
  readonly history: History;
}

const { offset: HDR, size: HDR_SIZE } = VIRTIO_GPU_CTRL_HDR;

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

  /** Commands that the device has. */
  get outstanding(): number {
    return this.#parts.queue.outstanding;
  }

  /**
   * Puts a command into the ring, waiting for room if it must; notify() then tells the device. `reply` completes with
   * the response, zeros where the device wrote nothing.
   */
  async submit(command: GpuCommand): Promise<{ readonly reply: Completion<Uint8Array> }> {
    const needed = command.data === undefined ? 2 : 3;
    while (this.#parts.queue.free < needed) {
      if (this.#failure !== undefined) throw this.#failure;
      const room = new Completion(this.#parts.vcpu);
      this.#roomWaiters.push(room);
      await this.notify();
      await room.wait();
    }
    if (this.#failure !== undefined) throw this.#failure;
    return { reply: this.#add(command) };
  }

  #add(command: GpuCommand): Completion<Uint8Array> {
    const { memory, heap, queue, vcpu, history } = this.#parts;
    const bytes = command.bytes.slice();
    const view = new DataView(bytes.buffer);
    if (command.fence !== undefined) {
      view.setUint32(HDR.flags, VIRTIO_GPU_FLAG_FENCE, true);
      view.setBigUint64(HDR.fence_id, command.fence.id, true);
      this.#fences.push(command.fence);
    }
    const type = view.getUint32(HDR.type, true);
    const buffers = [bytes, ...(command.data === undefined ? [] : [command.data])].map((part) => {
      const block = heap.alloc(part.length);
      memory.write(block.addr, part);
      return block;
    });
    const response = heap.alloc(command.responseSize);
    memory.write(response.addr, new Uint8Array(command.responseSize));
    const reply = new Completion<Uint8Array>(vcpu);
    const pending = { type, buffers, response, reply };
    queue.add(buffers, [response], pending);
    this.#pending.add(pending);
    history.record('command', `submit 0x${type.toString(16)}`, type, Number(command.fence?.id ?? 0n));
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
    const response = new Uint8Array(pending.response.length);
    this.#parts.memory.read(pending.response.addr, response);
    this.#release(pending);
    if (response.length >= HDR_SIZE) {
      const { type, flags, fence_id } = VIRTIO_GPU_CTRL_HDR.decode(response);
      this.#parts.history.record('command', `reply 0x${pending.type.toString(16)}`, type, Number(fence_id));
      if ((flags & VIRTIO_GPU_FLAG_FENCE) !== 0) this.#signal(fence_id);
    }
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

  /** Nobody may submit any more, and everything under way fails now, once. The buffers are the device's until close(). */
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
