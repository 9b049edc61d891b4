// The GPU's cursor queue: commands of one readable buffer each, no responses (as Linux drives it). Positions only: what
// carries a number through the device for the measuring load. Leaves when to send to its user and kicks to the transport.
import type { GuestMemory } from '../../lib/core/memory.js';
import { VIRTIO_GPU_CURSOR_POS, VIRTIO_GPU_UPDATE_CURSOR } from '../../lib/layout/virtio-gpu.js';
import type { DriverRing } from '../../lib/virtio/driver-ring.js';
import { encodeCommand } from '../../lib/virtio/gpu-codec.js';
import type { Block, Heap } from './heap.js';

interface CursorMove {
  readonly block: Block;
  readonly resourceId: number;
}

export interface CursorQueueParts {
  readonly queue: DriverRing<CursorMove>;
  readonly kick: () => Promise<void>;
  readonly memory: GuestMemory;
  readonly heap: Heap;
}

const ORIGIN = { x: 0, y: 0 };

export class CursorQueue {
  readonly #parts: CursorQueueParts;
  /** Buffers that hold a whole command but for its resource id. */
  readonly #spare: Block[] = [];
  #onDone: ((resourceId: number) => void) | undefined;
  #onLost: (() => void) | undefined;
  #open = true;

  constructor(parts: CursorQueueParts) {
    this.#parts = parts;
  }

  /** Commands that the ring has room for; 0 once the queue is closed. */
  get room(): number {
    return this.#open ? this.#parts.queue.free : 0;
  }

  /** One user at a time: `onDone` runs in interrupt context for each used buffer, `onLost` once when the queue ends. */
  use(onDone: (resourceId: number) => void, onLost: () => void): void {
    this.#onDone = onDone;
    this.#onLost = onLost;
  }

  /** Publishes a MOVE_CURSOR with that resource id, to a place of scanout 0. Throws ErrnoError: ENOSPC, ENOMEM, EIO. */
  move(resourceId: number, { x, y } = ORIGIN): void {
    const { memory, queue } = this.#parts;
    const block = this.#spare.pop() ?? this.#newBlock();
    const { offset } = VIRTIO_GPU_UPDATE_CURSOR;
    memory.writeU32(block.addr + offset.resource_id, resourceId);
    memory.writeU32(block.addr + offset.pos + VIRTIO_GPU_CURSOR_POS.offset.x, x);
    memory.writeU32(block.addr + offset.pos + VIRTIO_GPU_CURSOR_POS.offset.y, y);
    queue.add([block], [], { block, resourceId });
  }

  /** Tells the device of what was published, if it wants to be told; answers whether. */
  async notify(): Promise<boolean> {
    if (!this.#open || !this.#parts.queue.kickPrepare()) return false;
    await this.#parts.kick();
    return true;
  }

  /** Interrupt context: the ring has used buffers. */
  onUsed(): void {
    const { queue } = this.#parts;
    for (let used = queue.take(); used !== undefined; used = queue.take()) {
      this.#spare.push(used.cookie.block);
      this.#onDone?.(used.cookie.resourceId);
    }
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
      encodeCommand('MOVE_CURSOR', { pos: { scanout_id: 0, ...ORIGIN }, resource_id: 0, hot_x: 0, hot_y: 0 }),
    );
    return block;
  }
}
