import fc from 'fast-check';
import t from 'tap';
import { drawStamp, FRAME_NUMBERS, readStamp, stampBlock } from '../../../lib/core/frame-stamp.js';

const BYTES_PER_PIXEL = 4;

function frame(number: number, width: number, height: number): Uint8Array {
  const block = stampBlock(width, height)!;
  const bytes = new Uint8Array(width * height * BYTES_PER_PIXEL).fill(0x80);
  drawStamp(number, { width, height, block }, (first, count, white) => {
    t.ok(first >= 0 && first + count <= width * height, 'inside the frame');
    bytes.fill(white ? 0xff : 0, first * BYTES_PER_PIXEL, (first + count) * BYTES_PER_PIXEL);
  });
  return bytes;
}

t.test('a number is read from the first and from the last row of any frame that has room for it', async () => {
  const sizes = fc.record({
    number: fc.nat(FRAME_NUMBERS - 1),
    width: fc.integer({ min: 32, max: 400 }),
    height: fc.integer({ min: 2, max: 40 }),
  });
  fc.assert(
    fc.property(sizes, ({ number, width, height }) => {
      const block = stampBlock(width, height)!;
      const bytes = frame(number, width, height);
      const row = width * BYTES_PER_PIXEL;
      return (
        readStamp(bytes.subarray(0, row), block) === number &&
        readStamp(bytes.subarray((height - 1) * row), block) === number
      );
    }),
    { numRuns: 60 },
  );
});

t.test('what is no stamp is no number', async (t) => {
  t.equal(readStamp(new Uint8Array(1024).fill(0x80), 8), undefined, 'grey');
  t.equal(readStamp(new Uint8Array(1024), 8), undefined, 'black: the check bits are missing');
  t.equal(readStamp(new Uint8Array(1024).fill(0xff), 8), undefined, 'white');
  t.equal(readStamp(new Uint8Array(100), 8), undefined, 'too short');
  const row = frame(77, 256, 16).subarray(0, 1024);
  row[1] = row[5] = 0xff ^ row[17]!;
  row.fill(0xff ^ row[17]!, 0, 32);
  t.equal(readStamp(row, 8), undefined, 'one bit wrong');
});

t.test('a frame without room has no stamp', async (t) => {
  t.equal(stampBlock(31, 100), undefined);
  t.equal(stampBlock(32, 1), undefined);
  t.equal(stampBlock(32, 2), 1);
  t.equal(stampBlock(1024, 768), 8);
});
