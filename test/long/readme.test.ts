// README's recipes, run as they are written: the blocks of commands in one shell, and the verbs and options that its text names.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openRunningSession } from '../../lab/session.js';
import { DATA_KEY, homePath } from '../../lib/layout/xenbus.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { listProcesses, type ProcessEntry, runPaths } from '../../lib/node/process/run-dir.js';
import { retryOnChange, withDeadline } from '../../lib/node/process/wait.js';
import { TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { missing } from '../../testkit/xenstored-peers.js';
import { processNamed, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const SHELL_MS = 30_000;
const README = readFileSync(join(PACKAGE_ROOT, 'README.md'), 'utf8');

/** The shell blocks below a heading of the second level, in order. */
function blocks(heading: string): string[] {
  const section = README.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0];
  if (section === undefined) throw new Error(`README has no section ${heading}`);
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!);
}

const alive = (runDir: string): ProcessEntry[] => listProcesses(runDir).filter(({ state }) => state !== 'dead');

/** A shell as a terminal has it, with jobs and aliases; it reads what it is told. Processes of the run directory end with the test. */
function shell(t: Test, runDir: string): TestProcess {
  const child = spawn('bash', ['--norc'], {
    cwd: PACKAGE_ROOT,
    env: { ...process.env, XENWIRE_RUN_DIR: runDir },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  t.teardown(async () => {
    for (const { pid } of alive(runDir)) process.kill(pid, 'SIGKILL');
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await once(child, 'exit');
  });
  const running = new TestProcess(child);
  running.say('shopt -s expand_aliases; set -m');
  return running;
}

t.test('the lab by hand: started, broken and ended as the lines say', async (t) => {
  const runDir = temporaryLabDir(t);
  const [start, breakIt, end] = blocks('By hand') as [string, string, string];
  const bash = shell(t, runDir);
  bash.say(start);
  await bash.line(/picture equal: 1024x768 pixels/, SHELL_MS);

  const session = await openRunningSession(runDir);
  t.teardown(() => session.close());
  const frame = `${homePath(1)}/${DATA_KEY.frame}`;
  const [kill, ...next] = breakIt.trim().split('\n');
  const { pid } = processNamed(runDir, 'vhost-frontend');
  bash.say(kill!);
  const gone = () => alive(runDir).every((entry) => entry.pid !== pid) || undefined;
  t.ok(await retryOnChange(runPaths.proc(runDir, 'vhost-frontend'), gone, AbortSignal.timeout(SHELL_MS)), 'killed');
  await session.store.write(frame, '');
  let look: () => void = () => {};
  await session.store.watch(frame, 'frame', () => look());
  bash.say(next.join('\n'));
  const drawn = async (): Promise<void> => {
    for (;;) {
      const changed = new Promise<void>((resolve) => {
        look = resolve;
      });
      if ((await session.store.read(frame)) === '1') return;
      await changed;
    }
  };
  await withDeadline(drawn(), SHELL_MS, 'the picture, by the next vhost-frontend');
  await bash.line(/vhost-frontend:.*backend\/virtio-mmio\/1\/0\/state/, SHELL_MS);

  await session.close();
  t.equal(alive(runDir).length, 5);
  bash.say(end);
  bash.say('wait; exit 0');
  t.equal(await bash.ended(SHELL_MS), 0, bash.stderr);
  t.same(alive(runDir), [], 'the end of the hypervisor is the end of all');
});

t.test('a store by itself, and the tools of Xen', { skip: missing('xenstore-write', 'xenstore-ls') }, async (t) => {
  const runDir = temporaryLabDir(t);
  const dir = temporaryRunDir(t);
  const [start, use] = blocks('With programs of others').map((block) => block.replaceAll('/tmp/', `${dir}/`));
  const server = shell(t, runDir);
  server.say(blocks('By hand')[0]!.split('\n')[0]!); // the alias
  server.say(start!.trim().replace(/( +#.*)?$/, ' &')); // a terminal of its own, as a job
  const socket = join(dir, 'xs.sock');
  const there = () => existsSync(socket) || undefined;
  t.ok(await retryOnChange(socket, there, AbortSignal.timeout(SHELL_MS)), server.stderr);
  const client = shell(t, runDir);
  client.say(use!);
  await client.line(/^ hello = "world"/, SHELL_MS);
  client.say('exit 0');
  t.equal(await client.ended(SHELL_MS), 0, client.stderr);
  server.say('kill %1; wait; exit 0');
  t.equal(await server.ended(SHELL_MS), 0, server.stderr);
});

t.test('every verb and option that the text names is in the help', async (t) => {
  const named = [...README.matchAll(/\bxenwire ([a-z][a-z-]*)((?: [^`\n#]*)?)/g)];
  const helps = new Map<string, string>();
  for (const [line, verb, rest] of named) {
    const options = [...rest!.matchAll(/(?<= )--[a-z][a-z-]*/g)].map(([option]) => option);
    if (!helps.has(verb!)) {
      const { status, stdout } = await xenwire(t, [verb!, '--help']);
      t.equal(status, 0, `${verb} is a verb`);
      helps.set(verb!, stdout);
    }
    for (const option of options) t.ok(helps.get(verb!)!.includes(option), line);
  }
  t.ok(helps.size >= 8, [...helps.keys()].join(' '));
});
