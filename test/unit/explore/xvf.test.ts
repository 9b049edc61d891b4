// Both frontends beside xen-vhost-frontend, in every order of steps without a fault, under both cores; on real processes:
// test/long/pairings.test.ts.
import t from 'tap';
import { Search } from '../../../explore/search.js';
import { type BackendName, type FrontendName, modelOf } from '../../../explore/settings.js';
import { linesOf } from '../../../explore/telling.js';
import { parseState } from '../../../lib/xenbus/keys.js';
import { CORE_VERSIONS } from '../../../services/guest/core-rules.js';
import { longTest } from '../../../testkit/tier.js';

/** Every pair of states at rest, frontend first, and what is wrong. */
async function restsOf(frontend: FrontendName, backend: BackendName, core: (typeof CORE_VERSIONS)[number]) {
  const none = { faults: 0, kinds: [], copies: 1, transactions: 'whole' } as const;
  const model = await modelOf({ frontend, backend, core, ...none });
  const rests = new Set<string>();
  const judge = model.judgeRest.bind(model);
  model.judgeRest = (world) => {
    const { frontState, backState } = model.paths;
    rests.add([frontState, backState].map((path) => parseState(world.store.nodes[path] ?? '')).join('/'));
    return judge(world);
  };
  const search = new Search(model);
  const { found, whole } = search.run({ statesMax: 100_000, violationsMax: 100 }, () => 0);
  return { rests: [...rests].sort(), search, found, whole };
}

for (const core of CORE_VERSIONS) {
  const tier = () => (core === '6.12' ? {} : longTest());
  t.test(
    `the patch as posted under ${core}: connects where the backend looked first, and rests at 3/2 where it did not`,
    async (t) => {
      const { rests, search, found, whole } = await restsOf('rfc1', 'xvf', core);
      t.same([rests, whole], [['3/2', '4/4'], true]);
      t.same(
        found.map(({ violation }) => violation.property),
        ['recovery'],
      );
      // The backend reads a frontend that is past 1.
      const last = linesOf(search.explain(found[0]!), search.model.paths).filter(({ to }) => to === 'backend');
      t.match(last.at(-1)?.text, /FE\/state=3/);
    },
  );

  t.test(`the reviewed frontend under ${core}: neither end takes the other for one of its own`, tier(), async (t) => {
    const { rests, whole } = await restsOf('review', 'xvf', core);
    t.same([rests, whole], [['1/1'], true]);
  });

  t.test(`66ee282 itself under ${core}: no frontend comes to 4, as it writes no state but 2`, tier(), async (t) => {
    const outcomes = [await restsOf('rfc1', 'xvf-arm', core), await restsOf('review', 'xvf-arm', core)];
    t.same(
      outcomes.map(({ rests, whole }) => [rests, whole]),
      [
        [['3/2'], true],
        [['1/1'], true],
      ],
    );
  });
}
