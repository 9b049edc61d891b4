// Two scenarios that need more than a plain life: guests beside the one of the case, and a frontend as Windows' is. All others are run by
// test/sweep/scenarios.test.ts.
import t from 'tap';
import { SCENARIO_DEADLINE_MS, scenarioPasses } from '../fixtures/scenario.js';

for (const name of ['server-crash-three-guests', 'closes-first'])
  t.test(`scenario ${name} passes`, { timeout: SCENARIO_DEADLINE_MS }, (t) => scenarioPasses(t, name));
