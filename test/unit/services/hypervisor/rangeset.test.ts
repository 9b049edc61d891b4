import fc from 'fast-check';
import t from 'tap';
import { RangeSet } from '../../../../services/hypervisor/ioreq/rangeset.js';

const MAX = 3;

/** The set as a row of flags, and the count of ranges that it makes. */
const runs = (bits: readonly boolean[]) => bits.filter((bit, at) => bit && !bits[at - 1]).length;

t.test('behaves as a set of numbers whose runs are counted', async () => {
  const step = fc.record({ add: fc.boolean(), start: fc.nat({ max: 20 }), length: fc.nat({ max: 6 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const set = new RangeSet(MAX);
      let bits: boolean[] = new Array(30).fill(false);
      for (const { add, start, length } of steps) {
        const end = start + length;
        const next = bits.map((bit, at) => (at >= start && at <= end ? add : bit));
        if (add) {
          if (set.overlaps(BigInt(start), BigInt(end)) !== bits.slice(start, end + 1).some(Boolean))
            throw new Error('overlaps');
          if (set.overlaps(BigInt(start), BigInt(end))) continue;
          const done = set.add(BigInt(start), BigInt(end));
          if (done !== runs(next) <= MAX) throw new Error('add');
          if (done) bits = next;
        } else {
          const whole = set.contains(BigInt(start), BigInt(end));
          if (whole !== bits.slice(start, end + 1).every(Boolean)) throw new Error('contains');
          if (whole !== set.containsAccess(start, end)) throw new Error('containsAccess');
          if (!whole) continue;
          const done = set.remove(BigInt(start), BigInt(end));
          if (done !== runs(next) <= MAX) throw new Error('remove');
          if (done) bits = next;
        }
        if (set.ranges.length !== runs(bits)) throw new Error(`${set.ranges.length} ranges`);
      }
    }),
    { numRuns: 500 },
  );
});

t.test('ranges up to the end of 64 bits claim what lies in them and do not wrap', async (t) => {
  const set = new RangeSet(MAX);
  t.ok(set.add(2n ** 53n, 2n ** 64n - 1n));
  t.notOk(set.containsAccess(0, 3));
  t.notOk(set.overlaps(0n, 2n ** 53n - 1n));
  t.ok(set.add(0n, 2n ** 53n - 1n));
  t.equal(set.ranges.length, 1, 'merged into all of it');
  t.ok(set.containsAccess(Number.MAX_SAFE_INTEGER - 3, Number.MAX_SAFE_INTEGER));
});
