// A small whole search of the reviewed protocol: no order of steps breaks a rule, a wrong row is found, and what makes searches
// smaller leaves nothing out.
import t from 'tap';
import { reviewBackend } from '../../../explore/back.js';
import type { FaultKind } from '../../../explore/faults.js';
import { reviewDriver } from '../../../explore/front-review.js';
import { Model, type Options } from '../../../explore/model.js';
import { caught, mutations } from '../../../explore/mutations.js';
import { type Result, Search } from '../../../explore/search.js';
import { chaosCase, diagram, linesOf, mermaid, WIDTH_MAX } from '../../../explore/telling.js';
import { recordAttach } from '../../../explore/tool.js';
import { XenbusState as S } from '../../../lib/layout/xenbus.js';
import { BACK_REVIEW } from '../../../lib/xenbus/backend.js';
import { FRONT_REVIEW } from '../../../lib/xenbus/frontend.js';
import { REVIEW } from '../../../lib/xenbus/protocol.js';
import { CORE_VERSIONS, CORES } from '../../../services/guest/core-rules.js';

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
/** Of one fault; those with larger searches are for `xenwire explore`, which continuous integration runs. */
const SMALL: readonly FaultKind[] = ['kill-backend', 'kill-guest', 'refuse-frontend', 'refuse-backend'];

function search(options: Partial<Options>, violationsMax = 1): { search: Search; result: Result } {
  const made = new Search(new Model({ ...BASE, ...options }));
  return { search: made, result: made.run({ statesMax: 1_000_000, violationsMax }, () => performance.now()) };
}
const said = ({ found }: Result): string[] => found.map(({ violation }) => `${violation.property}: ${violation.text}`);

for (const version of CORE_VERSIONS) {
  t.test(`review under ${version}: one death or refusal anywhere breaks no rule`, async (t) => {
    const { result } = search({ core: CORES[version], faults: 1, kinds: SMALL });
    t.same([said(result), result.whole], [[], true]);
    t.ok(result.states > 10_000, `${result.states} states`);
    t.ok(result.rests > 10, `${result.rests} at rest`);
  });
}

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

t.test('a path with a death is a case: the request that the dead one would have sent next', async (t) => {
  const { work } = BACK_REVIEW;
  const backend = reviewBackend({
    ...BACK_REVIEW,
    rest: { ...BACK_REVIEW.rest, found: BACK_REVIEW.rest.closed },
    work,
  });
  const { search: made, result } = search({ backend, faults: 1, kinds: ['kill-backend'] });
  t.match(chaosCase(made, result.found[0]!), /^vhost-frontend:store\.request\(.+\)#\d+\/KILL vhost-frontend\/restart$/);
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
