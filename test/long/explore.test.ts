// The larger whole searches of the reviewed protocol: two faults of kinds that both cores withstand. docs/explore.md says what the
// searches beyond them have shown.
import t from 'tap';
import type { FaultKind } from '../../explore/faults.js';
import { Search } from '../../explore/search.js';
import { modelOf } from '../../explore/settings.js';
import { CORE_VERSIONS, type CoreVersion } from '../../services/guest/core-rules.js';

const STATES_MAX = 10_000_000;
const TWICE: readonly FaultKind[] = ['kill-backend', 'kill-guest', 'kill-toolstack', 'detach', 'late'];

async function search(core: CoreVersion, faults: number, kinds: readonly FaultKind[]) {
  const fixed = { frontend: 'review', backend: 'review', copies: 1, transactions: 'whole' } as const;
  const made = new Search(await modelOf({ ...fixed, core, faults, kinds }));
  return made.run({ statesMax: STATES_MAX, violationsMax: 1 }, () => performance.now());
}

for (const core of CORE_VERSIONS) {
  t.test(`two faults under ${core}, whole: ${TWICE.join(', ')}`, async (t) => {
    const { found, whole, states, ms } = await search(core, 2, TWICE);
    t.same([found.map(({ violation }) => violation), whole], [[], true]);
    t.comment(`${states} states in ${Math.round(ms / 1000)} s`);
  });
}
