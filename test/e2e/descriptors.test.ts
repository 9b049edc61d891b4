// Guests that come and go, and device servers that die, leave every other process with the descriptors that it had.
import { join } from 'node:path';
import t from 'tap';
import { countDescriptors, descriptorLeaks } from '../../lab/descriptors.js';
import { openRunningSession } from '../../lab/session.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { listProcesses } from '../../lib/node/process/run-dir.js';
import { longTest } from '../../testkit/tier.js';
import { destroyGuest, listGuests } from '../../toolstack/domain.js';
import { processNamed, registered, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
const SERVICES = ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend'];
const SETTLE_MS = 3000;

t.test('descriptors after each round of life and death are those of the first', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  for (const name of SERVICES) startXenwire(t, [name, '--run-dir', runDir]);
  for (const name of SERVICES) await registered(runDir, name, /ready/);
  const session = await openRunningSession(runDir);
  t.teardown(() => session.close());

  const round = async (end: 'destroyed' | 'killed'): Promise<void> => {
    const guest = startXenwire(t, ['guest', '--name', 'gpu-guest', '--run-dir', runDir]);
    const created = await xenwire(t, ['create', CONFIG, '--no-process', '--wait', '--run-dir', runDir]);
    t.equal(created.status, 0, created.stderr);
    if (end === 'killed') {
      guest.child.kill('SIGKILL');
      await guest.ended();
    }
    for (const one of await listGuests(session)) await destroyGuest(session, one);
    await guest.ended();
  };
  await round('destroyed');
  await round('killed');
  const before = countDescriptors(runDir);
  t.same([...before.keys()].map((key) => key.split(' ')[0]).sort(), [...SERVICES].sort());

  for (let i = 0; i < 2; i++) {
    await round('destroyed');
    await round('killed');
    process.kill(processNamed(runDir, 'vhost-gpu').pid, 'SIGKILL');
    while (listProcesses(runDir).some(({ name, state }) => name === 'vhost-gpu' && state !== 'dead'))
      await new Promise<void>((resolve) => setImmediate(resolve));
    startXenwire(t, ['vhost-gpu', '--run-dir', runDir]);
    await registered(runDir, 'vhost-gpu', /ready/);
  }
  // Sockets of the ended are closed as their ends are heard of.
  const signal = AbortSignal.timeout(SETTLE_MS);
  while (!signal.aborted && descriptorLeaks(before, countDescriptors(runDir)).length > 0)
    await new Promise<void>((resolve) => setImmediate(resolve));
  t.same(descriptorLeaks(before, countDescriptors(runDir)), []);
});

t.test('a leak is told by process and kind', async (t) => {
  const before = new Map([['one (1)', new Map([['socket', 3]])]]);
  const after = new Map([
    [
      'one (1)',
      new Map([
        ['socket', 5],
        ['eventfd', 1],
      ]),
    ],
    ['two (2)', new Map([['socket', 9]])],
  ]);
  t.same(descriptorLeaks(before, after), [
    'one (1): 5 descriptors of kind socket, 3 before',
    'one (1): 1 descriptors of kind eventfd, 0 before',
  ]);
  t.same(descriptorLeaks(before, before), []);
});
