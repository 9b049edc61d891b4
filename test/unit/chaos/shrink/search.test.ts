import t from 'tap';
import { type ChaosCase, caseOf, faultsOf, formatCase, parseCase } from '../../../../chaos/case.js';
import { minimal, slide, type Trial } from '../../../../chaos/shrink/search.js';
import { parseInstance } from '../../../../lib/trace/instances.js';

const POINTS = Array.from({ length: 100 }, (_, at) => parseInstance(`xenstored:store.commit(${at})#1`));
const at = (index: number): ChaosCase => parseCase(`xenstored:store.commit(${index})#1/KILL vhost-gpu/restart`);
const placeOf = (chaosCase: ChaosCase): number => Number(faultsOf(chaosCase).at(-1)!.at.label);

/** Counts what is tried. */
function trying(judge: (chaosCase: ChaosCase) => Trial) {
  const tried: string[] = [];
  return {
    tried,
    attempt: async (chaosCase: ChaosCase): Promise<Trial> => {
      tried.push(formatCase(chaosCase));
      return judge(chaosCase);
    },
  };
}

t.test('faults that a failure does not need are left out, those that it needs together stay', async (t) => {
  const list = caseOf([at(1), at(2), at(3), at(4)].flatMap(faultsOf));
  const needs = (...places: number[]) =>
    trying((chaosCase) => {
      const there = faultsOf(chaosCase).map((each) => Number(each.at.label));
      return places.every((place) => there.includes(place)) ? 'fails' : 'passes';
    });
  t.same(await minimal(list, needs(3).attempt), at(3));
  t.same(await minimal(list, needs(2, 4).attempt), caseOf([at(2), at(4)].flatMap(faultsOf)));
  t.same(await minimal(list, needs(1, 2, 3, 4).attempt), list);
  const single = needs(1);
  t.same(await minimal(at(1), single.attempt), at(1));
  t.same(single.tried, [], 'one fault alone is minimal');
});

t.test('the last point that passes and the first that fails are found, wherever they are', async (t) => {
  for (const first of [1, 2, 50, 98, 99]) {
    const { attempt, tried } = trying((chaosCase) => (placeOf(chaosCase) >= first ? 'fails' : 'passes'));
    const { fails, passes, between } = await slide(at(99), POINTS, attempt, 24);
    t.equal(placeOf(fails), first);
    t.equal(placeOf(passes!), first - 1);
    t.equal(between, 0);
    t.ok(tried.length <= 9, `${tried.length} cases`);
    t.notOk(tried.includes(formatCase(at(99))), 'what is known to fail is not run again');
  }
  const list = caseOf([at(7), at(40)].flatMap(faultsOf));
  const { fails } = await slide(list, POINTS, trying((each) => (placeOf(each) > 20 ? 'fails' : 'passes')).attempt, 24);
  t.same(fails, caseOf([at(7), at(21)].flatMap(faultsOf)), 'the faults before it stay');
});

t.test('a failure from the first point on has no point that passes', async (t) => {
  const { attempt, tried } = trying(() => 'fails');
  t.same(await slide(at(60), POINTS, attempt, 24), { fails: at(0), between: 0 });
  t.equal(tried.length, 1);
  t.same(await slide(at(0), POINTS, attempt, 24), { fails: at(0), between: 0 });
  const foreign = parseCase('vhost-gpu:gpu.flush(x)#1/KILL vhost-gpu/restart');
  t.same(await slide(foreign, POINTS, attempt, 24), { fails: foreign, between: 0 }, 'a point that no run passes stays');
});

t.test('points without a verdict are passed over and counted; the number of cases is bounded', async (t) => {
  const unknown = new Set([0, 1, 40, 41, 42, 43, 44, 45]);
  const { attempt } = trying((chaosCase) =>
    unknown.has(placeOf(chaosCase)) ? 'unknown' : placeOf(chaosCase) > 42 ? 'fails' : 'passes',
  );
  const { fails, passes, between } = await slide(at(99), POINTS, attempt, 100);
  t.same([placeOf(passes!), placeOf(fails), between], [39, 46, 6]);

  const never = trying(() => 'unknown');
  const open = await slide(at(99), POINTS, never.attempt, 10);
  t.same(open, { fails: at(99), between: 0 });
  t.ok(never.tried.length <= 10, `${never.tried.length} cases`);
});
