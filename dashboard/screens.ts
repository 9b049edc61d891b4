// The screens of a lab's devices for the page: pictures as PNG and cursors, asked of the device servers as they run. Leaves the
// session with the lab, and which devices and processes there are, to live.ts.
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Session } from '../lab/session.js';
import type { DisplayCursor } from '../lib/core/proto-types.js';
import type { BusClient } from '../lib/core/service.js';
import { VIRTIO_GPU_CURSOR_SIZE } from '../lib/layout/virtio-gpu.js';
import { pngOf } from '../lib/node/files/png.js';
import { serverOf } from '../toolstack/device.js';
import { isGone } from './gone.js';

/** Of an image's name: enough to tell one cursor's images apart. */
const IMAGE_NAME_DIGITS = 16;

/** A cursor as the page places it. */
export interface ScreenCursor {
  readonly visible: boolean;
  /** Of the image's top left corner, in pixels of the screen. */
  readonly x: number;
  readonly y: number;
  /** Of the pixel that points, in the image. */
  readonly hotX: number;
  readonly hotY: number;
  /** Pixels a side of the image. */
  readonly side: number;
  /** Another one for each image. */
  readonly image: string;
}

export class Screens {
  /** With the lab as it runs now; undefined: there is none. */
  #session: Session | undefined;
  readonly #runDir: string;
  readonly #lifeOf: (process: string) => number;
  /** By the server's process. */
  readonly #displays = new Map<string, { readonly client: BusClient; readonly life: number }>();
  readonly #frames = new Map<string, { readonly count: number; readonly png: Uint8Array }>();
  readonly #images = new Map<string, { readonly name: string; readonly bgra: Uint8Array }>();
  #shots = 0;

  /** `lifeOf`: the incarnation of a process that runs and is not stopped; 0: there is none. */
  constructor(runDir: string, lifeOf: (process: string) => number) {
    this.#runDir = runDir;
    this.#lifeOf = lifeOf;
  }

  set session(session: Session | undefined) {
    this.#session = session;
    this.#displays.clear();
  }

  /** Forgets devices that are not there any more. */
  keep(isThere: (device: string) => boolean): void {
    for (const known of [this.#frames, this.#images])
      for (const device of known.keys()) if (!isThere(device)) known.delete(device);
  }

  /** What the screen of `1/0` shows, as PNG; undefined where there is none now. `count`: of its flushes; one look for each. */
  async frame(device: string, count: number | undefined): Promise<Uint8Array | undefined> {
    const known = this.#frames.get(device);
    if (count === undefined) return undefined;
    if (known?.count === count) return known.png;
    const png = await this.#shoot(device);
    if (png !== undefined) this.#frames.set(device, { count, png });
    return png;
  }

  async #shoot(device: string): Promise<Uint8Array | undefined> {
    const path = join(this.#runDir, 'frames', `page-${process.pid}-${this.#shots++}.png`);
    try {
      return await this.#ask(device, async (display) => {
        await display.remote('Display').screenshot({ name: device, scanout: 0, path });
        return new Uint8Array(await readFile(path));
      });
    } finally {
      await rm(path, { force: true });
    }
  }

  /** The cursor over the screen of `1/0`; undefined where there is no screen now. */
  async cursor(device: string): Promise<ScreenCursor | undefined> {
    const cursor = await this.#ask(device, (display) => display.remote('Display').cursor({ name: device, scanout: 0 }));
    if (cursor === undefined) return undefined;
    const { visible, x, y, hot_x: hotX, hot_y: hotY } = cursor;
    return { visible, x, y, hotX, hotY, side: VIRTIO_GPU_CURSOR_SIZE, image: this.#nameOf(device, cursor) };
  }

  #nameOf(device: string, { image }: DisplayCursor): string {
    const known = this.#images.get(device);
    if (known !== undefined && Buffer.compare(known.bgra, image) === 0) return known.name;
    const name = createHash('sha256').update(image).digest('hex').slice(0, IMAGE_NAME_DIGITS);
    this.#images.set(device, { name, bgra: image.slice() });
    return name;
  }

  /** The image that cursor() has named last, as PNG. */
  cursorImage(device: string): Uint8Array | undefined {
    const bgra = this.#images.get(device)?.bgra;
    if (bgra === undefined) return undefined;
    const rgba = bgra.slice();
    for (let at = 0; at < rgba.length; at += 4) {
      rgba[at] = bgra[at + 2]!;
      rgba[at + 2] = bgra[at]!;
    }
    return pngOf({ width: VIRTIO_GPU_CURSOR_SIZE, height: VIRTIO_GPU_CURSOR_SIZE, rgba });
  }

  async #ask<T>(device: string, question: (display: BusClient) => Promise<T>): Promise<T | undefined> {
    try {
      const display = await this.#displayOf(device);
      return display === undefined ? undefined : await question(display);
    } catch (error) {
      if (!isGone(error)) throw error;
      return undefined;
    }
  }

  /** A connection to the device's server as it runs now; undefined: it does not run. */
  async #displayOf(device: string): Promise<BusClient | undefined> {
    const session = this.#session;
    if (session === undefined) return undefined;
    const [domid, devid] = device.split('/').map(Number);
    const name = await serverOf(session, domid!, devid);
    const life = this.#lifeOf(name);
    if (life === 0) return undefined;
    let display = this.#displays.get(name);
    if (display?.life !== life) {
      display = { client: await session.connect(name), life };
      this.#displays.set(name, display);
    }
    return display.client;
  }
}
