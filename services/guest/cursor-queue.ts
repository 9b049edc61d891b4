// The GPU's cursor queue: commands of one readable buffer each, no responses (as Linux drives it). They are the cursor's
// (gpu-cursor.ts), and the measuring load's, which has a number carried through the device. Leaves what to send, and when, to
// these two, and kicks to the transport.
import type { GuestMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import { VIRTIO_GPU_UPDATE_CURSOR } from '../../lib/layout/virtio-gpu.js';
import { POINT } from '../../lib/trace/points.js';
import type { DriverRing } from '../../lib/virtio/driver-ring.js';
import { encodeCommand, type GpuFields } from '../../lib/virtio/gpu-codec.js';
import type { Block, Heap } from './heap.js';

export interface CursorCommand {
  readonly name: 'UPDATE_CURSOR' | 'MOVE_CURSOR';
  readonly fields: GpuFields<'UPDATE_CURSOR'>;
}

interface SentCursor {
  readonly block: Block;
  /** Of the measuring load; undefined: a command of the cursor's. */
  readonly sequence: number | undefined;
}

export interface CursorQueueParts {
  readonly queue: DriverRing<SentCursor>;
  readonly kick: () => Promise<void>;
  readonly memory: GuestMemory;
  readonly heap: Heap;
  readonly probe: Probe;
}

export class CursorQueue {
  readonly #parts: CursorQueueParts;
  /** The load's: buffers that hold a whole command but for its resource id. */
  readonly #spare: Block[] = [];
  /** Runs in interrupt context after used buffers were taken. */
  onRoom: () => void = () => {};
  #onDone: ((sequence: number) => void) | undefined;
  #onLost: (() => void) | undefined;
  #open = true;

  constructor(parts: CursorQueueParts) {
    this.#parts = parts;
  }

  /** Commands that the ring has room for; 0 once the queue is closed. */
  get room(): number {
    return this.#open ? this.#parts.queue.free : 0;
  }

  /** The load, one at a time: `onDone` runs in interrupt context for each of its used buffers, `onLost` once when the queue ends. */
  use(onDone: (sequence: number) => void, onLost: () => void): void {
    this.#onDone = onDone;
    this.#onLost = onLost;
  }

  /** Publishes a command of the cursor's. Throws ErrnoError: ENOSPC, ENOMEM, EIO. */
  send({ name, fields }: CursorCommand): void {
    const { memory, heap, queue, probe } = this.#parts;
    const block = heap.alloc(VIRTIO_GPU_UPDATE_CURSOR.size);
    memory.write(block.addr, encodeCommand(name, fields));
    probe.at(POINT['gpu.cursor'], name, fields.resource_id, fields.pos.scanout_id);
    try {
      queue.add([block], [], { block, sequence: undefined });
    } catch (error) {
      heap.release(block);
      throw error;
    }
  }

  /** Publishes a MOVE_CURSOR to the corner of scanout 0 with that number as resource id. Throws ErrnoError: ENOSPC, ENOMEM, EIO. */
  sendNumber(sequence: number): void {
    const { memory, queue } = this.#parts;
    const block = this.#spare.pop() ?? this.#newBlock();
    memory.writeU32(block.addr + VIRTIO_GPU_UPDATE_CURSOR.offset.resource_id, sequence);
    queue.add([block], [], { block, sequence });
  }

  /** Tells the device of what was published, if it wants to be told; answers whether. */
  async notify(): Promise<boolean> {
    if (!this.#open || !this.#parts.queue.kickPrepare()) return false;
    await this.#parts.kick();
    return true;
  }

  /** Interrupt context: the ring has used buffers. */
  onUsed(): void {
    const { queue, heap } = this.#parts;
    for (let used = queue.take(); used !== undefined; used = queue.take()) {
      const { block, sequence } = used.cookie;
      if (sequence === undefined) {
        heap.release(block);
        continue;
      }
      this.#spare.push(block);
      this.#onDone?.(sequence);
    }
    this.onRoom();
  }

  /** After a reset of the device: all buffers go back to the heap. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const { queue, heap } = this.#parts;
    for (const { block } of queue.detach()) heap.release(block);
    for (const block of this.#spare.splice(0)) heap.release(block);
    this.#onLost?.();
  }

  #newBlock(): Block {
    const { heap, memory } = this.#parts;
    const block = heap.alloc(VIRTIO_GPU_UPDATE_CURSOR.size);
    memory.write(
      block.addr,
      encodeCommand('MOVE_CURSOR', { pos: { scanout_id: 0, x: 0, y: 0 }, resource_id: 0, hot_x: 0, hot_y: 0 }),
    );
    return block;
  }
}
