// Scenarios: every file of examples/scenarios is one, and what is none is refused with file and line.
import t from 'tap';
import { parseScenario, readScenario, scenarioNames } from '../../../chaos/scenario.js';
import { UserError } from '../../../lib/core/errors.js';
import { CORE_VERSIONS } from '../../../services/guest/core-rules.js';

t.test('every scenario that comes with the program can be read', (t) => {
  t.ok(scenarioNames().length >= 9);
  for (const name of scenarioNames()) {
    const { what, cases, cores } = readScenario(name, CORE_VERSIONS);
    t.ok(what.length > 0 && cases.length > 0 && cores.length > 0, name);
  }
  t.same(readScenario('backend-crash', CORE_VERSIONS).cores, CORE_VERSIONS, 'under both xenbus cores');
  t.equal(readScenario('server-crash-three-guests', CORE_VERSIONS).companions, 2);
  t.end();
});

t.test('what is no scenario is one sentence with file and line', (t) => {
  const CASE = 'cases = [ "guest:guest.frame#1/KILL vhost-gpu/restart" ]';
  const whole = parseScenario(`what = "x"\n${CASE}`, 'file', 'x', CORE_VERSIONS);
  t.equal(whole.story, 'life');
  t.same(whole.cores, CORE_VERSIONS.slice(-1), 'one core, as a guest has by default');
  const WRONG = {
    [CASE]: /^file:1: a scenario says/,
    'what = "x"': /^file:1: a scenario has cases/,
    'what = "x"\ncases = [ "nothing" ]': /is no case/,
    [`what = "x"\ncore = "1.0"\n${CASE}`]: /^file:2: core is one of/,
    [`what = "x"\nstory = "sad"\n${CASE}`]: /^file:2: story is one of/,
    [`what = "x"\ncompanions = 9\n${CASE}`]: /^file:2: companions are 0 to 8/,
    [`what = "x"\nguests = 2\n${CASE}`]: /^file:2: guests is no setting/,
    [`what = [ "x" ]\n${CASE}`]: /^file:1: what is one value/,
  };
  for (const [text, sentence] of Object.entries(WRONG)) {
    t.throws(() => parseScenario(text, 'file', 'x', CORE_VERSIONS), UserError, text);
    t.throws(() => parseScenario(text, 'file', 'x', CORE_VERSIONS), sentence, text);
  }
  t.throws(() => readScenario('nothing', CORE_VERSIONS), UserError);
  t.end();
});
