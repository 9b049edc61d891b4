// The guest as a process among the others: powered off through the store, its backend and its device server replaced under
// it, and what a user gets wrong.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openRunningSession, type Session } from '../../lab/session.js';
import { CONTROL_KEY, DATA_KEY, homePath } from '../../lib/layout/xenbus.js';
import { readPng, writePng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import type { TestProcess } from '../../testkit/processes.js';
import { longTest } from '../../testkit/tier.js';
import { processNamed, registered, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
const SERVICES = ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend'];
/** Each recovery is promised within two seconds (docs/recovery.md); the rest is what a busy machine takes to start a process. */
const RECOVERY_MS = 5000;
const FRONT = 'device/virtio-mmio/0/state';

interface Lab {
  readonly runDir: string;
  readonly session: Session;
  /** Resolves once the key reads so. */
  until(path: string, value: string): Promise<void>;
}

/** The four servers, without a supervisor, and dom0's connections. */
async function startLab(t: Test): Promise<Lab> {
  const runDir = temporaryLabDir(t);
  for (const name of SERVICES) startXenwire(t, [name, '--run-dir', runDir]);
  for (const name of SERVICES) await registered(runDir, name, /ready/);
  const session = await openRunningSession(runDir);
  t.teardown(() => session.close());
  let watches = 0;
  const until = async (path: string, value: string): Promise<void> => {
    const token = `until-${++watches}`;
    let look: () => void = () => {};
    await session.store.watch(path, token, () => look());
    const found = async (): Promise<void> => {
      for (;;) {
        const changed = new Promise<void>((resolve) => {
          look = resolve;
        });
        if ((await session.store.read(path).catch(() => '')) === value) return;
        await changed;
      }
    };
    try {
      await withDeadline(found(), RECOVERY_MS, `${path} = ${value}`);
    } finally {
      await session.store.unwatch(path, token);
    }
  };
  return { runDir, session, until };
}

/** A guest that shows its picture. */
async function startGuest(t: Test, { runDir }: Lab, ...options: string[]): Promise<TestProcess> {
  const guest = startXenwire(t, ['guest', '--name', 'gpu-guest', '--run-dir', runDir, ...options]);
  const created = await xenwire(t, ['create', CONFIG, '--no-process', '--wait', '--run-dir', runDir]);
  t.equal(created.status, 0, created.stderr);
  return guest;
}

t.test('a guest outlives its backend and its device server, and is gone when it is killed', async (t) => {
  const lab = await startLab(t);
  const { runDir, session, until } = lab;
  const guest = await startGuest(t, lab);

  const frame = `${homePath(1)}/${DATA_KEY.frame}`;
  process.kill(processNamed(runDir, 'vhost-frontend').pid, 'SIGKILL');
  await session.store.write(frame, '');
  startXenwire(t, ['vhost-frontend', '--run-dir', runDir]);
  await until(frame, '1');
  t.equal(await session.store.read(`${homePath(1)}/${FRONT}`), '4', 'connected to another backend, with its picture');

  process.kill(processNamed(runDir, 'vhost-gpu').pid, 'SIGKILL');
  startXenwire(t, ['vhost-gpu', '--run-dir', runDir]);
  const display = (await session.connect('vhost-gpu')).remote('Display');
  const path = join(runDir, 'frames', 'again.png');
  const shown = async (): Promise<{ width: number; height: number }> => {
    for (;;) {
      // No event tells of a first frame: each answer is awaited, and asked again until there is a picture.
      const found = await display.screenshot({ name: '1/0', scanout: 0, path }).catch(() => undefined);
      if (found !== undefined && found.flush_count > 0) return found;
    }
  };
  t.match(await withDeadline(shown(), RECOVERY_MS, 'the picture'), { width: 1024, height: 768 });
  t.equal(await session.store.read(`${homePath(1)}/${FRONT}`), '4', 'without another handshake');

  t.equal(guest.child.exitCode, null);
  guest.child.kill('SIGKILL');
  await guest.ended();
  const destroyed = await xenwire(t, ['destroy', 'gpu-guest', '--run-dir', runDir]);
  t.equal(destroyed.status, 0, destroyed.stderr);
  t.same(
    (await session.hypervisor.domctl_getdomaininfolist({})).domains.filter(({ domid }) => domid !== 0),
    [],
  );
  await t.rejects(session.store.read(`${homePath(1)}/name`), { code: 'ENOENT' });
});

t.test(
  'a guest of shared buffers and packed rings shows its picture and powers off in order, and a picture that its domain cannot hold is a mistake',
  longTest(),
  async (t) => {
    const lab = await startLab(t);
    const { runDir, session, until } = lab;
    const guest = await startGuest(t, lab, '--buffers', 'shared', '--rings', 'packed');
    await guest.logged(/"rings":"packed","msg":"the picture is shown"/);
    const path = join(runDir, 'frames', 'shared.png');
    const display = (await session.connect('vhost-gpu')).remote('Display');
    await display.screenshot({ name: '1/0', scanout: 0, path });
    t.same(readPng(path), readPng(join(PACKAGE_ROOT, 'examples', 'test-card.png')));
    await session.store.write(`${homePath(1)}/${CONTROL_KEY.shutdown}`, 'poweroff');
    t.equal(await guest.ended(), 0, guest.stderr);
    const { domains } = await session.hypervisor.domctl_getdomaininfolist({});
    t.match(
      domains.find(({ domid }) => domid === 1),
      { state: 'shutdown', shutdown_reason: 0 },
    );
    t.equal(await session.store.read(`${homePath(1)}/${FRONT}`), '6');
    await until(`${homePath(0)}/backend/virtio-mmio/1/0/state`, '6');

    const [config, image] = [join(runDir, 'small.cfg'), join(runDir, 'large.png')];
    writeFileSync(config, 'name = "small"\nmemory = 8\nvirtio = [ "type=virtio,device10,transport=mmio" ]\n');
    await writePng(image, { width: 1600, height: 1200, rgba: new Uint8Array(1600 * 1200 * 4) });
    t.equal((await xenwire(t, ['create', config, '--no-process', '--run-dir', runDir])).status, 0);
    const small = await xenwire(t, ['guest', '--name', 'small', '--image', image, '--run-dir', runDir]);
    t.equal(small.status, 2);
    t.match(small.stderr, /large\.png \(1600x1200\) needs 7\.6 MiB, and the domain has 6\.0 MiB free\n$/);
  },
);
