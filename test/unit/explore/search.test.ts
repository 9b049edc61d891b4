// A small whole search of the reviewed protocol: no order of steps breaks a rule, a wrong row is found, and what makes searches
// smaller leaves nothing out.
import t from 'tap';
import { reviewBackend } from '../../../explore/back.js';
import { FAULT_KINDS, type FaultKind } from '../../../explore/faults.js';
import { reviewDriver } from '../../../explore/front-review.js';
import { Model, type Options } from '../../../explore/model.js';
import { caught, mutations } from '../../../explore/mutations.js';
import { type Result, Search } from '../../../explore/search.js';
import { WITHSTOOD } from '../../../explore/settings.js';
import { chaosCase, diagram, linesOf, mermaid, WIDTH_MAX } from '../../../explore/telling.js';
import { recordAttach } from '../../../explore/tool.js';
import { XenbusState as S } from '../../../lib/layout/xenbus.js';
import { BACK_REVIEW } from '../../../lib/xenbus/backend.js';
import { FRONT_REVIEW } from '../../../lib/xenbus/frontend.js';
import { REVIEW } from '../../../lib/xenbus/protocol.js';
import { CORE_VERSIONS, CORES } from '../../../services/guest/core-rules.js';
import { longTest, tries } from '../../../testkit/tier.js';

const ATTACH = await recordAttach('virtio-mmio');
const BASE: Options = {
  protocol: REVIEW,
  core: CORES['7.2'],
  driver: reviewDriver(),
  backend: reviewBackend(),
  attach: ATTACH,
  mode: 'whole',
  faults: 0,
  kinds: [],
};
const SMALL: readonly FaultKind[] = ['kill-backend', 'kill-guest', 'refuse-frontend', 'refuse-backend'];

/** Searches of these without what makes searches smaller take seconds. */
const LARGE: ReadonlySet<FaultKind> = new Set(['late', 'reattach', 'replace', 'reset']);

function search(options: Partial<Options>, violationsMax = 1): { search: Search; result: Result } {
  const made = new Search(new Model({ ...BASE, ...options }));
  return { search: made, result: made.run({ statesMax: 1_000_000, violationsMax }, () => performance.now()) };
}
const said = ({ found }: Result): string[] => found.map(({ violation }) => `${violation.property}: ${violation.text}`);

for (const version of CORE_VERSIONS) {
  t.test(`review under ${version}: one fault of any kind, anywhere, breaks no rule`, async (t) => {
    const { result } = search({ core: CORES[version], faults: 1, kinds: WITHSTOOD[version] });
    t.same([said(result), result.whole], [[], true]);
    t.ok(result.states > 3000, `${result.states} states`);
    t.ok(result.rests > 10, `${result.rests} at rest`);
  });
}

/**
 * States at rest, without the number that a search gives them, and without error keys: a process that is killed between what was
 * refused and its error key leaves none.
 */
function restsOf(options: Partial<Options>): { rests: string[]; said: string[]; states: number } {
  const model = new Model({ ...BASE, ...options });
  const rests = new Set<string>();
  const judge = model.judgeRest.bind(model);
  model.judgeRest = (world) => {
    const { nodes, watches, ...store } = world.store;
    const set = watches.map((watch) => JSON.stringify(watch)).sort();
    const keys = Object.entries(nodes).filter(([path]) => !/\/error(\/|$)/.test(path));
    const text = JSON.stringify([keys.sort(), set, store, { ...world, store: 0 }]);
    rests.add(text.replace(',"errorWritten":true', ''));
    return judge(world);
  };
  const result = new Search(model).run({ statesMax: 1_000_000, violationsMax: 20 }, () => performance.now());
  return { rests: [...rests].sort(), said: said(result).sort(), states: result.states };
}

t.test(
  'requests joined to the step before them leave out no state at rest, and no violation',
  longTest(),
  async (t) => {
    const { rest } = FRONT_REVIEW;
    const wrong = { ...BACK_REVIEW, own: { ...BACK_REVIEW.own, closing: BACK_REVIEW.own.closed } };
    const cases: readonly Partial<Options>[] = [
      ...FAULT_KINDS.filter((kind) => tries(0, 1) || !LARGE.has(kind)).map((kind) => ({ faults: 1, kinds: [kind] })),
      { faults: 1, kinds: ['detach', 'kill-toolstack'] },
      { faults: 2, kinds: ['kill-backend', 'refuse-backend'] },
      { faults: 1, kinds: ['detach'], backend: reviewBackend(wrong) },
      { faults: 1, kinds: SMALL, driver: reviewDriver({ ...FRONT_REVIEW, rest: { ...rest, connected: rest.closed } }) },
    ];
    let broken = 0;
    for (const options of cases) {
      const [joined, exact] = [false, true].map((exact) => restsOf({ ...options, exact }));
      t.ok(joined!.rests.join() === exact!.rests.join(), `${options.kinds}: ${joined!.rests.length} states at rest`);
      t.same(joined!.said, exact!.said);
      t.ok(joined!.states < exact!.states, `${joined!.states} and ${exact!.states} states`);
      broken += joined!.said.length;
    }
    t.ok(broken > 0, `${broken} violations compared`);
  },
);

