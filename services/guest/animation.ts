// A load for the display: frames with a number in them (lib/core/frame-stamp.ts), transferred and flushed at a rate that
// the toolstack asks for in the store, a cursor moving over them on its path (lib/core/cursor-path.ts). At rate 0 the picture
// stands alone again. Buffers that the device reads itself are two, in turn: the one that is shown is not drawn into. Leaves how
// a frame and the cursor reach the screen to virtio-gpu.ts, and checking the numbers to the viewer (lab/frame-watch.ts).
import type { Clock } from '../../lib/core/clock.js';
import { cursorPath } from '../../lib/core/cursor-path.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { ErrnoError } from '../../lib/core/errors.js';
import { drawStamp, FRAME_NUMBERS, stampBlock } from '../../lib/core/frame-stamp.js';
import { ANIMATION_FPS_MAX } from '../../lib/core/limits.js';
import type { Log } from '../../lib/core/log.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import { VIRTIO_GPU_CURSOR_SIZE } from '../../lib/layout/virtio-gpu.js';
import { DATA_KEY } from '../../lib/layout/xenbus.js';
import { ARROW_CURSOR } from './cursor-image.js';
import { eachPiece, type Framebuffer } from './framebuffer.js';
import type { GuestStore } from './guest-store.js';
import type { Vcpu } from './vcpu.js';
import type { VirtioGpu } from './virtio-gpu.js';
import { draw, type Picture, SCANOUT } from './workload.js';

const WHITE = 0xffffff;

export interface AnimationParts {
  readonly vcpu: Vcpu;
  readonly clock: Clock;
  readonly memory: GuestMemory;
  readonly store: GuestStore;
  readonly picture: Picture;
  readonly log: Log;
  /** The display cannot be drawn on, and why. */
  readonly onFailure: (reason: string) => void;
}

interface Shown {
  readonly gpu: VirtioGpu;
  /** The one with the picture first. */
  readonly framebuffers: readonly [Framebuffer, ...Framebuffer[]];
}

export class Animation {
  readonly #parts: AnimationParts;
  /** Frames a second; 0: none. */
  #fps = 0;
  /** Of the last frame; goes on over displays that come and go. */
  #number = 0;
  #shown: Shown | undefined;
  #drawing: Promise<void> | undefined;
  /** With the cursor's image, on which display; made before the first frame. */
  #cursor: { readonly gpu: VirtioGpu; readonly framebuffer: Framebuffer | undefined } | undefined;

  constructor(parts: AnimationParts) {
    this.#parts = parts;
  }

