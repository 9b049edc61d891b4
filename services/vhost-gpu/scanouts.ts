// Scanouts: which resource each display shows, and its cursor. A scanout shows a 2D resource's own pixels, as QEMU's
// surfaces do, so that a flush copies nothing. Of a blob, which is guest memory, it shows a surface of its own that a
// flush fills: what viewers see changes with flushes only, and stays when the guest's memory goes.
// Leaves which displays exist to display.ts.
import { VIRTIO_GPU_BYTES_PER_PIXEL, VIRTIO_GPU_CURSOR_SIZE } from '../../lib/layout/virtio-gpu.js';
import type { Rect } from '../../lib/virtio/gpu-codec.js';
import type { Resource, RowPlace, Surface } from './resources.js';

export interface Cursor {
  /** Of the image's top left corner, in scanout pixels, modulo 2^32: negative ones wrap. */
  readonly x: number;
  readonly y: number;
  readonly hotX: number;
  readonly hotY: number;
  /** 64 by 64 pixels, B G R A whatever the resource's format says; a copy. */
  readonly image: Uint8Array;
  readonly visible: boolean;
}

const CURSOR_BYTES = VIRTIO_GPU_CURSOR_SIZE * VIRTIO_GPU_CURSOR_SIZE * VIRTIO_GPU_BYTES_PER_PIXEL;
const NO_CURSOR: Cursor = { x: 0, y: 0, hotX: 0, hotY: 0, image: new Uint8Array(CURSOR_BYTES), visible: false };

export interface Shown {
  readonly resource: Resource;
  /** What viewers see: a 2D resource is its own. */
  readonly surface: Surface;
  /** The part of the surface that is shown. */
  readonly rect: Rect;
  /** Where in a blob the surface's picture lies. */
  readonly blob?: RowPlace;
}

export interface Scanout {
  readonly index: number;
  /** Undefined: nothing. Changed by Scanouts.show() only. */
  shown: Shown | undefined;
  cursor: Cursor;
  flushCount: number;
  /** Clock of the first flush of something shown, in ns; 0n: none yet. */
  firstFlushNs: bigint;
}

export class Scanouts {
  readonly #scanouts: readonly Scanout[];
  readonly #giveSurface: (surface: Surface) => void;

  /** `giveSurface` takes back surfaces that blobs were shown on. */
  constructor(count: number, giveSurface: (surface: Surface) => void) {
    this.#giveSurface = giveSurface;
    this.#scanouts = Array.from({ length: count }, (_, index) => ({
      index,
      shown: undefined,
      cursor: NO_CURSOR,
      flushCount: 0,
      firstFlushNs: 0n,
    }));
  }

  get(index: number): Scanout | undefined {
    return this.#scanouts[index];
  }

  get count(): number {
    return this.#scanouts.length;
  }

  /** Shows something else, or nothing; a blob's surface that is not shown any more is given back. */
  show(scanout: Scanout, shown: Shown | undefined): void {
    const old = scanout.shown;
    scanout.shown = shown;
    if (old?.blob !== undefined && old.surface !== shown?.surface) this.#giveSurface(old.surface);
  }

  /** A resource is about to go: whatever shows it goes dark first. Answers which those were. */
  disableAllOf(resource: Resource): Scanout[] {
    const dark = this.#scanouts.filter(({ shown }) => shown?.resource === resource);
    for (const scanout of dark) this.show(scanout, undefined);
    return dark;
  }

  all(): readonly Scanout[] {
    return this.#scanouts;
  }

  /** The scanouts that show some of `rect` of `resource`: those that a flush is for. */
  *showing(resource: Resource, rect: Rect): Iterable<Scanout> {
    for (const scanout of this.#scanouts) {
      if (scanout.shown?.resource === resource && overlap(scanout.shown.rect, rect)) yield scanout;
    }
  }

  /** Shows nothing any more and forgets what was counted: the device was reset. */
  clear(): void {
    for (const scanout of this.#scanouts) {
      this.show(scanout, undefined);
      scanout.cursor = NO_CURSOR;
      scanout.flushCount = 0;
      scanout.firstFlushNs = 0n;
    }
  }
}

/** Whether two rectangles share a pixel. */
export function overlap(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/** The part that two rectangles share, which may be empty. */
export function intersection(a: Rect, b: Rect): Rect {
  const x = Math.max(a.x, b.x);
  const y = Math.max(a.y, b.y);
  const width = Math.max(0, Math.min(a.x + a.width, b.x + b.width) - x);
  return { x, y, width, height: Math.max(0, Math.min(a.y + a.height, b.y + b.height) - y) };
}
