// Draws examples/test-card.png, the picture that a guest shows unless told otherwise: every mistake of a display path
// should be visible in it. Swapped channels: the three ramps, each with all 256 values. A wrong stride: the diagonal and
// the one-pixel grid. Lost rows or tiles: the gradient, in which no two rows are equal. Shifts: the unlike corners.
// Run it again after a change: node scripts/make-example-image.mjs
import { writeFileSync } from 'node:fs';
import { PNG } from 'pngjs';

const WIDTH = 1024;
const HEIGHT = 768;
const image = new PNG({ width: WIDTH, height: HEIGHT, colorType: 2 });

const set = (x, y, [red, green, blue]) => image.data.set([red, green, blue, 255], (y * WIDTH + x) * 4);
const fill = (left, top, width, height, colour) => {
  for (let y = top; y < top + height; y++) {
    for (let x = left; x < left + width; x++) set(x, y, typeof colour === 'function' ? colour(x, y) : colour);
  }
};

// Background: a gradient over both axes.
fill(0, 0, WIDTH, HEIGHT, (x, y) => [x >> 2, Math.floor((y * 255) / (HEIGHT - 1)), 255 - ((x + y) >> 3)]);

// Ramps: all values of each channel alone, then of grey, 4 pixels a value.
[
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
  [1, 1, 1],
].forEach((weights, row) => {
  fill(0, 96 + row * 40, WIDTH, 32, (x) => weights.map((weight) => weight * (x >> 2)));
});

// Values that differ from pixel to pixel: one pixel off in any direction is another colour.
fill(32, 288, 256, 192, (x, y) => [(x * 7 + y * 13) & 255, (x * 31 + y) & 255, (x ^ y) & 255]);
// One-pixel grid, and a disc on it.
fill(320, 288, 256, 192, (x, y) => (x % 8 === 0 || y % 8 === 0 ? [255, 255, 255] : [16, 24, 40]));
fill(352, 312, 192, 144, (x, y) => {
  const distance = Math.hypot(x - 448, y - 384);
  return distance < 70
    ? [255, Math.round(distance * 2), 64]
    : x % 8 === 0 || y % 8 === 0
      ? [255, 255, 255]
      : [16, 24, 40];
});
// Primary and secondary colours.
[0xff0000, 0x00ff00, 0x0000ff, 0x00ffff, 0xff00ff, 0xffff00, 0xffffff, 0x000000].forEach((rgb, index) => {
  fill(608 + (index % 4) * 96, 288 + (index >> 2) * 96, 96, 96, [rgb >> 16, (rgb >> 8) & 255, rgb & 255]);
});

// Letters, five by seven, a bit a pixel.
const FONT = {
  x: [0, 0, 17, 10, 4, 10, 17],
  e: [0, 0, 14, 17, 31, 16, 14],
  n: [0, 0, 22, 25, 17, 17, 17],
  w: [0, 0, 17, 17, 21, 21, 10],
  i: [4, 0, 12, 4, 4, 4, 14],
  r: [0, 0, 22, 25, 16, 16, 16],
  g: [0, 15, 17, 17, 15, 1, 14],
  u: [0, 0, 17, 17, 17, 19, 13],
  s: [0, 0, 15, 16, 14, 1, 30],
  t: [8, 8, 28, 8, 8, 9, 6],
  o: [0, 0, 14, 17, 17, 17, 14],
  p: [0, 0, 30, 17, 30, 16, 16],
  l: [12, 4, 4, 4, 4, 4, 14],
};
const write = (text, left, top, scale, colour) => {
  [...text].forEach((letter, index) => {
    (FONT[letter] ?? []).forEach((bits, row) => {
      for (let column = 0; column < 5; column++) {
        if (((bits >> (4 - column)) & 1) === 0) continue;
        fill(left + (index * 6 + column) * scale, top + row * scale, scale, scale, colour);
      }
    });
  });
};
write('xenwire', 32, 16, 9, [255, 255, 255]);
for (let line = 0; line < 16; line++) {
  const words = ['guest to pixel', 'ring port', 'less is lost', 'xenwire'];
  const text = Array.from({ length: 10 }, (_, index) => words[(line * 3 + index * index) % words.length]).join(' ');
  write(text.slice(0, 158), 32, 512 + line * 12, 1, line % 2 === 0 ? [255, 255, 255] : [0, 0, 0]);
}

// The diagonal, and four unlike corners.
for (let x = 0; x < WIDTH; x++) set(x, Math.floor((x * HEIGHT) / WIDTH), [255, 0, 255]);
fill(0, 0, 8, 8, [255, 0, 0]);
fill(WIDTH - 8, 0, 8, 8, [0, 255, 0]);
fill(0, HEIGHT - 8, 8, 8, [0, 0, 255]);
fill(WIDTH - 8, HEIGHT - 8, 8, 8, [255, 255, 0]);

writeFileSync('examples/test-card.png', PNG.sync.write(image, { colorType: 2, deflateLevel: 9 }));
