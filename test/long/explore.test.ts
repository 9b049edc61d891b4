// The whole search that proves the reviewed protocol: two faults of every kind that a core withstands, anywhere
// (docs/explore.md). One fault is searched in the first tier (test/unit/explore/search.test.ts).
import t from 'tap';
import { Search } from '../../explore/search.js';
import { modelOf, WITHSTOOD } from '../../explore/settings.js';
import { CORE_VERSIONS } from '../../services/guest/core-rules.js';

const STATES_MAX = 10_000_000;

for (const core of CORE_VERSIONS) {
  t.test(`two faults under ${core}, whole: ${WITHSTOOD[core].join(', ')}`, async (t) => {
    const fixed = { frontend: 'review', backend: 'review', copies: 1, transactions: 'whole' } as const;
    const search = new Search(await modelOf({ ...fixed, core, faults: 2, kinds: WITHSTOOD[core] }));
    const { found, whole, states, ms } = search.run({ statesMax: STATES_MAX, violationsMax: 1 }, () =>
      performance.now(),
    );
    t.same([found.map(({ violation }) => violation), whole], [[], true]);
    t.comment(`${states} states in ${Math.round(ms / 1000)} s`);
  });
}
