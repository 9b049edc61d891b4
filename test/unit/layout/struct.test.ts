// Layout tables: offsets follow from the fields, the specification's size is checked, padding is written as zero.
import fc from 'fast-check';
import t from 'tap';
import { array, bytes, pad, struct, u8, u16, u32, u64 } from '../../../lib/layout/struct.js';

const INNER = struct('inner', { a: u16, b: u16 }, { size: 4 });
const OUTER = struct(
  'outer',
  { tag: u8, p0: pad(3), word: u32, wide: u64, list: array(INNER, 2), raw: bytes(6), p1: pad(2) },
  { size: 32 },
);

const text = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? String(value) : value instanceof Uint8Array ? [...value] : value;

t.test('offsets and sizes come from the table', (t) => {
  t.same(OUTER.offset, { tag: 0, p0: 1, word: 4, wide: 8, list: 16, raw: 24, p1: 30 });
  t.equal(OUTER.size, 32);
  t.end();
});

t.test('a table that contradicts the specification does not load', (t) => {
  t.throws(() => struct('x', { a: u32 }, { size: 8 }), /specification says 8/);
  t.throws(() => struct('x', { a: u8, b: u32 }, { size: 5 }), /not aligned/);
  t.doesNotThrow(() => struct('x', { a: u8, b: u32 }, { size: 5, packed: true }));
  t.end();
});

t.test('bytes that are too few throw instead of reading past the end', (t) => {
  t.throws(() => OUTER.decode(new Uint8Array(31)), RangeError);
  t.throws(() => OUTER.decode(new Uint8Array(40), 9), RangeError);
  t.throws(() => OUTER.decode(new Uint8Array(40), -1), RangeError);
  t.throws(() => bytes(2).set(new DataView(new ArrayBuffer(4)), 0, new Uint8Array(3)), RangeError);
  t.end();
});

t.test('what is encoded is decoded, whatever lay in the bytes before, and padding is zero', (t) => {
  const u16s = fc.integer({ min: 0, max: 0xffff });
  const value = fc.record({
    tag: fc.integer({ min: 0, max: 255 }),
    word: fc.integer({ min: 0, max: 0xffffffff }),
    wide: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    list: fc.array(fc.record({ a: u16s, b: u16s }), { minLength: 2, maxLength: 2 }),
    raw: fc.uint8Array({ minLength: 6, maxLength: 6 }),
  });
  fc.assert(
    fc.property(value, (fields) => {
      const target = new Uint8Array(40).fill(0xee);
      OUTER.encode(fields, target, 8);
      t.same(JSON.stringify(OUTER.decode(target, 8), text), JSON.stringify(fields, text));
      return [9, 10, 11, 38, 39].every((at) => target[at] === 0) && target[7] === 0xee;
    }),
    { numRuns: 200 },
  );
  t.end();
});