  /** Listens to the toolstack. */
  async start(token: string): Promise<void> {
    await this.#parts.store.watch(DATA_KEY.animate, token, () => {
      this.#asked().catch((error: unknown) => {
        if (!(error instanceof ErrnoError)) throw error; // the store refused: the rate stays
      });
    });
  }

  /** A display shows the picture in this buffer: frames are drawn there from now on. */
  use(gpu: VirtioGpu, ...framebuffers: Shown['framebuffers']): void {
    this.#shown = { gpu, framebuffers };
    this.#draw();
  }

  /** Nothing is drawn on that display from now on. Gives the buffers that use() was given, once no frame is under way. */
  async leave(gpu: VirtioGpu): Promise<readonly Framebuffer[]> {
    const shown = this.#shown;
    if (shown?.gpu !== gpu) return [];
    this.#shown = undefined;
    await this.#drawing;
    return shown.framebuffers;
  }

  async #asked(): Promise<void> {
    const text = await this.#parts.store.read(DATA_KEY.animate).catch((error: unknown) => {
      if (error instanceof ErrnoError && error.code === 'ENOENT') return '0';
      throw error;
    });
    const fps = Number(text);
    if (!Number.isInteger(fps) || fps < 0 || fps > ANIMATION_FPS_MAX) {
      this.#parts.log.warn({ fps: text.slice(0, 20) }, `no rate from 0 to ${ANIMATION_FPS_MAX}`);
      return;
    }
    this.#fps = fps;
    this.#draw();
  }

  #draw(): void {
    const shown = this.#shown;
    if (this.#drawing !== undefined || this.#fps === 0 || shown === undefined) return;
    let failed = false;
    this.#drawing = this.#frames(shown)
      .catch((error: unknown) => {
        failed = true;
        if (!(error instanceof Error) || shown.gpu.removed) return;
        if (!(error instanceof ErrnoError) && error.name !== 'DeadlineError') throw error;
        this.#parts.onFailure(`frames are not shown: ${error.message}`);
      })
      .finally(() => {
        this.#drawing = undefined;
        // Another display came meanwhile; or another rate, as the picture was drawn that follows rate 0.
        const rate = this.#fps > 0 && !failed && !shown.gpu.removed;
        if (this.#shown !== shown || rate) this.#draw();
      });
  }

  async #frames(shown: Shown): Promise<void> {
    const { gpu, framebuffers } = shown;
    const { clock, memory, picture } = this.#parts;
    const stamps = framebuffers.map((framebuffer) => {
      const stamp = stampOn(memory, framebuffer);
      if (stamp === undefined) throw new ErrnoError('EINVAL', 'the picture is too small for a number');
      return { framebuffer, stamp };
    });
    if (this.#cursor?.gpu !== gpu || this.#cursor.framebuffer === undefined || !gpu.knows(this.#cursor.framebuffer))
      this.#cursor = { gpu, framebuffer: await this.#makeCursor(gpu) };
    let nextNs = clock.nowNs();
    while (this.#fps > 0 && !gpu.removed && this.#shown === shown) {
      this.#number = (this.#number + 1) % FRAME_NUMBERS;
      const next = stamps[this.#number % stamps.length]!;
      next.stamp(this.#number);
      await this.#show(gpu, next.framebuffer);
      await this.#point(shown);
      // What came late is not made up for: the next frame is due a period from now at the most.
      const now = clock.nowNs();
      nextNs += BigInt(Math.round(1e9 / Math.max(this.#fps, 1)));
      if (nextNs < now) nextNs = now;
      else await this.#until(nextNs - now);
    }
    if (gpu.removed || this.#shown !== shown) return;
    await this.#unlessLost(gpu.setCursor(undefined));
    draw(memory, framebuffers[0], picture);
    await this.#show(gpu, framebuffers[0]);
  }

  /** Until it is shown; again after each reset of the device. */
  async #show(gpu: VirtioGpu, framebuffer: Framebuffer): Promise<void> {
    const { clock } = this.#parts;
    for (;;) {
      try {
        const fence = await gpu.update(SCANOUT, framebuffer);
        await fence.done.wait({ clock, ms: DEADLINE_MS.frameFence, what: 'the frame' });
        return;
      } catch (error) {
        if (!(error instanceof ErrnoError) || error.code !== 'ESTALE') throw error;
        await gpu.whenRestored();
      }
    }
  }

  /** Undefined when there is no room for it: frames are drawn all the same. */
  async #makeCursor(gpu: VirtioGpu): Promise<Framebuffer | undefined> {
    const { memory, log } = this.#parts;
    try {
      const cursor = gpu.allocateFramebuffer(VIRTIO_GPU_CURSOR_SIZE, VIRTIO_GPU_CURSOR_SIZE);
      eachPiece(memory, cursor, (words, first) => words.set(ARROW_CURSOR.argb.subarray(first, first + words.length)));
      await this.#unlessLost(gpu.createResource(cursor));
      return cursor;
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      log.warn(`no cursor: ${error.message}`);
      return undefined;
    }
  }

  /** The cursor's tip goes where the path is at this frame. */
  async #point({ gpu, framebuffers: [{ width, height }] }: Shown): Promise<void> {
    const cursor = this.#cursor?.framebuffer;
    if (cursor === undefined) return;
    const { x, y } = cursorPath(this.#number, width, height);
    const { hotX, hotY } = ARROW_CURSOR;
    await this.#unlessLost(gpu.setCursor(cursor, { hotX, hotY, x: x - hotX, y: y - hotY }));
  }

  /** The device was reset, which brings the cursor back when it is restored, or removed, which the next frame tells. */
  async #unlessLost(done: Promise<void>): Promise<void> {
    try {
      await done;
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
    }
  }

  #until(delayNs: bigint): Promise<void> {
    const { clock, vcpu } = this.#parts;
    return new Promise((resolve) => clock.after(Number(delayNs) / 1e6, () => vcpu.run(resolve)));
  }
}

/** Draws numbers into the buffer; undefined when it is too small for them. */
function stampOn(memory: GuestMemory, framebuffer: Framebuffer): ((number: number) => void) | undefined {
  const { width, height } = framebuffer;
  const block = stampBlock(width, height);
  if (block === undefined) return undefined;
  const pieces: { readonly words: Uint32Array; readonly first: number }[] = [];
  eachPiece(memory, framebuffer, (words, first) => pieces.push({ words, first }));
  return (number) => {
    let at = 0;
    drawStamp(number, { width, height, block }, (firstPixel, count, white) => {
      for (let pixel = firstPixel; pixel < firstPixel + count; pixel++) {
        while (pixel >= pieces[at]!.first + pieces[at]!.words.length) at++;
        pieces[at]!.words[pixel - pieces[at]!.first] = white ? WHITE : 0;
      }
    });
  };
}
