// A slice of the campaign for continuous integration: KILL, STOP and TERM of all processes at points that a seed chooses, about
// three minutes on two cores. No rule is broken and nothing is wedged. A case that gives no verdict was run three times; it is
// shown, and few may be.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { countOutcomes, parseResult } from '../../chaos/results.js';
import { leftovers, startXenwire, temporaryLabDir } from '../fixtures/lab.js';

const SLICE = { cases: 120, seed: 10 } as const;
const UNJUDGED_MAX = 2;
const DEADLINE_MS = 800_000;

t.test('a seeded slice of all cases passes', { timeout: DEADLINE_MS }, async (t) => {
  const runDir = temporaryLabDir(t);
  const out = join(runDir, '..', 'slice.json');
  const run = startXenwire(t, [
    ...['chaos', '--sample', String(SLICE.cases), '--seed', String(SLICE.seed), '--jobs', '2', '--twice-every', '60'],
    ...['--out', out, '--run-dir', runDir],
  ]);
  await run.ended(DEADLINE_MS);
  const { judged, planned } = parseResult(readFileSync(out, 'utf8'), out);
  t.equal(planned.length, SLICE.cases);
  t.equal(judged.length, SLICE.cases, 'every case was run');
  const counts = countOutcomes(judged);
  t.comment(JSON.stringify(counts));
  const notPassed = judged.filter(({ outcome }) => outcome !== 'pass');
  for (const { case: text, outcome, violations, trouble, runs } of notPassed) {
    t.comment(`${outcome} (${runs.join(', ')}): ${text}: ${trouble ?? JSON.stringify(violations)}`);
  }
  t.same(
    notPassed.filter(({ outcome }) => outcome !== 'harness').map((each) => each.case),
    [],
    'no rule is broken, and nothing is wedged',
  );
  t.ok(counts.harness <= UNJUDGED_MAX, `${counts.harness} cases without a verdict`);
  t.same(
    leftovers(runDir).filter((name) => !name.endsWith('.json')),
    [],
  );
});
