// Guest memory: every address and length is checked, over region borders too, and nothing is touched when any part is bad.
import fc from 'fast-check';
import t from 'tap';
import { type GuestMemory, RegionMemory } from '../../../lib/core/memory.js';

const two = (): RegionMemory =>
  new RegionMemory([
    { base: 0x10000, bytes: new Uint8Array(0x1000).fill(2) },
    { base: 0, bytes: new Uint8Array(0x2000).fill(1) },
    { base: 0x2000, bytes: new Uint8Array(0x1000).fill(3) },
  ]);

t.test('reads and writes cross adjoining regions, never a hole', (t) => {
  const memory = two();
  const out = new Uint8Array(4);
  memory.read(0x1ffe, out);
  t.same([...out], [1, 1, 3, 3]);
  memory.write(0x1fff, Uint8Array.of(8, 9));
  t.equal(memory.readU8(0x1fff), 8);
  t.equal(memory.readU8(0x2000), 9);
  t.throws(() => memory.read(0x2ffe, out), { code: 'EFAULT' });
  t.throws(() => memory.write(0x2fff, Uint8Array.of(5, 5)), { code: 'EFAULT' });
  t.equal(memory.readU8(0x2fff), 3, 'a write that would leave memory writes nothing');
  t.equal(memory.size, 0x4000);
  t.end();
});

t.test('views and words lie inside one region', (t) => {
  const memory = two();
  t.equal(memory.view(0x10000, 0x1000).length, 0x1000);
  t.throws(() => memory.view(0x10000, 0x1001), { code: 'EFAULT' });
  t.throws(() => memory.view(0xfff0, 0x20), { code: 'EFAULT' });
  memory.writeU64(0x10ff8, 0x1122334455667788n);
  t.equal(memory.readU64(0x10ff8), 0x1122334455667788n);
  t.equal(memory.readU16(0x10ff8), 0x7788);
  t.throws(() => memory.readU64(0x10ff9), { code: 'EFAULT' });
  memory.storeU16(0x10000, 0xabcd);
  t.equal(memory.loadU16(0x10000), 0xabcd);
  t.throws(() => memory.loadU16(0x10001), { code: 'EFAULT' }, 'atomics are aligned');
  t.end();
});

t.test('overlapping, empty or no regions are refused; closed memory only throws', (t) => {
  const page = (): Uint8Array => new Uint8Array(0x1000);
  t.throws(() => new RegionMemory([]), { code: 'EINVAL' });
  t.throws(() => new RegionMemory([{ base: 0, bytes: new Uint8Array(0) }]), { code: 'EINVAL' });
  t.throws(
    () =>
      new RegionMemory([
        { base: 0, bytes: page() },
        { base: 0xfff, bytes: page() },
      ]),
    { code: 'EINVAL' },
  );
  const memory = two();
  memory.close();
  for (const addr of [0, 0x1000, 0x10000]) t.throws(() => memory.readU8(addr), { code: 'EFAULT' });
  t.throws(() => memory.view(0, 0), { code: 'EFAULT' });
  t.end();
});

t.test(
  'any address and length either answers what a flat model has, or EFAULT exactly where the model has no byte',
  (t) => {
    const bases = [0, 0x100, 0x300];
    const address = fc.oneof(fc.integer({ min: -4, max: 0x520 }), fc.constantFrom(2 ** 32, 2 ** 53 - 1, Number.NaN));
    fc.assert(
      fc.property(address, fc.integer({ min: 1, max: 0x210 }), (addr, length) => {
        const regions = bases.map((base, index) => ({ base, bytes: new Uint8Array(0x100).fill(index + 1) }));
        const memory: GuestMemory = new RegionMemory(regions);
        const model = (at: number): number | undefined => {
          const index = bases.findIndex((base) => at >= base && at < base + 0x100);
          return index < 0 ? undefined : index + 1;
        };
        const expected: (number | undefined)[] = Array.from({ length }, (_, i) => model(addr + i));
        const out = new Uint8Array(length);
        let failed = false;
        try {
          memory.read(addr, out);
        } catch {
          failed = true;
        }
        if (!Number.isInteger(addr)) return failed;
        return expected.includes(undefined) ? failed : !failed && expected.every((value, i) => out[i] === value);
      }),
      { numRuns: 2000 },
    );
    t.end();
  },
);
