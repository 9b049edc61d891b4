// What Linux's dom0 leaves of a dead backend, in every pairing of ends that can connect: a guest that waits for ever is what comes of
// it, and nothing else does; test/long/pairings.test.ts has the same on real processes.
import t from 'tap';
import { Search } from '../../../explore/search.js';
import { modelOf, WITHSTOOD } from '../../../explore/settings.js';
import type { Dom0Mode } from '../../../lib/core/dom0-modes.js';
import { CORE_VERSIONS, type CoreVersion } from '../../../services/guest/core-rules.js';
import { longTest } from '../../../testkit/tier.js';

const FIXED = { faults: 1, copies: 1, transactions: 'whole' } as const;
const PAIRINGS = [
  ['review', 'review'],
  ['rfc1', 'review'],
  ['rfc1', 'xvf'],
] as const;
type Pairing = (typeof PAIRINGS)[number];

async function killed([frontend, backend]: Pairing, core: CoreVersion, dom0: Dom0Mode) {
  const kinds = ['kill-backend'] as const;
  const search = new Search(await modelOf({ ...FIXED, frontend, backend, core, dom0, kinds }));
  const { wedged, found, whole } = search.run({ statesMax: 100_000, violationsMax: 100 }, () => 0);
  return { wedged, whole, properties: new Set(found.map(({ violation }) => violation.property)) };
}

/** The first tier has one of them. */
const tierOf = ([frontend, backend]: Pairing, core: CoreVersion) =>
  frontend === 'review' && backend === 'review' && core === '6.12' ? {} : longTest();

for (const pairing of PAIRINGS) {
  for (const core of CORE_VERSIONS) {
    t.test(
      `frontend ${pairing[0]} beside ${pairing[1]} under ${core}: wedged by Linux's dom0 alone`,
      tierOf(pairing, core),
      async (t) => {
        const [fixed, linux] = [await killed(pairing, core, 'fixed'), await killed(pairing, core, 'linux')];
        t.same([fixed.whole, linux.whole, fixed.wedged], [true, true, 0]);
        t.ok(linux.wedged > 0, `${linux.wedged} at rest`);
        // What else is wrong beside a dom0 that leaves nothing is wrong there too, and nothing besides.
        for (const property of linux.properties) t.ok(fixed.properties.has(property), property);
      },
    );
  }
}

for (const core of CORE_VERSIONS) {
  t.test(
    `review under ${core}, any one fault: a guest that is not wedged by Linux's dom0 recovers`,
    longTest(),
    async (t) => {
      const ends = { frontend: 'review', backend: 'review' } as const;
      const search = new Search(await modelOf({ ...FIXED, ...ends, core, dom0: 'linux', kinds: WITHSTOOD[core] }));
      const { found, whole, wedged } = search.run({ statesMax: 1_000_000, violationsMax: 1 }, () => 0);
      t.same([found.map(({ violation }) => violation), whole], [[], true]);
      t.ok(wedged > 0);
    },
  );
}
