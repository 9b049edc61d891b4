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
 * The picture as B8G8R8X8: what is not opaque lies over black, each colour round(c * a / 255). The X byte is 0.
 */
export function draw(memory: GuestMemory, framebuffer: Framebuffer, picture: Picture): void {
  const { rgba } = picture;
  const pixels = picture.width * picture.height;
  eachPiece(memory, framebuffer, (words, first) => {
    const count = Math.min(words.length, pixels - first);
    for (let index = 0, at = first * 4; index < count; index++, at += 4) {
      const alpha = rgba[at + 3]!;
      words[index] =
        alpha === 255
          ? (rgba[at]! << 16) | (rgba[at + 1]! << 8) | rgba[at + 2]!
          : (over(rgba[at]!, alpha) << 16) | (over(rgba[at + 1]!, alpha) << 8) | over(rgba[at + 2]!, alpha);
    }
  });
}

function over(colour: number, alpha: number): number {
  return Math.round((colour * alpha) / 255);
}

export interface WorkloadParts {
  readonly gpu: VirtioGpu;
  readonly memory: GuestMemory;
  readonly clock: Clock;
  readonly probe: Probe;
  readonly picture: Picture;
}

/** Sets a mode of the picture's size and shows it; again after each reset until it is shown. Gives the buffer; throws why not. */
export async function showPicture({ gpu, memory, clock, probe, picture }: WorkloadParts): Promise<Framebuffer> {
  const framebuffer = gpu.allocateFramebuffer(picture.width, picture.height);
  draw(memory, framebuffer, picture);
  // A device that is reset meanwhile is restored with whatever buffers there are: only the update is repeated then.
  const first = [() => gpu.createResource(framebuffer), () => gpu.setMode(SCANOUT, framebuffer)];
  for (let resets = 0; ; resets++) {
    try {
      for (const step of first.splice(0)) await step();
      const fence = await gpu.update(SCANOUT, framebuffer);
      await fence.done.wait({ clock, ms: DEADLINE_MS.frameFence, what: 'the frame' });
      probe.at(POINT['gpu.shown'], '', SCANOUT, framebuffer.resourceId);
      return framebuffer;
    } catch (error) {
      if (!(error instanceof ErrnoError) || error.code !== 'ESTALE' || resets === RESETS_MAX) throw error;
      await gpu.whenRestored();
    }
  }
}