t.test('a transaction as one step leaves out no state at rest, and no violation', async (t) => {
  const broken = { ...FRONT_REVIEW.rest.published, [S.Connected]: 'stay' } as const;
  const driver = reviewDriver({ ...FRONT_REVIEW, rest: { ...FRONT_REVIEW.rest, published: broken } });
  for (const options of [{}, { driver }]) {
    const [whole, steps] = (['whole', 'steps'] as const).map((mode) => search({ ...options, mode }, 10).result);
    t.same([said(whole!), whole!.rests], [said(steps!), steps!.rests]);
    t.ok(steps!.states > whole!.states, `${whole!.states} and ${steps!.states} states`);
  }
});

t.test('a wrong row is found, and told', async (t) => {
  const { rest, work } = FRONT_REVIEW;
  const wrong: Record<string, Partial<Options>> = {
    'a frontend that ignores 2': {
      driver: reviewDriver({ ...FRONT_REVIEW, rest: { ...rest, waiting: { ...rest.waiting, [S.InitWait]: 'stay' } } }),
    },
    'a frontend that keeps its port': {
      driver: reviewDriver({
        ...FRONT_REVIEW,
        work: { ...work, releasing: { ...work.releasing, effect: () => undefined } },
      }),
    },
    'a backend that answers registers too late': {
      backend: reviewBackend({
        ...BACK_REVIEW,
        work: {
          ...BACK_REVIEW.work,
          binding: { ...BACK_REVIEW.work.binding, done: (state) => ({ ...state, phase: 'confirming' }) },
        },
      }),
    },
  };
  for (const [name, options] of Object.entries(wrong)) {
    const { search: made, result } = search({ ...options, faults: 1, kinds: ['kill-backend'] });
    t.ok(result.found.length > 0, `${name}: ${said(result)}`);
    const found = result.found[0]!;
    const lines = linesOf(made.explain(found), made.model.paths);
    t.ok(
      diagram(lines)
        .split('\n')
        .every((row) => row.length <= WIDTH_MAX),
      'fits a mail',
    );
    t.match(diagram(lines), /FE\/state=1/);
    t.match(mermaid(lines), /^sequenceDiagram\n/);
  }
});

t.test('a search that was cut short proves nothing', async (t) => {
  const made = new Search(new Model({ ...BASE, faults: 1, kinds: SMALL }));
  const result = made.run({ statesMax: 500, violationsMax: 1 }, () => performance.now());
  t.same([result.whole, result.bound], [false, '500 states']);
});

t.test('a path with a death is a case: by what the dead one wrote last, or would have written next', async (t) => {
  const { work } = BACK_REVIEW;
  const backend = reviewBackend({
    ...BACK_REVIEW,
    rest: { ...BACK_REVIEW.rest, found: BACK_REVIEW.rest.closed },
    work,
  });
  const { search: made, result } = search({ backend, faults: 1, kinds: ['kill-backend'] });
  t.match(
    chaosCase(made, result.found[0]!),
    /^vhost-frontend:(store\.request\(write .+\)|back\.state-written\(.+\))#\d+\/KILL vhost-frontend\/restart$/,
  );
});

t.test('mutations: only what a search comes to is changed, and it notices most of it', async (t) => {
  const bounds = { statesMax: 20_000, violationsMax: 1 };
  const options: Options = { ...BASE, faults: 0, kinds: [] };
  const all = mutations(options, bounds);
  const survivors = all.filter((mutation) => !caught(options, mutation, bounds)).map(({ name }) => name);
  t.ok(all.length > 20, `${all.length} mutations`);
  t.ok(!all.some(({ name }) => name.includes('[7]')), 'no state that nothing writes');
  t.ok(
    all.some(({ name }) => name.startsWith('front rest waiting[2]')) &&
      !survivors.includes('front rest waiting[2] sizing -> stay'),
  );
  t.ok(survivors.length * 2 < all.length, `${survivors.length} of ${all.length}: ${survivors.join('; ')}`);
});
