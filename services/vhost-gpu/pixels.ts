// What a viewer sees of a scanout: opaque pixels, red, green and blue from wherever the resource's format has them. Leaves
// files to lib/node/files/png.ts, the display socket to display-link.ts.
import type { Picture } from '../../lib/core/picture.js';
import { VIRTIO_GPU_BYTES_PER_PIXEL, VIRTIO_GPU_CURSOR_SIZE, VIRTIO_GPU_FORMAT } from '../../lib/layout/virtio-gpu.js';
import type { Rect } from '../../lib/virtio/gpu-codec.js';
import type { Surface } from './resources.js';
import type { Cursor, Scanout } from './scanouts.js';

/** Offsets of red, green and blue in a pixel, read off the formats' names: bytes in memory order. */
const COLOUR_OFFSETS = new Map<number, readonly [red: number, green: number, blue: number]>(
  Object.entries(VIRTIO_GPU_FORMAT).map(([name, format]) => {
    const order = [...name.slice('VIRTIO_GPU_FORMAT_'.length)].filter((letter) => 'RGBAX'.includes(letter)).slice(0, 4);
    return [format, [order.indexOf('R'), order.indexOf('G'), order.indexOf('B')]];
  }),
);

/**
 * A copy of what the scanout shows; undefined when it shows nothing. Its alpha is ignored, as on a screen. Without the cursor,
 * as QEMU's screendump, unless `withCursor` says otherwise.
 */
export function pictureOf(scanout: Scanout, { withCursor = false } = {}): Picture | undefined {
  if (scanout.shown === undefined) return undefined;
  const { surface, rect } = scanout.shown;
  const [red, green, blue] = COLOUR_OFFSETS.get(surface.format)!;
  const { pixels } = surface;
  const rgba = new Uint8Array(rect.width * rect.height * 4);
  let to = 0;
  for (let row = rect.y; row < rect.y + rect.height; row++) {
    let from = (row * surface.width + rect.x) * VIRTIO_GPU_BYTES_PER_PIXEL;
    for (let column = 0; column < rect.width; column++) {
      rgba[to] = pixels[from + red]!;
      rgba[to + 1] = pixels[from + green]!;
      rgba[to + 2] = pixels[from + blue]!;
      rgba[to + 3] = 255;
      from += VIRTIO_GPU_BYTES_PER_PIXEL;
      to += 4;
    }
  }
  const picture = { width: rect.width, height: rect.height, rgba };
  if (withCursor && scanout.cursor.visible) drawCursor(picture, scanout.cursor);
  return picture;
}

/** Lays the cursor over an opaque picture, where the picture is below it. */
function drawCursor({ width, height, rgba }: Picture, { image, ...cursor }: Cursor): void {
  const [left, top] = [cursor.x | 0, cursor.y | 0];
  for (let from = 0; from < image.length; from += VIRTIO_GPU_BYTES_PER_PIXEL) {
    const index = from / VIRTIO_GPU_BYTES_PER_PIXEL;
    const x = left + (index % VIRTIO_GPU_CURSOR_SIZE);
    const y = top + Math.floor(index / VIRTIO_GPU_CURSOR_SIZE);
    if (x < 0 || x >= width || y < 0 || y >= height) continue;
    const to = (y * width + x) * 4;
    const alpha = image[from + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      const [over, under] = [image[from + 2 - channel]!, rgba[to + channel]!];
      rgba[to + channel] = Math.round((over * alpha + under * (255 - alpha)) / 255);
    }
  }
}

const FORMAT_IS_BGRX: ReadonlySet<number> = new Set([
  VIRTIO_GPU_FORMAT.VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM,
  VIRTIO_GPU_FORMAT.VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
]);

/** Writes `rect` of a surface to `target` from `at` on: B G R x, rows tightly packed. */
export function writeBgrx(surface: Surface, rect: Rect, target: Uint8Array, at: number): void {
  const rowBytes = rect.width * VIRTIO_GPU_BYTES_PER_PIXEL;
  const stride = surface.width * VIRTIO_GPU_BYTES_PER_PIXEL;
  const { pixels } = surface;
  for (let row = 0; row < rect.height; row++) {
    const from = (rect.y + row) * stride + rect.x * VIRTIO_GPU_BYTES_PER_PIXEL;
    target.set(pixels.subarray(from, from + rowBytes), at + row * rowBytes);
  }
  if (FORMAT_IS_BGRX.has(surface.format)) return;
  const [red, green, blue] = COLOUR_OFFSETS.get(surface.format)!;
  for (let pixel = at; pixel < at + rect.height * rowBytes; pixel += VIRTIO_GPU_BYTES_PER_PIXEL) {
    const [r, g, b] = [target[pixel + red]!, target[pixel + green]!, target[pixel + blue]!];
    target[pixel] = b;
    target[pixel + 1] = g;
    target[pixel + 2] = r;
    target[pixel + 3] = 255;
  }
}
