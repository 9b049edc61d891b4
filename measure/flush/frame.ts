// The frame that the flush benches move: its size, the ways it may lie in guest memory, its pixels; and how times are told.
import { PIXELS_AT } from '../../testkit/gpu-tester.js';

export const WIDTH = 1920;
export const HEIGHT = 1080;
export const FRAME_BYTES = WIDTH * HEIGHT * 4;
export const RAM_BYTES = 64 << 20;
export const RECT = { x: 0, y: 0, width: WIDTH, height: HEIGHT };
const PAGE = 4096;
const SCATTER_FROM = 0x100000;

export interface Entry {
  readonly addr: number;
  readonly length: number;
}

export const LAYOUTS: Readonly<Record<string, () => Entry[]>> = {
  'one piece': () => [{ addr: PIXELS_AT, length: FRAME_BYTES }],
  'pieces of 64 KiB, scattered': () => scattered(16 * PAGE),
  'pages, scattered': () => scattered(PAGE),
};

/** Pieces that never follow each other in memory. */
function scattered(size: number): Entry[] {
  const slots = Math.floor((RAM_BYTES - SCATTER_FROM - FRAME_BYTES) / size);
  // An odd stride over the slots visits each once before it repeats.
  const stride = (Math.floor(slots / 3) * 2 + 1) | 1;
  return Array.from({ length: Math.ceil(FRAME_BYTES / size) }, (_, index) => ({
    addr: SCATTER_FROM + ((index * stride) % slots) * size,
    length: Math.min(size, FRAME_BYTES - index * size),
  }));
}

const pixel = (index: number): number => ((index * 31) >>> 4) & 255;

export function writePicture(ram: Uint8Array, entries: readonly Entry[]): void {
  let filled = 0;
  for (const { addr, length } of entries) {
    for (let at = 0; at < length; at++) ram[addr + at] = pixel(filled + at);
    filled += length;
  }
}

export function checkPicture(shown: Uint8Array): boolean {
  return shown.length === FRAME_BYTES && shown.every((byte, index) => byte === pixel(index));
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly min: number;
}

/** Microseconds that an action took. */
export function timed(action: () => void): number {
  const start = process.hrtime.bigint();
  action();
  return Number(process.hrtime.bigint() - start) / 1000;
}

export function percentiles(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (fraction: number): number => round3(sorted[Math.floor(fraction * (sorted.length - 1))]!);
  return { p50: at(0.5), p99: at(0.99), min: at(0) };
}

/** How fast `other` is beside `base`: 1 is as fast. */
export function ratio(base: Percentiles, other: Percentiles): number {
  return round3(base.p50 / other.p50);
}

export function round3(value: number): number {
  return Math.round(value * 1000) / 1000;
}
