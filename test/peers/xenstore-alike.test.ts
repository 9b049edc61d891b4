// The same command lines of Xen's own clients, against our daemon and Debian's: equal output, errors and exit statuses.
// Also Python's binding, where its version fits the package's.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { TestProcess } from '../../testkit/processes.js';
import {
  C_DAEMON_NEEDS,
  type Daemon,
  missing,
  startC,
  startOurs,
  TEST_XENSTORE,
} from '../../testkit/xenstored-peers.js';

const run = promisify(execFile);
const UTILITIES = ['ls', 'read', 'write', 'rm', 'chmod', 'list', 'exists', 'watch', 'control'].map(
  (name) => `xenstore-${name}`,
);
const PYTHON_PATH = '/usr/lib/xen-4.17/lib/python';
const CHILDREN = Array.from({ length: 300 }, (_, index) => [`/big/child-number-${index}`, String(index)]).flat();

/** One a line, in an order in which each finds what those before it left. */
const COMMANDS: readonly (readonly string[])[] = [
  ['ls'],
  ['ls', '-p', '/'],
  ['write', '/a/b', 'one', '/a/c', 'two words', '/a/d/e', ''],
  ['write', '/a/odd', 'tab\\tnewline\\nnull\\x00end'],
  ['write', '-R', '/a/raw', 'tab\\t'],
  ['write', '/a'],
  ['write', '/a b', 'x'],
  ['write', 'relative/deep', 'x'],
  ['read', '/a/b'],
  ['read', '-p', '/a/b', '/a/c'],
  ['read', '/a/odd'],
  ['read', '-R', '/a/raw'],
  ['read', '/a/b', '/missing', '/a/c'],
  ['read', '/local/domain/0/relative/deep'],
  ['exists', '/a/b'],
  ['exists', '/a/b', '/missing'],
  ['list', '/a'],
  ['list', '-p', '/a', '/tool'],
  ['list', '/missing'],
  ['chmod', '/a/b', 'n0', 'r5'],
  ['chmod', '-u', '/a/d/e', 'r0'],
  ['chmod', '-r', '/a', 'b0', 'w7'],
  ['chmod', '/a/b', 'x0'],
  ['chmod', '/a/b', 'n1', 'r2'],
  ['chmod', '/missing', 'n0'],
  ['ls', '-p'],
  ['ls', '-f', '/a'],
  ['ls', '/missing'],
  ['write', ...CHILDREN],
  ['list', '/big'],
  ['ls', '/big'],
  ['rm', '/big'],
  ['rm', '/a/c'],
  ['rm', '/a/missing'],
  ['rm', '/missing/deep/er'],
  ['rm', '/'],
  ['rm', '-t', '/a/d/e'],
  ['ls'],
  ['control', 'check'],
  ['control', 'nonsense'],
  ['control', 'print', 'text'],
];

interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function say(
  daemon: Daemon,
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Said> {
  try {
    const done = await run(program, args, { env: { ...process.env, ...env, XENSTORED_PATH: daemon.socket } });
    return { status: 0, ...done };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, stdout, stderr };
  }
}

interface Both {
  readonly ours: Daemon;
  readonly theirs: Daemon;
}

async function both(t: Parameters<typeof startC>[0]): Promise<Both> {
  const domids = [1, 2];
  return { ours: await startOurs(t, ['--compat', '4.17'], domids), theirs: await startC(t, domids) };
}

t.test('the utilities say the same', { skip: missing(...UTILITIES, ...C_DAEMON_NEEDS) }, async (t) => {
  const { ours, theirs } = await both(t);
  for (const [name, ...args] of COMMANDS) {
    const line = `xenstore-${name} ${args.join(' ')}`.slice(0, 80);
    const [one, other] = await Promise.all(
      [ours, theirs].map((daemon) => say(daemon, `xenstore-${name}`, args)) as [Promise<Said>, Promise<Said>],
    );
    t.same(one, other, line);
  }
});

t.test('xenstore-watch hears the same', { skip: missing(...UTILITIES, ...C_DAEMON_NEEDS) }, async (t) => {
  const { ours, theirs } = await both(t);
  const heard = async (daemon: Daemon): Promise<readonly string[]> => {
    const env = { ...process.env, XENSTORED_PATH: daemon.socket };
    const watcher = new TestProcess(spawn('xenstore-watch', ['-n', '6', '/w', '@introduceDomain'], { env }));
    t.teardown(() => watcher.child.kill('SIGKILL'));
    // The first event of each watch comes with its registration.
    await watcher.line(/^\/w$/);
    await watcher.line(/^@introduceDomain$/);
    for (const args of [
      ['write', '/w/x', '1', '/w/y', '2'],
      ['chmod', '/w/x', 'r0'],
      ['rm', '/w'],
    ]) {
      const [name, ...rest] = args as [string, ...string[]];
      await say(daemon, `xenstore-${name}`, rest);
    }
    await watcher.ended();
    return watcher.lines;
  };
  const [one, other] = await Promise.all([heard(ours), heard(theirs)]);
  t.same(one, other);
  t.equal(one.length, 6);
});

t.test("Xen's test program passes the same cases", { skip: missing(TEST_XENSTORE, ...C_DAEMON_NEEDS) }, async (t) => {
  const { ours, theirs } = await both(t);
  const outcome = async (daemon: Daemon): Promise<{ status: number; cases: string[] }> => {
    const { status, stdout } = await say(daemon, TEST_XENSTORE, ['-i', '20']);
    return { status, cases: stdout.split('\n').map((line) => line.split(':')[0]?.trim() ?? '') };
  };
  const [one, other] = [await outcome(ours), await outcome(theirs)];
  t.same(one, other);
  t.equal(one.status, 0);
  t.equal(one.cases.filter((name) => name !== '').length, 12);
});

/** Whether this machine's Python can load the binding: it is built for one version of it. */
async function pythonLacks(): Promise<string | false> {
  const absent = missing('python3', PYTHON_PATH, ...C_DAEMON_NEEDS);
  if (absent !== false) return absent;
  const child = spawn('python3', ['-c', 'import xen.lowlevel.xs'], {
    env: { ...process.env, PYTHONPATH: PYTHON_PATH },
  });
  const [status] = (await once(child, 'exit')) as [number | null];
  return status === 0 ? false : 'xen.lowlevel.xs is built for another Python';
}

t.test("Python's xen.lowlevel.xs sees the same", { skip: await pythonLacks() }, async (t) => {
  const { ours, theirs } = await both(t);
  const script = `${PACKAGE_ROOT}/test/peers/xenstore_session.py`;
  t.ok(existsSync(script));
  const env = { PYTHONPATH: PYTHON_PATH, PYTHONDONTWRITEBYTECODE: '1' };
  const [one, other] = [await say(ours, 'python3', [script], env), await say(theirs, 'python3', [script], env)];
  t.same(one, other);
  t.equal(one.status, 0, one.stderr);
  t.match(one.stdout, /^end$/m);
});
