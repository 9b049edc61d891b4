// A number drawn into a frame, twice: blocks of black and white in the first and in the last rows. A viewer that reads the
// same number from both has seen one whole frame. Leaves putting pixels to the guest (services/guest/animation.ts) and
// getting them to the viewer (lab/frame-watch.ts).

/** Blocks of a stamp, a bit each: 24 of the number, least significant first, and 8 by which a picture is told from a stamp. */
const BLOCKS = 32;
const NUMBER_BITS = 24;
/** Numbers count up to here and then from 0 again. */
export const FRAME_NUMBERS = 2 ** NUMBER_BITS;
const BLOCK_SIDE_MAX = 8;
const CHECK_SEED = 0xa5;

/** Pixels a side of a block; undefined where a frame of this size has no room for two stamps. */
export function stampBlock(width: number, height: number): number | undefined {
  const side = Math.min(BLOCK_SIDE_MAX, Math.floor(width / BLOCKS), Math.floor(height / 2));
  return side < 1 ? undefined : side;
}

function wordOf(number: number): number {
  const check = (number ^ (number >>> 8) ^ (number >>> 16) ^ CHECK_SEED) & 0xff;
  return ((check << NUMBER_BITS) | number) >>> 0;
}

/**
 * Calls `put` for every run of pixels of both stamps: index of the first pixel, count, and whether it is white. `number`
 * from 0 to FRAME_NUMBERS - 1; `block` from stampBlock().
 */
export function drawStamp(
  number: number,
  { width, height, block }: { width: number; height: number; block: number },
  put: (firstPixel: number, count: number, white: boolean) => void,
): void {
  const word = wordOf(number);
  for (const top of [0, height - block])
    for (let row = top; row < top + block; row++)
      for (let bit = 0; bit < BLOCKS; bit++) put(row * width + bit * block, block, ((word >>> bit) & 1) === 1);
}

/** The number in a row of B G R X pixels that runs through a stamp; undefined when there is none. */
export function readStamp(row: Uint8Array, block: number): number | undefined {
  if (row.length < BLOCKS * block * 4) return undefined;
  let word = 0;
  for (let bit = 0; bit < BLOCKS; bit++) {
    // Black and white differ in every colour; green of the block's middle pixel is looked at.
    const value = row[(bit * block + (block >>> 1)) * 4 + 1]!;
    if (value !== 0 && value !== 0xff) return undefined;
    if (value === 0xff) word |= 1 << bit;
  }
  const number = word & (FRAME_NUMBERS - 1);
  return word >>> 0 === wordOf(number) ? number : undefined;
}

/** Bytes of a row that a reader of stamps needs. */
export const STAMP_ROW_BYTES_MAX = BLOCKS * BLOCK_SIDE_MAX * 4;
