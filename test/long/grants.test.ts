// A guest whose device server is given granted pages alone, beside one whose server maps all of it: both draw, backend,
// device server and guest die, and the hypervisor holds nothing of them afterwards.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openRunningSession } from '../../lab/session.js';
import { DATA_KEY, homePath } from '../../lib/layout/xenbus.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { temporaryRunDir } from '../../testkit/processes.js';
import { leftovers, processNamed, registered, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
const SERVICES = ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend'];
/** Each recovery is promised within two seconds (docs/recovery.md); the rest is what a busy machine takes to start a process. */
const RECOVERY_MS = 5000;

/** The example's guest under another name, with grants. */
function configWithGrants(t: Test, name: string): string {
  const text = readFileSync(CONFIG, 'utf8').replace('"gpu-guest"', `"${name}"`);
  const granted = text.replace('grant_usage=0', 'grant_usage=1');
  t.not(granted, text);
  const path = join(temporaryRunDir(t), `${name}.cfg`);
  writeFileSync(path, granted);
  return path;
}

t.test('whole labs draw with grants, whatever way notifications take', async (t) => {
  const config = configWithGrants(t, 'granted');
  for (const more of [
    ['--guests', '2', '--path', 'evtchnfd,direct'],
    ['--notify', 'zmq'],
  ]) {
    const runDir = temporaryLabDir(t);
    const args = ['up', '--once', '--json', '--config', config, '--run-dir', runDir, ...more];
    const { status, stdout, stderr } = await xenwire(t, args);
    t.equal(status, 0, stderr);
    t.match(JSON.parse(stdout), { result: 'ok', frame: { mismatchedPixels: 0 }, leaks: [] });
    t.same(leftovers(runDir), []);
  }
});

t.test('beside a guest without grants; backend, device server and guest die; nothing is held', async (t) => {
  const runDir = temporaryLabDir(t);
  for (const name of SERVICES) startXenwire(t, [name, '--run-dir', runDir]);
  for (const name of SERVICES) await registered(runDir, name, /ready/);
  const session = await openRunningSession(runDir);
  t.teardown(() => session.close());
  const control = (await session.connect('hypervisor')).remote('Control');
  /** What the hypervisor holds that has to do with memory: "kind domid". */
  const memory = async (): Promise<string[]> => {
    const { held } = await control.audit({});
    const kinds = ['grant', 'gntdev', 'mapping'];
    return [
      ...new Set(held.filter(({ kind }) => kinds.includes(kind)).map((h) => `${h.kind} ${h.name.split('/')[0]}`)),
    ];
  };
  const create = async (name: string, config: string) => {
    const guest = startXenwire(t, ['guest', '--name', name, '--run-dir', runDir]);
    const created = await xenwire(t, ['create', config, '--no-process', '--wait', '--run-dir', runDir]);
    t.equal(created.status, 0, created.stderr);
    return guest;
  };
  const shown = async (name: string): Promise<void> => {
    const display = (await session.connect('vhost-gpu')).remote('Display');
    const path = join(runDir, 'frames', `${name.replace('/', '-')}.png`);
    const found = async (): Promise<void> => {
      for (;;) {
        // No event tells of a first frame: each answer is awaited, and asked again until there is a picture.
        const answer = await display.screenshot({ name, scanout: 0, path }).catch(() => undefined);
        if (answer !== undefined && answer.flush_count > 0) return;
      }
    };
    await withDeadline(found(), RECOVERY_MS, `the picture of ${name}`);
  };

  const granted = await create('granted', configWithGrants(t, 'granted'));
  await create('gpu-guest', CONFIG);
  t.same((await memory()).sort(), ['gntdev 1', 'grant 1', 'mapping 2']);

  const frame = `${homePath(1)}/${DATA_KEY.frame}`;
  process.kill(processNamed(runDir, 'vhost-frontend').pid, 'SIGKILL');
  await session.store.write(frame, '');
  startXenwire(t, ['vhost-frontend', '--run-dir', runDir]);
  let look: () => void = () => {};
  await session.store.watch(frame, 'frame', () => look());
  const drawn = async (): Promise<void> => {
    for (;;) {
      const changed = new Promise<void>((resolve) => {
        look = resolve;
      });
      if ((await session.store.read(frame)) === '1') return;
      await changed;
    }
  };
  await withDeadline(drawn(), RECOVERY_MS, 'the picture, by another backend');

  process.kill(processNamed(runDir, 'vhost-gpu').pid, 'SIGKILL');
  startXenwire(t, ['vhost-gpu', '--run-dir', runDir]);
  await shown('1/0');
  await shown('2/0');
  t.same((await memory()).sort(), ['gntdev 1', 'grant 1', 'mapping 2']);

  granted.child.kill('SIGKILL');
  await granted.ended();
  t.equal((await xenwire(t, ['destroy', 'granted', '--run-dir', runDir])).status, 0);
  const back = async (): Promise<void> => {
    while ((await memory()).some((held) => !held.endsWith(' 2'))); // each look is a round trip
  };
  await withDeadline(back(), RECOVERY_MS, 'the end of everything that was held of the guest');
  const { domains } = await session.hypervisor.domctl_getdomaininfolist({});
  t.same(
    domains.map(({ domid }) => domid),
    [0, 2],
  );
  t.equal((await xenwire(t, ['destroy', 'gpu-guest', '--run-dir', runDir])).status, 0);
  t.same(await memory(), []);
});
