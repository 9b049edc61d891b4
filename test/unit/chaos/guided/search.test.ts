import t from 'tap';
import { formatCase } from '../../../../chaos/case.js';
import type { CaseResult } from '../../../../chaos/engine.js';
import { GuidedSearch, type SearchSettings } from '../../../../chaos/guided/search.js';
import { curveLines, guidedWords } from '../../../../chaos/report/guided.js';
import { parseInstance } from '../../../../lib/trace/instances.js';
import { POINT } from '../../../../lib/trace/points.js';

const POINTS = Array.from({ length: 60 }, (_, at) => parseInstance(`xenstored:store.commit(${at})#1`));

const search = (settings: Partial<SearchSettings> = {}): GuidedSearch =>
  new GuidedSearch(POINTS, {
    ...{ bound: 2, seed: 5, budget: { cases: 40 }, now: () => 0, faults: ['KILL', 'STOP'], restarts: ['restart'] },
    ...{ victims: ['vhost-gpu', 'xenstored', 'hypervisor'], ...settings },
  });

/** A run of which `held` resources are the behaviour. */
const result = (held: number): CaseResult => ({
  ...{
    outcome: 'pass',
    violations: [],
    ms: 1,
    moments: [{ faultNs: 5n, healedNs: 6n }],
    storyEndNs: 9n,
    endNs: 9n,
    breaches: [],
  },
  records: Array.from({ length: held }, (_, index) => ({
    ...{ process: 'hypervisor', incarnation: 1, index, ns: 1n, point: POINT[KINDS[index % KINDS.length]!], label: '' },
    ...{ occurrence: 1, a: 0, b: 0, domid: undefined, flow: 0, sender: 0 },
  })),
});
const KINDS = ['port.take', 'range.take', 'pages.take', 'grants.take', 'domain.take', 'ioreq-server.take'] as const;

/** Runs with so many labs, of which each answers after the others. */
async function all(of: GuidedSearch, labs: number, behaviour: (index: number) => number): Promise<string[]> {
  const found: string[] = [];
  const lab = async (number: number): Promise<void> => {
    for (let next = await of.next(); next !== undefined; next = await of.next()) {
      const { index, case: chaosCase } = next;
      found[index] = formatCase(chaosCase);
      for (let turn = 0; turn < number; turn++) await Promise.resolve();
      of.took(index, result(behaviour(index)));
    }
  };
  await Promise.all(Array.from({ length: labs }, (_, number) => lab(number)));
  return found;
}

t.test('which lists are run does not depend on how many labs run them, nor on which is faster', async (t) => {
  const alone = await all(search(), 1, (index) => index % 13);
  t.equal(alone.length, 40);
  t.same(await all(search(), 3, (index) => index % 13), alone);
  t.notSame(await all(search(), 3, () => 1), alone, 'what they show counts');
  t.notSame(await all(search({ seed: 6 }), 1, (index) => index % 13), alone);
});

t.test('it ends with its budget, with its time, or when nothing new comes', async (t) => {
  const byCount = search();
  await all(byCount, 2, (index) => index % 13);
  t.match(byCount.summary(), { lists: 40, end: 'budget', behaviours: 13, curve: [13] });

  let now = 0;
  const byTime = search({ budget: { ms: 10 }, now: () => now++ });
  const some = await all(byTime, 1, () => 1);
  t.equal(byTime.summary().end, 'budget');
  t.equal(byTime.summary().lists, some.length, 'what was given out is counted');

  const flat = search({ budget: { cases: 5000 } });
  const lists = await all(flat, 2, () => 1);
  const summary = flat.summary();
  t.equal(summary.end, 'flat');
  t.ok(lists.length >= 100 && lists.length < 200, `${lists.length} lists`);
  t.equal(curveLines(summary).length, summary.curve.length);
  t.match(guidedWords(summary).join(' '), /saw 1 distinct behaviours; it ended because/);
});
