// A campaign that is interrupted, at any time, leaves no process and no file beside what it was told to write, and --resume goes on from there.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseResult } from '../../chaos/results.js';
import { retryOnChange } from '../../lib/node/process/wait.js';
import type { TestProcess } from '../../testkit/processes.js';
import { leftovers, startXenwire, temporaryLabDir } from '../fixtures/lab.js';

const CASES = [1, 2, 3].map((count) => `guest:exit.leave#${count * 5}/STOP vhost-gpu/restart`);
const DEADLINE_MS = 120_000;

interface Interrupted {
  readonly title: string;
  readonly signal: NodeJS.Signals;
  readonly args: (list: string) => readonly string[];
  readonly resumes?: boolean;
  /** Resolves when the signal is to be sent. */
  readonly moment: (run: TestProcess, runDir: string) => Promise<unknown>;
}

/** A lab of the campaign is there: its run directory is claimed. */
const claimed = (path: string): Promise<unknown> =>
  retryOnChange(`${path}.up`, () => existsSync(`${path}.up`) || undefined, AbortSignal.timeout(DEADLINE_MS));

const WHEN: readonly Interrupted[] = [
  {
    title: 'while it looks for its cases',
    signal: 'SIGINT',
    args: () => ['--sample', '2', '--seed', '1'],
    moment: (_, runDir) => claimed(`${runDir}-free`),
  },
  {
    title: 'while its first lab starts',
    signal: 'SIGTERM',
    args: (list) => ['--cases', list],
    moment: (_, runDir) => claimed(`${runDir}-1`),
  },
  {
    title: 'in the middle of a case',
    signal: 'SIGINT',
    args: (list) => ['--cases', list],
    resumes: true,
    moment: (run) => run.logged(/^1 of 3/m, DEADLINE_MS),
  },
];

async function interrupted(t: Test, { signal, args, moment, resumes = false }: Interrupted): Promise<void> {
  const runDir = temporaryLabDir(t);
  const [list, out] = [join(runDir, '..', 'cases'), join(runDir, '..', 'out.json')];
  writeFileSync(list, CASES.join('\n'));
  const common = ['chaos', '--run-dir', runDir, '--out', out, '--jobs', '1', '--twice-every', '0'];
  const run = startXenwire(t, [...common, ...args(list)]);
  await moment(run, runDir);
  run.child.kill(signal);
  t.equal(await run.ended(DEADLINE_MS), 1);
  t.match(run.stderr, /interrupted/);
  t.same(
    leftovers(runDir).filter((name) => !/cases|json/.test(name)),
    [],
  );
  if (!resumes) return;
  const rest = startXenwire(t, [...common, '--resume']);
  t.equal(await rest.ended(DEADLINE_MS), 0, rest.lines.join('\n'));
  const { judged, planned } = parseResult(readFileSync(out, 'utf8'), out);
  t.equal(judged.length, planned.length, 'every case is run in the end');
}

for (const when of WHEN)
  t.test(`an interrupted campaign leaves nothing: ${when.title}`, { timeout: DEADLINE_MS }, async (t) => {
    await interrupted(t, when);
  });

t.test('a file that cannot be written is one sentence, before any lab', async (t) => {
  const runDir = temporaryLabDir(t);
  for (const option of ['--out', '--html', '--junit'])
    for (const path of ['/proc/nothing/file', '/tmp']) {
      const run = startXenwire(t, ['chaos', '--run-dir', runDir, '--sample', '1', option, path]);
      t.equal(await run.ended(DEADLINE_MS), 2, `${option} ${path}`);
      t.match(run.stderr, /^xenwire: cannot write [^\n]+\n$/);
      t.same(leftovers(runDir), []);
    }
});
