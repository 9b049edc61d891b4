// A frame buffer in guest pages: scattered runs, four bytes a pixel, rows without padding. Leaves the resource that shows it
// to virtio-gpu.ts and what is drawn to workload.ts.
import type { GuestMemory } from '../../lib/core/memory.js';
import { VIRTIO_GPU_BYTES_PER_PIXEL } from '../../lib/layout/virtio-gpu.js';
import { PAGE_SIZE, type PageRun, type PageSource } from './pages.js';

export interface Framebuffer {
  readonly resourceId: number;
  readonly width: number;
  readonly height: number;
  readonly runs: readonly PageRun[];
}

/** Pages that a picture of this size takes. */
export function framebufferPages(width: number, height: number): number {
  return Math.ceil((width * height * VIRTIO_GPU_BYTES_PER_PIXEL) / PAGE_SIZE);
}

/** Throws ENOMEM. */
export function makeFramebuffer(pages: PageSource, resourceId: number, width: number, height: number): Framebuffer {
  return { resourceId, width, height, runs: pages.scattered(framebufferPages(width, height)) };
}

export function freeFramebuffer(pages: PageSource, framebuffer: Framebuffer): void {
  for (const run of framebuffer.runs) pages.release(run);
}

/** Calls `put` for each piece of the buffer: its words, little-endian, and the index of its first pixel. */
export function eachPiece(
  memory: GuestMemory,
  framebuffer: Framebuffer,
  put: (words: Uint32Array, firstPixel: number) => void,
): void {
  let pixel = 0;
  for (const run of framebuffer.runs) {
    const bytes = memory.view(run.addr, run.length);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, run.length / VIRTIO_GPU_BYTES_PER_PIXEL);
    put(words, pixel);
    pixel += words.length;
  }
}
