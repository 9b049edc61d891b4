import fc from 'fast-check';
import t from 'tap';
import { BENCHES } from '../../../bench/compare/benches.js';
import { compare, figuresOf, verdictOf } from '../../../bench/compare/figures.js';
import { rowsOf } from '../../../bench/xenstored/rows.js';

t.test('figures are found where they stand, and elements of lists by their texts', (t) => {
  const json = {
    host: { p50: 9 },
    paths: [{ path: 'direct', mode: 'hot', ns: { p50: 3, max: 7 } }],
    runs: 4,
    list: [{ p50: 1 }],
  };
  t.same(
    [...figuresOf(json, /^(?!host).*p50$/)],
    [
      ['paths[direct hot].ns.p50', 3],
      ['list[0].p50', 1],
    ],
  );
  t.end();
});

t.test('of bench:xenstored the rows of our daemon are compared, and fewer requests a second are worse', (t) => {
  const { figures, rates } = BENCHES.xenstored;
  const turn = { 'test-xenstore mean': 30, 'requests a second, 16 clients': 9000 };
  const found = figuresOf({ host: { cores: 2 }, rows: rowsOf([{ ours: turn, c: turn }]), turns: [turn] }, figures);
  t.same([...found.values()], [30, 9000]);
  t.same(
    [...found.keys()].map((name) => rates.test(name)),
    [false, true],
  );
  t.end();
});

t.test('eight rounds that are all slower are a difference; eight that vary both ways are none', (t) => {
  const first = [100, 120, 90, 300, 110, 95, 105, 100];
  const slower = compare(
    first,
    first.map((value, index) => value * (1.1 + index / 100)),
  );
  t.match(slower, { p: 2 / 2 ** 8 });
  t.ok(slower.ratio > 1.1 && slower.ratio < 1.18);
  t.equal(verdictOf(slower, 0.02), 'larger');
  t.equal(verdictOf(compare(first, first), 0.02), 'no difference shown');
  t.equal(
    verdictOf(
      compare(
        first,
        first.map((value, index) => value * (index % 2 ? 1.1 : 0.9)),
      ),
      0.02,
    ),
    'no difference shown',
  );
  t.equal(
    verdictOf(
      compare(
        first,
        first.map((value) => value * 1.01),
      ),
      0.02,
    ),
    'no difference shown',
    'sure, and too small',
  );
  t.equal(
    verdictOf(
      compare(
        first,
        first.map((value) => value / 2),
      ),
      0.02,
    ),
    'smaller',
  );
  t.end();
});

t.test('the probability of a known case: the smallest of six against the others', (t) => {
  // Ranks 1 to 6, rank 1 negative: sum 19 of 21; with all positive (21) and both mirrored that is 4 of 64 patterns.
  const { p } = compare([1, 1, 1, 1, 1, 1], [0.99, 1.02, 1.03, 1.04, 1.05, 1.06]);
  t.equal(p, 4 / 64);
  t.end();
});

t.test('exchanging the two gives the inverse ratio and the same probability', (t) => {
  const values = fc.array(fc.double({ min: 0.1, max: 1000, noNaN: true }), { minLength: 6, maxLength: 8 });
  fc.assert(
    fc.property(values, fc.infiniteStream(fc.double({ min: 0.5, max: 2, noNaN: true })), (first, factors) => {
      const second = first.map((value) => value * factors.next().value!);
      const [there, back] = [compare(first, second), compare(second, first)];
      return Math.abs(there.ratio * back.ratio - 1) < 1e-9 && there.p === back.p;
    }),
  );
  t.end();
});
