// Unmodified Xen programs against our daemon: the xenstore-* utilities and Xen's own test program.
import { execFile, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { TestProcess } from '../../testkit/processes.js';
import { type Daemon, missing, startOurs, TEST_XENSTORE } from '../../testkit/xenstored-peers.js';

const run = promisify(execFile);
const UTILITIES = ['ls', 'read', 'write', 'rm', 'chmod', 'list', 'exists', 'watch'].map((name) => `xenstore-${name}`);

/** The program itself: Debian's wrapper looks for a Xen host first. */
const XENSTORE_CONTROL = '/usr/lib/xen-4.17/bin/xenstore-control';
const PROGRAM = fileURLToPath(new URL('../../services/xenstored/main.js', import.meta.url));

const environment = (daemon: Daemon): NodeJS.ProcessEnv => ({ ...process.env, XENSTORED_PATH: daemon.socket });

/** Standard output of a utility; its exit status when it is not 0. */
async function utility(daemon: Daemon, name: string, ...args: string[]): Promise<string | number> {
  try {
    return (await run(`xenstore-${name}`, args, { env: environment(daemon) })).stdout;
  } catch (error) {
    return (error as { code: number }).code;
  }
}

t.test('the utilities work on our store', { skip: missing(...UTILITIES) }, async (t) => {
  const daemon = await startOurs(t, [], [5]);
  t.equal(await utility(daemon, 'write', '/a/b', 'one', '/a/c', 'two words'), '', 'several keys in one transaction');
  t.equal(await utility(daemon, 'read', '/a/b'), 'one\n');
  t.equal(await utility(daemon, 'read', '/a/b', '/a/c'), 'one\ntwo words\n');
  t.equal(await utility(daemon, 'read', '/missing'), 1);
  t.equal(await utility(daemon, 'exists', '/a/b'), '');
  t.equal(await utility(daemon, 'exists', '/missing'), 1);
  t.equal(await utility(daemon, 'list', '/a'), 'b\nc\n');
  t.equal(await utility(daemon, 'chmod', '-r', '/a', 'n0', 'r5'), '');
  t.match(await utility(daemon, 'ls', '-p', '/a'), /^b = "one"[ .]+\(n0,r5\)\nc = "two words"[ .]+\(n0,r5\)\n$/);
  t.equal(await utility(daemon, 'write', 'relative', 'x'), '');
  t.equal(await utility(daemon, 'read', '/local/domain/0/relative'), 'x\n', 'a relative path is below dom0');
  t.equal(await utility(daemon, 'rm', '/a/b'), '');
  t.equal(await utility(daemon, 'list', '/a'), 'c\n');
  t.equal(await utility(daemon, 'rm', '-t', '/a/c'), '', 'and empty parents');
  t.equal(await utility(daemon, 'exists', '/a'), 1);
});

t.test('xenstore-ls shows more children than one message holds', { skip: missing(...UTILITIES) }, async (t) => {
  const daemon = await startOurs(t);
  const keys = Array.from({ length: 300 }, (_, index) => `/big/child-number-${index}`);
  t.equal(await utility(daemon, 'write', ...keys.flatMap((key) => [key, 'v'])), '');
  const listed = await utility(daemon, 'list', '/big');
  t.same(
    String(listed).trim().split('\n'),
    keys.map((key) => key.slice('/big/'.length)),
  );
  t.equal(
    String(await utility(daemon, 'ls', '/big'))
      .trim()
      .split('\n').length,
    300,
  );
});

t.test('xenstore-watch hears what others write', { skip: missing(...UTILITIES) }, async (t) => {
  const daemon = await startOurs(t);
  const child = spawn('xenstore-watch', ['-n', '2', '/w'], { env: environment(daemon) });
  const watcher = new TestProcess(child);
  t.teardown(() => child.kill('SIGKILL'));
  await watcher.line(/^\/w$/);
  t.equal(await utility(daemon, 'write', '/w/x', '1'), '');
  await watcher.line(/^\/w\/x$/);
  t.equal(await watcher.ended(), 0);
});

t.test("Xen's test program passes all of its cases", { skip: missing(TEST_XENSTORE) }, async (t) => {
  const daemon = await startOurs(t);
  const env = environment(daemon);
  const cases = (await run(TEST_XENSTORE, ['-l'], { env })).stdout.trim().split('\n');
  t.equal(cases.length, 12);
  // Exit status 0: all passed. 3 would be a failure, 2 no connection.
  const { stdout } = await run(TEST_XENSTORE, ['-i', '20'], { env });
  t.equal(stdout.trim().split('\n').length, 12);
  t.equal(await utility(daemon, 'ls', '/local/domain/0/xenstore-test'), 1, 'and leaves nothing behind');
});

t.test('xenstore-control replaces our daemon under its clients', { skip: missing(XENSTORE_CONTROL) }, async (t) => {
  const daemon = await startOurs(t);
  const control = async (...args: string[]): Promise<string> =>
    (await run(XENSTORE_CONTROL, ['live-update', ...args], { env: environment(daemon) })).stdout;
  await run(XENSTORE_CONTROL, ['print', 'here'], { env: environment(daemon) });
  t.equal(await utility(daemon, 'write', '/a', '1'), '');
  const child = spawn('xenstore-watch', ['-n', '2', '/a'], { env: environment(daemon) });
  const watcher = new TestProcess(child);
  t.teardown(() => child.kill('SIGKILL'));
  await watcher.line(/^\/a$/);
  t.equal(await control(PROGRAM), '');
  t.equal(await control('-F', '-t', '5', PROGRAM), '');
  await t.rejects(control('/missing/program'), { message: /File not accessible/ });
  t.equal(await utility(daemon, 'write', '/a/b', '2'), '');
  await watcher.line(/^\/a\/b$/);
  t.equal(await watcher.ended(), 0);
  t.equal(daemon.process.stderr.match(/"ready"/g)?.length, 3, 'three programs were that one process');
  t.equal(daemon.process.child.exitCode, null);
});
