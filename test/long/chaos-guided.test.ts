// `xenwire chaos --bound 2` as a user runs it: a short search passes, says what it saw, and is amber, because so few lists do not
// come to every move of the protocol's table.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { faultsOf, parseCase } from '../../chaos/case.js';
import { parseResult } from '../../chaos/results.js';
import { EXIT } from '../../lib/node/process/cli.js';
import { leftovers, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const DEADLINE_MS = 300_000;
const LISTS = 30;

t.test('a short search for lists of two faults', { timeout: DEADLINE_MS }, async (t) => {
  const runDir = temporaryLabDir(t);
  const [out, html] = [join(runDir, '..', 'out.json'), join(runDir, '..', 'out.html')];
  const args = ['--bound', '2', '--budget', String(LISTS), '--seed', '3', '--jobs', '2', '--twice-every', '0'];
  const run = startXenwire(t, ['chaos', ...args, '--out', out, '--html', html, '--run-dir', runDir]);
  const status = await run.ended(DEADLINE_MS);
  const { judged, guided, seed } = parseResult(readFileSync(out, 'utf8'), out);
  // As in the slice of single faults: a case whose runs differ has no verdict, is shown, and may be there now and then.
  const unjudged = judged.filter(({ outcome }) => outcome === 'harness');
  for (const { case: text, trouble, runs } of unjudged) t.comment(`${text}: ${trouble} (${runs.join(', ')})`);
  t.ok(unjudged.length <= 1, `${unjudged.length} lists without a verdict`);
  t.same(
    judged
      .filter(({ outcome }) => outcome === 'broken' || outcome === 'wedged')
      .map((each) => [each.case, each.violations]),
    [],
  );
  t.equal(status, unjudged.length > 0 ? EXIT.FAILED : EXIT.AMBER, run.lines.join('\n'));
  t.equal(seed, 3);
  t.equal(guided?.lists, LISTS);
  t.equal(judged.length + guided!.partly, LISTS, 'every list was judged, or came about in part only');
  t.ok(
    judged.some((each) => faultsOf(parseCase(each.case)).length === 2),
    'lists were made of what the first ones showed',
  );
  t.ok(guided!.behaviours >= 5, `${guided!.behaviours} behaviours`);
  t.ok(guided!.never.length > 0 && guided!.never.length < guided!.moves);
  t.match(run.lines.join('\n'), /xenwire \S+ chaos, list of points \S+, seed 3/);
  t.match(readFileSync(html, 'utf8'), /What the search saw/);
  t.same(
    leftovers(runDir).filter((name) => !/^file out\.(json|html)$/.test(name)),
    [],
  );
});

t.test("a search's mistakes are one sentence and status 2", async (t) => {
  const WRONG = [
    ['--bound', '9'],
    ['--bound', '0'],
    ['--budget', '10'],
    ['--bound', '2', '--budget', '10 minutes'],
    ['--bound', '2', '--sample', '3'],
    ['--bound', '2', '--list'],
  ];
  for (const args of WRONG) {
    const { status, stderr, stdout } = await xenwire(t, ['chaos', ...args]);
    t.equal(status, EXIT.USAGE, args.join(' '));
    t.match(stderr, /^xenwire[^\n]+\n?$/);
    t.equal(stdout, '');
  }
});
