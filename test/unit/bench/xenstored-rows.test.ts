// The table of bench:xenstored: medians of turns, ratios turn by turn, bars, and daemons that cannot do everything.
import t from 'tap';
import { rowsOf, table } from '../../../bench/xenstored/rows.js';

const TURNS = [
  {
    ours: { 'test-xenstore mean': 10, rings: 5, idle: 0 },
    c: { 'test-xenstore mean': 40, rings: 10, idle: 0 },
    ocaml: { idle: 0 },
  },
  {
    ours: { 'test-xenstore mean': 60, rings: 6, idle: 0 },
    c: { 'test-xenstore mean': 80, rings: 10, idle: 0 },
    ocaml: { idle: 1 },
  },
  {
    ours: { 'test-xenstore mean': 90, rings: 7, idle: 0 },
    c: { 'test-xenstore mean': 100, rings: 10, idle: 0 },
    ocaml: { idle: 2 },
  },
];

t.test(
  'a ratio is the median of the turns, and not the ratio of medians of neighbours in different weather',
  async (t) => {
    const [mean, rings, idle] = rowsOf(TURNS);
    t.same(mean, {
      ...{ what: 'test-xenstore mean', figures: { ours: 60, c: 80 }, ratio: 0.75, ratioMin: 0.25, ratioMax: 0.9 },
      ...{ max: 0.5, met: false },
    });
    t.same(rings, { what: 'rings', figures: { ours: 6, c: 10 }, ratio: 0.6, ratioMin: 0.5, ratioMax: 0.7 });
    t.same(idle, { what: 'idle', figures: { ours: 0, c: 0, ocaml: 1 } }, 'what is near nothing has no ratio');
  },
);

t.test('a bar at its very edge is met', async (t) => {
  const at = (what: string, ours: number) => rowsOf([{ ours: { [what]: ours }, c: { [what]: 100 } }])[0]?.met;
  t.same([at('test-xenstore mean', 50), at('test-xenstore mean', 51)], [true, false]);
  t.same([at('requests a second, 16 clients', 150), at('requests a second, 16 clients', 149)], [true, false]);
});

t.test('the table has a column for each daemon that was measured, and a dash for what one cannot do', async (t) => {
  const lines = table(rowsOf(TURNS), { ours: 'ours', c: 'C daemon', ocaml: 'oxenstored', other: 'absent' }).split('\n');
  t.match(lines[0], /ours +C daemon +oxenstored +to C$/);
  t.match(lines[1], /^test-xenstore mean +60 +80 +- +0\.75 +\(0\.25-0\.90\) +at most 0\.5: MISSED$/);
  t.match(lines[3], /^idle +0 +0 +1$/);
});
