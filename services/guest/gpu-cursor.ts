// The cursor of one scanout, as Linux's cursor plane drives it (drivers/gpu/drm/virtio/virtgpu_plane.c): another image is
// told with UPDATE_CURSOR, another place of the same image with MOVE_CURSOR, which repeats the image's id and hotspot; no
// image is UPDATE_CURSOR of resource 0. Where Linux waits for room in the ring, this tells of the newest state once there is room.
// Leaves the image's resource and its transfer to virtio-gpu.ts, the ring to cursor-queue.ts.
import { ErrnoError } from '../../lib/core/errors.js';
import type { CursorCommand, CursorQueue } from './cursor-queue.js';
import type { Vcpu } from './vcpu.js';

export interface CursorState {
  /** 0: no cursor is shown. */
  readonly resourceId: number;
  /** In the image, of the pixel that points. */
  readonly hotX: number;
  readonly hotY: number;
  /** Of the image's top left corner, in pixels of the scanout; may be negative. */
  readonly x: number;
  readonly y: number;
}

/** The scanout with a cursor: the one that pictures are shown on. */
export const CURSOR_SCANOUT = 0;
export const NO_CURSOR: CursorState = { resourceId: 0, hotX: 0, hotY: 0, x: 0, y: 0 };

/** What tells a device that was told `told` of `wanted`; undefined: nothing has to be told. Coordinates wrap at 2^32. */
export function cursorCommand(scanout: number, told: CursorState, wanted: CursorState): CursorCommand | undefined {
  const { resourceId: resource_id, x, y } = wanted;
  const sameImage = told.resourceId === resource_id;
  if (sameImage && (resource_id === 0 || (told.x === x && told.y === y))) return undefined;
  const { hotX: hot_x, hotY: hot_y } = sameImage ? told : wanted;
  const pos = { scanout_id: scanout, x: x >>> 0, y: y >>> 0 };
  return { name: sameImage ? 'MOVE_CURSOR' : 'UPDATE_CURSOR', fields: { pos, resource_id, hot_x, hot_y } };
}

export class GpuCursor {
  readonly #scanout: number;
  readonly #vcpu: Vcpu;
  #wanted = NO_CURSOR;
  #told = NO_CURSOR;
  #queue: CursorQueue | undefined;
  /** The device has the image of what is wanted. */
  #imageThere = false;
  #plugged = true;
  /** The ring was full. */
  #waits = false;

  constructor(scanout: number, vcpu: Vcpu) {
    this.#scanout = scanout;
    this.#vcpu = vcpu;
  }

  get wanted(): CursorState {
    return this.#wanted;
  }

  /** A device that shows no cursor yet and has no image of one. */
  open(queue: CursorQueue): void {
    this.#queue = queue;
    this.#told = NO_CURSOR;
    this.#imageThere = false;
    this.#waits = false;
    queue.onRoom = () => {
      if (this.#waits) this.#vcpu.run(() => void this.#tell());
    };
  }

  /** What is wanted from now on. An image that is new to the device is told once imageThere() says that the device has it. */
  async want(wanted: CursorState): Promise<void> {
    if (wanted.resourceId !== this.#wanted.resourceId) this.#imageThere = false;
    this.#wanted = wanted;
    await this.#tell();
  }

  /** The device has the image in that resource. */
  async imageThere(resourceId: number): Promise<void> {
    if (resourceId !== this.#wanted.resourceId) return; // another one is wanted since
    this.#imageThere = true;
    await this.#tell();
  }

  /** The device is gone, and with it what was wanted of it. */
  close(): void {
    this.#queue = undefined;
    this.#wanted = NO_CURSOR;
    this.#plugged = true;
  }

  /** A display that is unplugged has no cursor; plugged in again, it has the one that is wanted then. */
  async setPlugged(plugged: boolean): Promise<void> {
    this.#plugged = plugged;
    await this.#tell();
  }

  async #tell(): Promise<void> {
    const queue = this.#queue;
    const next = this.#plugged ? this.#wanted : NO_CURSOR;
    const command = cursorCommand(this.#scanout, this.#told, next);
    if (queue === undefined || command === undefined) return;
    if (next.resourceId !== 0 && !this.#imageThere) return;
    this.#waits = queue.room === 0;
    if (this.#waits) return;
    try {
      queue.send(command);
      this.#told = next;
      await queue.notify();
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error; // the device was reset or removed: the next one is told anew
    }
  }
}
