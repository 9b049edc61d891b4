// How a lab ends: by the user's word, by the death of any of its processes, by the death of its supervisor. Whichever it
// is, nothing stays behind.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { ProcessGates } from '../../lab/gates.js';
import { openSession, type Session } from '../../lab/session.js';
import { writePng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { runPaths } from '../../lib/node/process/run-dir.js';
import { retryOnChange, withDeadline } from '../../lib/node/process/wait.js';
import { POINT } from '../../lib/trace/points.js';
import { TestProcess } from '../../testkit/processes.js';
import { longTest } from '../../testkit/tier.js';
import { readNode, whenStore } from '../../toolstack/toolstack.js';
import {
  leftovers,
  processesIn,
  processNamed,
  registered,
  startLab,
  startXenwire,
  temporaryLabDir,
  XENWIRE,
  xenwire,
} from '../fixtures/lab.js';

const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
const BACKEND = '/local/domain/0/backend/virtio-mmio/1/0';

/** Resolves once a toolstack has told the backend to close. */
async function closing(session: Session): Promise<void> {
  const path = `${BACKEND}/state`;
  await whenStore(session, path, 5000, async () => ((await readNode(session.store, path)) === '5' ? true : undefined));
}

t.test('Ctrl-C takes an idle lab through Closing and Closed to nothing', async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
  const text = lab.lines.join('\n');
  const order = [/toolstack +Closing +backend/, /guest-gpu-guest +Closed +device/, /vhost-frontend +Closed +backend/];
  const positions = order.map((pattern) => text.search(pattern));
  t.ok(!positions.includes(-1), text);
  // The last two are told as their writers hear of the commits, and a reply may be slower than the backend's answer to the event.
  t.equal(Math.min(...positions), positions[0], 'the toolstack says Closing first');
  t.match(text, /nothing is left behind/);
  t.same(leftovers(runDir), []);
});

t.test(
  'a guest that is destroyed before it hears of its last write is told as Closed all the same',
  longTest(),
  async (t) => {
    const runDir = temporaryLabDir(t);
    const lab = await startLab(t, runDir, ['--store-transport', 'ring']);
    const [store, hypervisor] = await Promise.all(
      ['xenstored', 'hypervisor'].map((name) => ProcessGates.open(runDir, name, 5000)),
    );
    t.teardown(() => {
      store!.close();
      hypervisor!.close();
    });
    const { pid } = processNamed(runDir, 'guest-gpu-guest');
    const label = '/local/domain/1/device/virtio-mmio/0/state';
    const closed = store!.arm({ point: POINT['store.commit'], label, occurrence: 0 });
    const destroyed = { point: POINT['bus.answer'], label: 'Hypervisor.domctl_destroy toolstack', occurrence: 0 };
    const gone = hypervisor!.arm(destroyed);
    lab.child.kill('SIGINT');
    await store!.standing(5000);
    process.kill(pid, 'SIGSTOP');
    await store!.letGo(closed, 5000);
    await hypervisor!.standing(5000);
    process.kill(pid, 'SIGCONT');
    await hypervisor!.letGo(gone, 5000);
    t.equal(await lab.ended(), 0, lab.stderr);
    t.match(lab.lines.join('\n'), /guest-gpu-guest +Closed +device/);
    t.same(leftovers(runDir), []);
  },
);

for (const name of ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend', 'guest-gpu-guest']) {
  const tier = name === 'xenstored' ? {} : longTest();
  t.test(`without restarts, killing ${name} ends a lab within 5 s with a message that names it`, tier, async (t) => {
    const runDir = temporaryLabDir(t);
    const lab = await startLab(t, runDir, ['--no-restart']);
    const { pid } = processNamed(runDir, name);
    process.kill(pid, 'SIGKILL');
    t.equal(await lab.ended(5000), 1);
    const said = name.replace('guest-', 'guest ');
    t.match(lab.stderr, `xenwire up: ${said} (pid ${pid}) was killed by SIGKILL`);
    t.same(leftovers(runDir), []);
  });
}

t.test(
  'when the supervisor is killed its processes end by themselves, and the next lab starts',
  longTest(),
  async (t) => {
    const runDir = temporaryLabDir(t);
    const lab = await startLab(t, runDir);
    t.ok(processesIn(runDir).length >= 6);
    lab.child.kill('SIGKILL');
    await lab.ended();
    // Claims the directory once the orphans are gone, or refuses after its own deadline.
    const next = await xenwire(t, ['up', '--once', '--run-dir', runDir]);
    t.equal(next.status, 0, next.stderr);
    t.same(leftovers(runDir), []);
  },
);

