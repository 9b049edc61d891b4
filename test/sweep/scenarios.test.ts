// All scenarios, each with all of its cases.
import t from 'tap';
import { scenarioNames } from '../../chaos/scenario.js';
import { SCENARIO_DEADLINE_MS, scenarioPasses } from '../fixtures/scenario.js';

for (const name of scenarioNames())
  t.test(`scenario ${name} passes`, { timeout: SCENARIO_DEADLINE_MS }, (t) => scenarioPasses(t, name));
