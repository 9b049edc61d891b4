// The words in which runs are asked for and answered.
import fc from 'fast-check';
import t from 'tap';
import {
  formatAnswer,
  formatRun,
  LATENCY_COUNT_MAX,
  LOADS,
  parseAnswer,
  parseRun,
} from '../../../lib/trace/latency-run.js';

t.test('a run survives its text', (t) => {
  const run = fc.record({
    id: fc.nat(),
    first: fc.integer({ min: 1, max: 1_000_000_000 }),
    count: fc.integer({ min: 1, max: LATENCY_COUNT_MAX }),
    load: fc.constantFrom(...LOADS),
    rate: fc.integer({ min: 1, max: 1_000_000 }),
    gapUs: fc.integer({ min: 0, max: 1_000_000 }),
  });
  fc.assert(fc.property(run, (each) => t.same(parseRun(formatRun(each)), each)));
  t.end();
});

t.test('texts that ask for nothing sensible ask for nothing', (t) => {
  const texts = [
    '',
    '1',
    '1 1 0 closed 0 0',
    '1 0 5 closed 0 0',
    '1 1 5 ajar 0 0',
    '1 1 5 open 0 0',
    '1 1 99999 closed 0 0',
  ];
  for (const text of [
    ...texts,
    '1 1 5 closed 0 -1',
    '1 1 5 closed 0 0 0',
    '1 2147483647 5 closed 0 0',
    'x 1 5 closed 0 0',
  ])
    t.equal(parseRun(text), undefined, text);
  fc.assert(
    fc.property(fc.string(), (text) => {
      parseRun(text);
      parseAnswer(text);
    }),
  );
  t.end();
});

t.test('an answer survives its text, and what is none is none', (t) => {
  const figures = { p50: 10, p99: 20, p999: 30, max: 40 };
  t.same(parseAnswer(formatAnswer({ id: 7, ok: true, figures, kicks: 5 })), { id: 7, ok: true, figures, kicks: 5 });
  const failed = { id: 7, ok: false, reason: 'there is no device' } as const;
  t.same(parseAnswer(formatAnswer(failed)), failed);
  for (const text of ['', 'x ok 1 2 3 4 5', '7 maybe', '7 ok 1 2 3']) t.equal(parseAnswer(text), undefined, text);
  t.end();
});
