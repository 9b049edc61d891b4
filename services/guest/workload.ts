// What the guest's user does: draws a picture into a frame buffer, shows it, and knows that it is shown by its fence.

import type { Clock } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { ErrnoError } from '../../lib/core/errors.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import { POINT } from '../../lib/trace/points.js';
import { eachPiece, type Framebuffer } from './framebuffer.js';
import type { VirtioGpu } from './virtio-gpu.js';

/** A picture as a user has it: rows from the top, R, G, B, A bytes. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8Array;
}

/** The one that pictures are shown on. */
export const SCANOUT = 0;
/** Resets in a row that a frame survives; a device that is reset more often than that cannot be shown anything. */
const RESETS_MAX = 16;

/**
 * The picture as B8G8R8X8: what is not opaque lies over black, each colour round(c * a / 255). The X byte is 0. In a buffer of
 * another size it begins at the top left corner, cut off or with black beside it.
 */
export function draw(memory: GuestMemory, framebuffer: Framebuffer, picture: Picture): void {
  const { rgba } = picture;
  const { width } = framebuffer;
  const columns = Math.min(width, picture.width);
  // A row's part in this piece at a time.
  eachPiece(memory, framebuffer, (words, first) => {
    for (let index = 0; index < words.length; ) {
      const x = (first + index) % width;
      const y = Math.floor((first + index) / width);
      const rowEnd = Math.min(index + width - x, words.length);
      const end = y < picture.height ? Math.min(Math.max(index + columns - x, index), rowEnd) : index;
      drawRow(words.subarray(index, end), rgba, (y * picture.width + x) * 4);
      words.fill(0, end, rowEnd);
      index = rowEnd;
    }
  });
}

function drawRow(words: Uint32Array, rgba: Uint8Array, from: number): void {
  for (let index = 0, at = from; index < words.length; index++, at += 4) {
    const alpha = rgba[at + 3]!;
    words[index] =
      alpha === 255
        ? (rgba[at]! << 16) | (rgba[at + 1]! << 8) | rgba[at + 2]!
        : (over(rgba[at]!, alpha) << 16) | (over(rgba[at + 1]!, alpha) << 8) | over(rgba[at + 2]!, alpha);
  }
}

function over(colour: number, alpha: number): number {
  return Math.round((colour * alpha) / 255);
}

export interface ShowParts {
  readonly gpu: VirtioGpu;
  readonly clock: Clock;
  readonly probe: Probe;
}

export interface WorkloadParts extends ShowParts {
  readonly memory: GuestMemory;
  readonly picture: Picture;
}

/** Sets a mode of the picture's size and shows it; again after each reset until it is shown. Gives the buffer; throws why not. */
export async function showPicture(parts: WorkloadParts): Promise<Framebuffer> {
  const { gpu, memory, picture } = parts;
  const framebuffer = gpu.allocateFramebuffer(picture.width, picture.height);
  draw(memory, framebuffer, picture);
  await showBuffer(parts, framebuffer);
  return framebuffer;
}

/** Sets a mode of the buffer's size and shows it; again after each reset until it is shown. Throws why not. */
export async function showBuffer({ gpu, clock, probe }: ShowParts, framebuffer: Framebuffer): Promise<void> {
  // A device that is reset meanwhile is restored with whatever buffers there are: only the update is repeated then.
  const first = [() => gpu.createResource(framebuffer), () => gpu.setMode(SCANOUT, framebuffer)];
  for (let resets = 0; ; resets++) {
    try {
      for (const step of first.splice(0)) await step();
      const fence = await gpu.update(SCANOUT, framebuffer);
      await fence.done.wait({ clock, ms: DEADLINE_MS.frameFence, what: 'the frame' });
      probe.at(POINT['gpu.shown'], '', SCANOUT, framebuffer.resourceId);
      return;
    } catch (error) {
      if (!(error instanceof ErrnoError) || error.code !== 'ESTALE' || resets === RESETS_MAX) throw error;
      await gpu.whenRestored();
    }
  }
}
