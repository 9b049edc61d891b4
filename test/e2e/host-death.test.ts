// The death of the hypervisor: the host is gone. Every other process ends by itself and says why; a new host starts in the
// same run directory and shows a picture, whatever the dead one left there.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { startNode, type TestProcess, temporaryRunDir } from '../../testkit/processes.js';
import { longTest } from '../../testkit/tier.js';
import { registered, startXenwire } from '../fixtures/lab.js';

const SERVICES = ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend'] as const;
const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
const IMAGE = join(PACKAGE_ROOT, 'examples', 'test-card.png');
/** What is promised of the other processes (docs/host-death.md). */
const END_MS = 2000;

type Host = ReadonlyMap<string, TestProcess>;

async function startHost(t: Parameters<typeof startNode>[0], runDir: string): Promise<Host> {
  const service = (name: string, args: readonly string[] = []): TestProcess =>
    startNode(t, pathToFileURL(join(PACKAGE_ROOT, 'dist', 'services', name, 'main.js')), [
      '--run-dir',
      runDir,
      ...args,
    ]);
  // The guest waits first, beside what a dead hypervisor left: its token is of no use any more.
  const guest = service('guest', ['--name', 'gpu-guest', '--image', IMAGE]);
  await guest.logged(/waiting for domain/);
  const host = new Map<string, TestProcess>(SERVICES.map((name) => [name, service(name)]));
  host.set('guest', guest);
  for (const name of SERVICES) await registered(runDir, name, /ready/);
  return host;
}

async function picture(t: Parameters<typeof startNode>[0], runDir: string): Promise<{ status: unknown; said: string }> {
  const create = startXenwire(t, ['create', CONFIG, '--image', IMAGE, '--run-dir', runDir, '--no-process', '--wait']);
  const status = await create.ended(30_000);
  return { status, said: create.lines.join('\n') + create.stderr };
}

t.setTimeout(90_000);

t.test(
  'a killed hypervisor takes its host along, and the next one starts in the same directory',
  { timeout: 80_000 },
  async (t) => {
    const runDir = temporaryRunDir(t);
    const first = await startHost(t, runDir);
    const before = await picture(t, runDir);
    t.equal(before.status, 0, before.said);
    t.ok(
      readdirSync(join(runDir, 'shm')).some((name) => name.startsWith('evtchn')),
      'files that will be in the way',
    );

    first.get('hypervisor')!.child.kill('SIGKILL');
    const killed = process.hrtime.bigint();
    for (const [name, running] of first) {
      if (name === 'hypervisor') continue;
      t.equal(await running.ended(END_MS), 1, `${name} ends`);
      t.match(running.stderr, /hypervisor ended/, `${name} says why`);
    }
    t.comment(`all ended within ${Number(process.hrtime.bigint() - killed) / 1e6} ms`);

    await startHost(t, runDir);
    const after = await picture(t, runDir);
    t.equal(after.status, 0, after.said);
    t.match(after.said, /domain 1/, 'a new host counts from the beginning');
  },
);

t.test('a hypervisor that starts beside a living one touches nothing of it', longTest(), async (t) => {
  const runDir = temporaryRunDir(t);
  await startHost(t, runDir);
  const shown = await picture(t, runDir);
  t.equal(shown.status, 0, shown.said);
  const held = (): string[] => [...readdirSync(join(runDir, 'shm')), ...readdirSync(runDir)].sort();
  const before = held();
  const main = pathToFileURL(join(PACKAGE_ROOT, 'dist', 'services', 'hypervisor', 'main.js'));
  const second = startNode(t, main, ['--run-dir', runDir]);
  t.equal(await second.ended(), 2);
  t.match(second.stderr, /already running/);
  t.same(held(), before);
});
