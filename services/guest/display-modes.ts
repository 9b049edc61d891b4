// The guest's display takes the size that its device comes to prefer: another buffer with the picture, shown in a mode of that size,
// then the old ones given back. A size that there is no room for leaves the mode as it is. Leaves asking the device and its
// commands to virtio-gpu.ts, frames in the new mode to animation.ts.
import { ErrnoError, errorMessage, isOurBug } from '../../lib/core/errors.js';
import type { Log } from '../../lib/core/log.js';
import type { Framebuffer } from './framebuffer.js';
import type { Size } from './gpu-outputs.js';
import type { Vcpu } from './vcpu.js';
import { draw, showBuffer, type WorkloadParts } from './workload.js';

export interface ModesParts extends WorkloadParts {
  readonly vcpu: Vcpu;
  readonly log: Log;
  /** Ends whatever draws on the display; gives its buffers, the one with the picture first. */
  leave(): Promise<readonly Framebuffer[]>;
  /** The display is there to be drawn on again, showing this buffer. */
  use(framebuffer: Framebuffer): Promise<void>;
}

/** From now on, until the device is removed. One change at a time; what was preferred in between is not shown. */
export function followModes(parts: ModesParts): void {
  const { gpu, vcpu, log } = parts;
  let isBusy = false;
  const follow = async (): Promise<void> => {
    if (isBusy) return;
    isBusy = true;
    try {
      for (let size = gpu.takeNewMode(); size !== undefined; size = gpu.takeNewMode()) await take(parts, size);
    } catch (error) {
      if (isOurBug(error)) throw error;
      if (!gpu.removed) log.warn(`change of the mode: ${errorMessage(error)}`);
    } finally {
      isBusy = false;
    }
  };
  gpu.onNewMode = () => vcpu.run(() => void follow());
  gpu.onNewMode();
}

async function take(parts: ModesParts, { width, height }: Size): Promise<void> {
  const { gpu, memory, picture } = parts;
  if (width === 0 || height === 0) throw new ErrnoError('EINVAL', `a display of ${width}x${height}`);
  const next = gpu.allocateFramebuffer(width, height);
  draw(memory, next, picture);
  const [old, ...others] = await parts.leave();
  if (old === undefined) return gpu.release(next); // the display is another device's by now
  let shown = next;
  try {
    shown = await showEither(parts, next, old);
    for (const buffer of [next, old, ...others]) if (buffer !== shown) await gpu.release(buffer);
  } finally {
    if (gpu.knows(shown)) await parts.use(shown);
  }
}

/** The next one, or the old one again where the device does not show the next. */
async function showEither(parts: ModesParts, next: Framebuffer, old: Framebuffer): Promise<Framebuffer> {
  const { gpu, log } = parts;
  const { width, height } = next;
  try {
    await showBuffer(parts, next);
    log.info({ width, height }, 'the display has another mode');
    return next;
  } catch (error) {
    if (isOurBug(error) || gpu.removed) throw error;
    log.warn(`the mode stays: ${errorMessage(error)}`);
    await showBuffer(parts, old);
    return old;
  }
}
