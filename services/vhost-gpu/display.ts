// The displays that are plugged in, as the guest is told of them: display info, EDID, and the config space with its event
// (virtio 1.4, 5.7.4). Leaves what they show to scanouts.ts.
import { EDID_ACTIVE_MAX } from '../../lib/layout/edid.js';
import { VIRTIO_GPU_CONFIG, VIRTIO_GPU_EVENT_DISPLAY, VIRTIO_GPU_MAX_SCANOUTS } from '../../lib/layout/virtio-gpu.js';
import type { DisplayMode } from '../../lib/virtio/gpu-codec.js';
import { makeEdid } from './edid.js';

export interface DisplaySize {
  readonly width: number;
  readonly height: number;
}

export const DISPLAY_SIZE_DEFAULT: DisplaySize = { width: 1280, height: 800 };
/** Pixels across and down: what a detailed timing can say. */
export const DISPLAY_PIXELS_MAX = EDID_ACTIVE_MAX;

export function validSize({ width, height }: DisplaySize): boolean {
  return [width, height].every((value) => Number.isInteger(value) && value >= 1 && value <= DISPLAY_PIXELS_MAX);
}

const { events_clear: EVENTS_CLEAR_AT } = VIRTIO_GPU_CONFIG.offset;

export class Displays {
  /** Undefined: the display was unplugged. */
  readonly #sizes: (DisplaySize | undefined)[];
  #eventsRead = 0;

  /** One a scanout, 1 to VIRTIO_GPU_MAX_SCANOUTS of them; undefined: nothing is plugged in there. */
  constructor(sizes: readonly (DisplaySize | undefined)[]) {
    this.#sizes = [...sizes];
  }

  get count(): number {
    return this.#sizes.length;
  }

  size(index: number): DisplaySize | undefined {
    return this.#sizes[index];
  }

  /** Plugs in, resizes or (undefined) unplugs. True when that is news: the driver is then to be told of a config change. */
  set(index: number, size: DisplaySize | undefined): boolean {
    const old = this.#sizes[index];
    if (old?.width === size?.width && old?.height === size?.height) return false;
    this.#sizes[index] = size;
    this.#eventsRead |= VIRTIO_GPU_EVENT_DISPLAY;
    return true;
  }

  /** The answer to GET_DISPLAY_INFO; reading it clears no event. */
  modes(): DisplayMode[] {
    return Array.from({ length: VIRTIO_GPU_MAX_SCANOUTS }, (_, index) => {
      const size = this.#sizes[index];
      return {
        r: { x: 0, y: 0, width: size?.width ?? 0, height: size?.height ?? 0 },
        enabled: size === undefined ? 0 : 1,
        flags: 0,
      };
    });
  }

  /** An unplugged display still says what it would like. */
  edid(index: number): Uint8Array {
    const { width, height } = this.#sizes[index] ?? DISPLAY_SIZE_DEFAULT;
    return makeEdid(width, height, index);
  }

  /** Undefined when [offset, offset+size) leaves the config space. */
  readConfig(offset: number, size: number): Uint8Array | undefined {
    if (offset + size > VIRTIO_GPU_CONFIG.size) return undefined;
    const config = { events_read: this.#eventsRead, events_clear: 0, num_scanouts: this.count, num_capsets: 0 };
    return VIRTIO_GPU_CONFIG.bytes(config).subarray(offset, offset + size);
  }

  /** Only whole writes of events_clear do something; the rest of the config space is read-only. */
  writeConfig(offset: number, data: Uint8Array): void {
    if (offset !== EVENTS_CLEAR_AT || data.length !== 4) return;
    this.#eventsRead &= ~new DataView(data.buffer, data.byteOffset).getUint32(0, true);
  }

  /** Device reset: events are forgotten, displays stay plugged in. */
  reset(): void {
    this.#eventsRead = 0;
  }
}
