// Pictures as the run compares them: what a guest must show of an image, how a screen differs from it, and variations
// of one image, so that a picture that reaches the wrong guest's screen shows. Leaves PNG files to lib/node/files/png.ts.

/** Eight bits a channel, red green blue alpha, rows from the top without gaps. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8Array;
}

/** What an opaque screen shows of a picture that may be transparent: its colours over black. */
export function overBlack(picture: Picture): Picture {
  const { rgba } = picture;
  const opaque = new Uint8Array(rgba.length);
  for (let at = 0; at < rgba.length; at += 4) {
    const alpha = rgba[at + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      opaque[at + channel] = Math.round((rgba[at + channel]! * alpha) / 255);
    }
    opaque[at + 3] = 255;
  }
  return { ...picture, rgba: opaque };
}

/** Pixels whose colours differ; of pictures of different sizes, every pixel of the larger area. Alpha does not count. */
export function mismatchedPixels(expected: Picture, shown: Picture): number {
  if (expected.width !== shown.width || expected.height !== shown.height) {
    return Math.max(expected.width * expected.height, shown.width * shown.height);
  }
  let count = 0;
  for (let at = 0; at < expected.rgba.length; at += 4) {
    const same =
      expected.rgba[at] === shown.rgba[at] &&
      expected.rgba[at + 1] === shown.rgba[at + 1] &&
      expected.rgba[at + 2] === shown.rgba[at + 2];
    if (!same) count++;
  }
  return count;
}

/** Shifts per variation: primes, so that shifted pictures coincide only after many guests. */
const SHIFT_X = 61;
const SHIFT_Y = 37;

/** Variation `index` of a picture; 0 is the picture itself. Shifted, with its channels rotated. */
export function variation(picture: Picture, index: number): Picture {
  if (index === 0) return picture;
  const { width, height, rgba } = picture;
  const varied = new Uint8Array(rgba.length);
  for (let y = 0; y < height; y++) {
    const row = ((y + index * SHIFT_Y) % height) * width;
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 4;
      const to = (row + ((x + index * SHIFT_X) % width)) * 4;
      for (let channel = 0; channel < 3; channel++) {
        varied[to + ((channel + index) % 3)] = rgba[from + channel]!;
      }
      varied[to + 3] = rgba[from + 3]!;
    }
  }
  return { width, height, rgba: varied };
}