t.test('an interruption before the first frame is a failure, and leaves nothing either', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = startXenwire(t, ['up', '--run-dir', runDir]);
  await lab.line(/guest gpu-guest is domain 1/);
  lab.child.kill('SIGTERM');
  t.equal(await lab.ended(), 1);
  t.match(lab.stderr, 'xenwire up: interrupted before the first frame');
  t.same(leftovers(runDir), []);
});

t.test('a guest that cannot show its picture ends the lab at once, with its reason', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const image = join(runDir, '..', 'large.png');
  await writePng(image, { width: 5000, height: 4000, rgba: new Uint8Array(5000 * 4000 * 4) });
  const startMs = performance.now();
  const lab = startXenwire(t, ['up', '--run-dir', runDir, '--image', image]);
  t.equal(await lab.ended(20_000), 1);
  // Long before the deadline of the frame that it waited for.
  t.ok(performance.now() - startMs < 15_000);
  t.match(
    lab.stderr,
    /^xenwire up: guest gpu-guest \(pid \d+\) ended with status 2: .*large\.png \(5000x4000\) needs /m,
  );
  rmSync(image);
  t.same(leftovers(runDir), []);
});

t.test('SIGTERM to all processes of a terminal is an end in order', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const args = [fileURLToPath(XENWIRE), 'up', '--run-dir', runDir];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const lab = new TestProcess(child);
  t.teardown(() => child.kill('SIGKILL'));
  await lab.line(/until Ctrl-C/, 20_000);
  process.kill(-child.pid!, 'SIGTERM');
  t.equal(await lab.ended(), 0, lab.stderr);
  t.match(lab.lines.at(-1), 'nothing is left behind');
  t.same(leftovers(runDir), []);
});

t.test(
  'a full disk behind standard output is a sentence and status 1, and the lab goes in order',
  longTest(),
  async (t) => {
    const runDir = temporaryLabDir(t);
    const full = openSync('/dev/full', 'w');
    const args = [fileURLToPath(XENWIRE), 'up', '--once', '--run-dir', runDir];
    const child = spawn(process.execPath, args, { stdio: ['ignore', full, 'pipe'] });
    closeSync(full);
    const lab = new TestProcess(child);
    t.teardown(() => child.kill('SIGKILL'));
    t.equal(await lab.ended(20_000), 1);
    t.equal(lab.stderr, 'xenwire up: cannot write to standard output: ENOSPC: no space left on device, write\n');
    t.same(leftovers(runDir), []);
  },
);

t.test('a second Ctrl-C ends a lab whose processes do not', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir);
  process.kill(processNamed(runDir, 'vhost-frontend').pid, 'SIGSTOP');
  const session = await openSession({ runDir });
  lab.child.kill('SIGINT');
  await closing(session);
  await session.close();
  const again = setInterval(() => lab.child.kill('SIGINT'), 100);
  t.teardown(() => clearInterval(again));
  t.equal(await lab.ended(3000), 1);
  t.match(lab.stderr, 'xenwire up: interrupted twice: all processes were killed\n');
  // Killed ones are gone once the kernel has reaped them.
  await retryOnChange(runDir, () => (processesIn(runDir).length === 0 ? true : undefined), AbortSignal.timeout(3000));
  t.same(leftovers(runDir), []);
});

t.test('a session that waits for a paused server is given up at once', async (t) => {
  const runDir = temporaryLabDir(t);
  const hypervisor = startXenwire(t, ['hypervisor', '--run-dir', runDir]);
  await registered(runDir, 'hypervisor', /ready/);
  process.kill(processNamed(runDir, 'hypervisor').pid, 'SIGSTOP');
  const abort = new AbortController();
  const opening = openSession({ runDir, signal: abort.signal });
  opening.catch(() => {}); // looked at below
  // It has connected: the kernel accepted for the paused process.
  const socket = runPaths.live(runDir, 'hypervisor');
  const connected = (): true | undefined =>
    readFileSync('/proc/net/unix', 'latin1').split(socket).length > 2 ? true : undefined;
  t.ok(await retryOnChange('/proc/self/none', connected, AbortSignal.timeout(5000)));
  abort.abort();
  await t.rejects(withDeadline(opening, 1000, 'giving up'), { name: 'PeerDiedError' });
  hypervisor.child.kill('SIGKILL');
});

