// The cursor of an animated guest: an arrow, white with a black edge, around it nothing. Leaves showing it to gpu-cursor.ts.
import { VIRTIO_GPU_CURSOR_SIZE } from '../../lib/layout/virtio-gpu.js';

/** X is black, o is white. */
const ARROW = [
  'X',
  'XX',
  'XoX',
  'XooX',
  'XoooX',
  'XooooX',
  'XoooooX',
  'XooooooX',
  'XoooooooX',
  'XooooooooX',
  'XoooooXXXXX',
  'XooXooX',
  'XoXXooX',
  'XX  XooX',
  'X   XooX',
  '     XX',
];
/** Pixels a side of one of its letters. */
const SCALE = 2;
const COLOURS: Readonly<Record<string, number>> = { X: 0xff000000, o: 0xffffffff };

/** An image of VIRTIO_GPU_CURSOR_SIZE a side, and which of its pixels points. */
export interface CursorImage {
  readonly hotX: number;
  readonly hotY: number;
  /** 0xAARRGGBB, rows from the top: B G R A in guest memory. */
  readonly argb: Uint32Array;
}

/** The arrow lies away from the image's corner, so that a viewer that forgets the hotspot shows it at a wrong place. */
const TIP = { x: 8, y: 6 };

function drawArrow(): Uint32Array {
  const argb = new Uint32Array(VIRTIO_GPU_CURSOR_SIZE * VIRTIO_GPU_CURSOR_SIZE);
  for (const [row, letters] of ARROW.entries())
    for (const [column, letter] of [...letters].entries())
      for (let y = TIP.y + row * SCALE; y < TIP.y + (row + 1) * SCALE; y++) {
        const from = y * VIRTIO_GPU_CURSOR_SIZE + TIP.x + column * SCALE;
        argb.fill(COLOURS[letter] ?? 0, from, from + SCALE);
      }
  return argb;
}

export const ARROW_CURSOR: CursorImage = { hotX: TIP.x, hotY: TIP.y, argb: drawArrow() };
