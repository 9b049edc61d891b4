import t from 'tap';
import { judgedCase } from '../../../chaos/campaign.js';
import { parseCase } from '../../../chaos/case.js';
import type { CaseResult, Outcome } from '../../../chaos/engine.js';
import { junitReport } from '../../../chaos/report/junit.js';
import { textReport } from '../../../chaos/report/text.js';
import { type CampaignResult, type JudgedCase, merge, parseResult, RESULT_FORMAT } from '../../../chaos/results.js';
import { UserError } from '../../../lib/core/errors.js';

const CASES = ['KILL', 'STOP', 'TERM'].map((fault) => `guest-gpu-guest:guest.frame#1/${fault} vhost-gpu/restart`);

const judged = (index: number, outcome: Outcome): JudgedCase => ({
  ...{ case: CASES[index]!, outcome, ms: 700, recoveryMs: 90, runs: [outcome] },
  violations: outcome === 'pass' ? [] : [{ check: 'picture', what: `<&> ${'long '.repeat(30)}` }],
});

const result = (...some: readonly JudgedCase[]): CampaignResult => ({
  ...{ format: RESULT_FORMAT, version: '1', catalogue: 'c', seed: 7, shard: { index: 1, count: 1 } },
  planned: CASES,
  judged: some,
});

t.test('shards join to the whole; what is missing or there twice is said, and a failure counts before a pass', (t) => {
  const {
    result: joined,
    missing,
    doubled,
  } = merge([result(judged(2, 'pass'), judged(0, 'pass')), result(judged(0, 'broken'))]);
  t.same(missing, [CASES[1]]);
  t.same(doubled, [CASES[0]]);
  t.same(
    joined.judged.map(({ outcome }) => outcome),
    ['broken', 'pass'],
    'in the order of the plan',
  );
  t.throws(() => merge([result(), { ...result(), planned: CASES.slice(1) }]), UserError);
  t.end();
});

t.test('a file of results comes back, and anything else is refused', (t) => {
  const whole = result(judged(0, 'wedged'));
  t.same(parseResult(JSON.stringify(whole), 'file'), whole);
  for (const text of [
    '',
    '{}',
    'null',
    '[]',
    JSON.stringify({ ...whole, format: 'another' }),
    JSON.stringify({ ...whole, judged: [{}] }),
  ]) {
    t.throws(() => parseResult(text, 'file'), UserError, text);
  }
  t.end();
});

t.test('the report keeps to 72 columns but for replay lines, and says how many of how many', (t) => {
  const lines = textReport(result(judged(0, 'pass'), judged(1, 'broken')));
  t.same(
    lines.filter((line) => line.length > 72 && !line.startsWith('xenwire replay ')),
    [],
  );
  const text = lines.join('\n');
  t.match(text, /2 of 3 run, 1 skipped: 1 pass, 1 F/);
  t.match(text, /^A case is one life|one machine/m, 'it says what a case is');
  t.match(text, /^KILL +SIGKILL, then a replacement$/m);
  t.match(text, /^F .* There/m, 'a failure in words');
  t.ok(lines.includes(`xenwire replay '${CASES[1]}'`));
  const xml = junitReport(result(judged(1, 'broken'), judged(2, 'harness')));
  t.match(xml, /tests="2" failures="1" errors="1"/);
  t.match(xml, /&lt;&amp;&gt;/);
  t.end();
});

const run = (outcome: Outcome, ms = 1): CaseResult => ({
  ...{ outcome, ms, moments: [], records: [], breaches: [], endNs: 1n },
  violations: outcome === 'pass' ? [] : [{ check: 'picture', what: `after ${ms} ms` }],
});

t.test('what is said of a case is all of one run: the last that failed', (t) => {
  const { ms, violations, exhibit, trouble } = judgedCase(parseCase(CASES[0]!), [run('broken', 8), run('pass', 2)]);
  t.same([ms, violations[0]?.what, exhibit?.run], [8, 'after 8 ms', 1]);
  t.match(trouble, /^it failed in a lab that had served other cases/);
  const twice = judgedCase(parseCase(CASES[0]!), [run('broken', 8), run('harness', 3), run('broken', 5)]);
  t.same([twice.ms, twice.violations[0]?.what, twice.exhibit?.run, twice.trouble], [5, 'after 5 ms', 3, undefined]);
  const missed = judgedCase(parseCase(CASES[0]!), [{ ...run('harness', 9), trouble: 'not passed' }, run('pass', 2)]);
  t.same(
    [missed.outcome, missed.ms, missed.violations, missed.trouble],
    ['pass', 2, [], undefined],
    'its point was missed once',
  );
  const late = judgedCase(parseCase(CASES[0]!), [run('pass', 2), run('wedged', 8)]);
  t.match(late.trouble, /^it passed in a lab that had served other cases, and failed in a fresh one/);
  t.end();
});

t.test(
  'runs that differ are no verdict; a run that did not come to its point is none either, and does not count',
  (t) => {
    const outcome = (...runs: readonly Outcome[]) => judgedCase(parseCase(CASES[0]!), runs.map(run)).outcome;
    t.equal(outcome('pass'), 'pass');
    t.equal(outcome('pass', 'broken'), 'harness');
    t.equal(outcome('broken', 'pass'), 'harness');
    t.equal(outcome('broken', 'wedged'), 'wedged');
    t.equal(outcome('harness', 'pass'), 'pass');
    t.equal(outcome('harness', 'harness', 'harness'), 'harness');
    t.end();
  },
);