/** A guest's configuration beside the run directory, of the example with other settings. */
function configOf(runDir: string, ...settings: readonly string[]): string {
  const path = join(runDir, '..', 'guest.cfg');
  const example = readFileSync(CONFIG, 'utf8').replace(/^on_crash.*$/m, '');
  writeFileSync(path, `${example}${settings.join('\n')}\n`);
  return path;
}

t.test(
  'create --wait says at once why a guest shows nothing, keeps its words, and leaves no guest that claims to run',
  longTest(),
  async (t) => {
    const runDir = temporaryLabDir(t);
    for (const name of ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend']) {
      startXenwire(t, [name, '--run-dir', runDir]);
    }
    const image = join(runDir, '..', 'large.png');
    await writePng(image, { width: 5000, height: 4000, rgba: new Uint8Array(5000 * 4000 * 4) });
    const startMs = performance.now();
    const args = ['create', configOf(runDir, 'on_crash = "destroy"'), '--image', image, '--wait', '--wait-for-lab'];
    const created = await xenwire(t, [...args, '--run-dir', runDir]);
    t.ok(performance.now() - startMs < 20_000);
    t.equal(created.status, 1);
    t.match(
      created.stderr,
      /^xenwire: guest gpu-guest \(pid \d+\) ended with status 2: .*large\.png \(5000x4000\) needs /m,
    );
    const log = join(runDir, 'logs', 'monitor-gpu-guest.log');
    const removed = (): true | undefined => (/it is removed/.test(readFileSync(log, 'utf8')) ? true : undefined);
    t.ok(await retryOnChange(log, removed, AbortSignal.timeout(10_000)), 'its monitor does what on_crash says');
    t.match(readFileSync(log, 'utf8'), 'ended with status 2');
    t.equal((await xenwire(t, ['list', '--json', '--run-dir', runDir])).stdout, '[]');
  },
);

t.test('create -F stays with a guest that crashes and runs again, until it is destroyed', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  for (const name of ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend']) {
    startXenwire(t, [name, '--run-dir', runDir]);
  }
  const config = configOf(runDir, 'on_crash = "restart"');
  const create = startXenwire(t, ['create', config, '-F', '--wait', '--wait-for-lab', '--run-dir', runDir]);
  await create.line(/picture equal/, 20_000);
  process.kill(processNamed(runDir, 'guest-gpu-guest').pid, 'SIGKILL');
  await create.line(/guest gpu-guest \(domain 1\) crashed: it runs again as domain 2, on_crash = "restart"/);
  await registered(runDir, 'guest-gpu-guest', /shown/);
  t.equal((await xenwire(t, ['destroy', 'gpu-guest', '--run-dir', runDir])).status, 0);
  t.equal(await create.ended(), 0, create.stderr);
});

for (const moment of ['before', 'during'] as const) {
  const tier = moment === 'during' ? {} : longTest();
  t.test(`destroy of a guest that dies ${moment} it takes no deadline, and leaves nothing of it`, tier, async (t) => {
    const runDir = temporaryLabDir(t);
    for (const name of ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend']) {
      startXenwire(t, [name, '--run-dir', runDir]);
    }
    // Kept by its monitor as it ended: what removes it is destroy.
    const config = configOf(runDir, 'on_crash = "preserve"');
    const created = await xenwire(t, ['create', config, '--wait', '--wait-for-lab', '--run-dir', runDir]);
    t.equal(created.status, 0, created.stderr);
    const { pid } = processNamed(runDir, 'guest-gpu-guest');
    // Paused, it answers no Closing: destroy waits for it until it is killed.
    process.kill(pid, moment === 'before' ? 'SIGKILL' : 'SIGSTOP');
    const destroy = xenwire(t, ['destroy', 'gpu-guest', '--run-dir', runDir]);
    const session = await openSession({ runDir });
    t.teardown(() => session.close());
    if (moment === 'during') {
      await closing(session);
      process.kill(pid, 'SIGKILL');
    }
    const startMs = performance.now();
    const { status, stderr } = await destroy;
    t.ok(performance.now() - startMs < 3000, 'within 3 s');
    t.same([status, stderr], [0, '']);
    t.equal(await readNode(session.store, BACKEND), undefined);
    t.notOk((await session.store.directory('/local/domain')).includes('1'));
  });
}
