// The commands that look at a lab from outside: top, logs, doctor, screenshot.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { everyTaskStopped } from '../../lab/gates.js';
import { mismatchedPixels, overBlack } from '../../lib/core/picture.js';
import { readPng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { longTest } from '../../testkit/tier.js';
import { processNamed, startLab, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const CARD = join(PACKAGE_ROOT, 'examples', 'test-card.png');

t.test('top, logs, screenshot and doctor tell what a lab does, and what stands still in it', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir, ['--keep']);
  const look = (...args: string[]) => xenwire(t, [...args, '--run-dir', runDir]);
  const follow = startXenwire(t, ['logs', 'vhost-gpu', '-f', '--run-dir', runDir]);
  await follow.line(/vhost-gpu: session opened device=1\/0/);

  const file = join(runDir, 'frames', 'now.png');
  const shot = await look('screenshot', 'gpu-guest', '-o', file);
  t.match(shot.stdout, /now\.png: 1024x768, frame \d+$/);
  t.equal(mismatchedPixels(overBlack(readPng(CARD)), readPng(file)), 0, 'the picture that the guest was given');

  const { pid } = processNamed(runDir, 'vhost-gpu');
  type Row = { name: string; pid: number; condition: string; residentBytes: number; historyFill: number };
  const table = JSON.parse((await look('top', '--count', '1', '--interval', '100', '--json')).stdout) as Row[];
  const row = table.find(({ name }) => name === 'vhost-gpu');
  t.same([row?.pid, row?.condition], [pid, 'runs']);
  const resident = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
  t.ok(Math.abs(row!.residentBytes - resident) < resident / 4, 'as /proc has it');
  t.ok(row!.historyFill > 0 && row!.historyFill <= 1);

  const well = await look('doctor');
  t.match(well.stdout, /held +hypervisor: .*1 ioreq-server/);
  t.notMatch(well.stdout, /PROBLEM +(?! |left behind: folder)/, 'of this lab: folders of others may be there');
  process.kill(pid, 'SIGSTOP');
  await lookAgain(async () => everyTaskStopped(pid) || undefined, 5, AbortSignal.timeout(5000));
  const stopped = await look('doctor');
  t.match(stopped.stdout, /PROBLEM +vhost-gpu is paused by a signal/);
  t.equal(stopped.status, 1);
  process.kill(pid, 'SIGCONT');

  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
  t.equal(await follow.ended(), 0);
  t.match(follow.lines.at(-1), /vhost-gpu: stopping/, 'what it logged last came too');
  const all = (await look('logs', '--json')).stdout
    .split('\n')
    .map((line) => JSON.parse(line) as { time: number; process: string });
  t.ok(new Set(all.map(({ process }) => process)).size >= 5);
  t.ok(all.every(({ time }, index) => index === 0 || time >= all[index - 1]!.time));
});

t.test('what a user gets wrong is one sentence and status 2', async (t) => {
  const runDir = temporaryLabDir(t);
  const cases: [string[], RegExp][] = [
    [['top'], /^xenwire: no lab runs in /],
    [['logs'], /^xenwire: no lab runs in /],
    [['screenshot', 'g'], /^xenwire: no lab runs in /],
    [['screenshot', 'g', '-o', join(runDir, 'no', 'x.png')], /^xenwire: cannot write .*x\.png: there is no folder /],
    [['top', '--interval', '1'], /^xenwire: .*'1' is invalid: It must be a whole number from 100 to 60000$/],
  ];
  for (const [args, message] of cases) {
    const result = await xenwire(t, [...args, '--run-dir', runDir]);
    t.equal(result.status, 2, args.join(' '));
    t.match(result.stderr.trimEnd(), message);
  }
});
