// vhost-frontend as a process among the others: killed with a guest's access waiting, ended in order, and what a user gets
// wrong on its command line.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openRunningSession, type Session } from '../../lab/session.js';
import { DeadlineError } from '../../lib/core/errors.js';
import { CONTROL_KEY, homePath } from '../../lib/layout/xenbus.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { listProcesses, type ProcessEntry } from '../../lib/node/process/run-dir.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { type TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { longTest } from '../../testkit/tier.js';
import { processNamed, registered, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
const SERVICES = ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend'];
const DEADLINE_MS = 5000;
const BACK = `${homePath(0)}/backend/virtio-mmio/1/0/state`;

async function labWithGuest(
  t: Test,
): Promise<{ runDir: string; session: Session; guest: TestProcess; backend: TestProcess }> {
  const runDir = temporaryLabDir(t);
  const started = new Map(SERVICES.map((name) => [name, startXenwire(t, [name, '--run-dir', runDir])]));
  for (const name of SERVICES) await registered(runDir, name, /ready/);
  const session = await openRunningSession(runDir);
  t.teardown(() => session.close());
  const guest = startXenwire(t, ['guest', '--name', 'gpu-guest', '--run-dir', runDir]);
  const created = await xenwire(t, ['create', CONFIG, '--no-process', '--wait', '--run-dir', runDir]);
  t.equal(created.status, 0, created.stderr);
  return { runDir, session, guest, backend: started.get('vhost-frontend')! };
}

const descriptorsOf = (pid: number): string[] => readdirSync(`/proc/${pid}/fd`);
const isLivingGpu = ({ name, state }: ProcessEntry): boolean => name === 'vhost-gpu' && state !== 'dead';

/** Looks again until it holds; a deadline says what did not come. */
async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  while (!(await holds())) {
    if (signal.aborted) throw new DeadlineError(`${what}: not within ${DEADLINE_MS} ms`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

async function until(session: Session, path: string, value: string): Promise<void> {
  let look: () => void = () => {};
  await session.store.watch(path, 'until', () => look());
  const found = async (): Promise<void> => {
    for (;;) {
      const changed = new Promise<void>((resolve) => {
        look = resolve;
      });
      if ((await session.store.read(path)) === value) return;
      await changed;
    }
  };
  await withDeadline(found(), DEADLINE_MS, `${path} = ${value}`);
  await session.store.unwatch(path, 'until');
}

t.test('an access that found its backend dead is answered by the next one', async (t) => {
  const { runDir, session, guest, backend } = await labWithGuest(t);
  process.kill(processNamed(runDir, 'vhost-frontend').pid, 'SIGKILL');
  await backend.ended();
  // Removing its device, the guest reads and writes registers: its vCPU waits.
  await session.store.write(`${homePath(1)}/${CONTROL_KEY.shutdown}`, 'poweroff');
  await guest.logged(/shutting down/);
  t.equal(await session.store.read(BACK), '4');
  const next = startXenwire(t, ['vhost-frontend', '--run-dir', runDir]);
  t.equal(await guest.ended(DEADLINE_MS), 0, guest.stderr);
  t.match(next.stderr, /adopted an ioreq server/);
  await until(session, BACK, '6');
});

t.test(
  'device servers may die again and again: vhost-frontend holds as many descriptors as before',
  longTest(),
  async (t) => {
    const { runDir, session, guest } = await labWithGuest(t);
    const { pid } = processNamed(runDir, 'vhost-frontend');
    const before = descriptorsOf(pid);
    for (let death = 0; death < 8; death++) {
      process.kill(processNamed(runDir, 'vhost-gpu').pid, 'SIGKILL');
      await eventually('its name to be free', () => !listProcesses(runDir).some(isLivingGpu));
      const server = startXenwire(t, ['vhost-gpu', '--run-dir', runDir]);
      await registered(runDir, 'vhost-gpu', /ready/);
      const client = await session.connect('vhost-gpu');
      await eventually('the picture to be back', async () => {
        const { held } = await client.remote('Control').audit({});
        return held.some(({ kind }) => kind === 'resource');
      });
      await client.close();
      t.equal(server.child.exitCode, null);
    }
    // ZeroMQ's thread closes sockets after we gave them back.
    await eventually('as many descriptors as before', () => descriptorsOf(pid).length <= before.length);
    t.equal(guest.child.exitCode, null);
  },
);

t.test(
  'SIGTERM closes every device with its guest and gives everything back; the next one connects',
  longTest(),
  async (t) => {
    const { runDir, session, guest, backend } = await labWithGuest(t);
    backend.child.kill('SIGTERM');
    t.equal(await backend.ended(), 0);
    t.match(backend.stderr, /everything is given back/);
    t.equal(await session.store.read(BACK), '6');
    const hypervisor = (await session.connect('hypervisor')).remote('Control');
    const { held } = await hypervisor.audit({});
    t.same(
      held.filter(({ kind }) => ['ioreq-server', 'range', 'ioeventfd', 'mapping'].includes(kind)),
      [],
    );
    startXenwire(t, ['vhost-frontend', '--run-dir', runDir]);
    await until(session, BACK, '4');
    t.equal(guest.child.exitCode, null);
  },
);

t.test('what a user gets wrong is one sentence and status 2', async (t) => {
  const dir = temporaryRunDir(t);
  const run = async (...args: string[]) => xenwire(t, ['vhost-frontend', '--run-dir', join(dir, 'lab'), ...args]);
  const cases: [string[], RegExp][] = [
    [['--device-socket', `/${'x'.repeat(120)}`], /longer than 107 bytes\n$/],
    [['--frames', dir], /--device-socket/],
    [['--device-socket', join(dir, 'gpu.sock'), '--frames', join(dir, 'none')], /is no folder\n$/],
    [['--devicesocket', 'x'], /unknown option/],
  ];
  for (const [args, text] of cases) {
    const { status, stderr } = await run(...args);
    t.equal(status, 2, args.join(' '));
    t.match(stderr, text);
  }
});
