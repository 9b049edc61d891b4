import fc from 'fast-check';
import t from 'tap';
import { mismatchedPixels, overBlack, type Picture, variation } from '../../../lib/core/picture.js';

const picture = (width: number, height: number, seed = 1): Picture => {
  const rgba = new Uint8Array(width * height * 4);
  for (let at = 0; at < rgba.length; at++) rgba[at] = (at * 2654435761 * seed) >>> 13;
  return { width, height, rgba };
};

t.test('transparent pixels show black through, opaque ones stay', async (t) => {
  const rgba = new Uint8Array([200, 100, 50, 255, 200, 100, 50, 0, 200, 100, 51, 128]);
  t.same([...overBlack({ width: 3, height: 1, rgba }).rgba], [200, 100, 50, 255, 0, 0, 0, 255, 100, 50, 26, 255]);
});

t.test('each pixel that differs in a colour counts once, alpha does not', async (t) => {
  const a = picture(7, 5);
  t.equal(mismatchedPixels(a, a), 0);
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(34), { minLength: 1 }), fc.nat(2), (pixels, channel) => {
      const rgba = a.rgba.slice();
      for (const pixel of pixels) rgba[pixel * 4 + channel]! ^= 1;
      t.equal(mismatchedPixels(a, { ...a, rgba }), pixels.length);
    }),
    { numRuns: 50 },
  );
  const alpha = a.rgba.slice();
  alpha[3]! ^= 0xff;
  t.equal(mismatchedPixels(a, { ...a, rgba: alpha }), 0);
});

t.test('pictures of different sizes differ everywhere', async (t) => {
  t.equal(mismatchedPixels(picture(4, 4), picture(4, 5)), 20);
  t.equal(mismatchedPixels(picture(16, 1), picture(4, 4)), 16);
});

t.test('no two variations are equal, and each has the same colours in other places', async (t) => {
  const base = picture(64, 48);
  const all = Array.from({ length: 12 }, (_, index) => variation(base, index));
  t.equal(all[0], base);
  for (const [index, one] of all.entries()) {
    for (const other of all.slice(index + 1)) t.ok(mismatchedPixels(one, other) > (64 * 48) / 2);
    const sum = (p: Picture): number => p.rgba.reduce((total, value) => total + value, 0);
    t.equal(sum(one), sum(base), 'nothing is lost');
  }
});
