// What `xenwire up` and its processes hold after deaths that follow each other is what they held before: sockets to servers that
// ended are closed, and watches of guests that are gone are taken back, also in the process of `xenwire up` itself. Few
// deaths, told by number; `npm run bench:recovery -- --kills 200` is the long run.
import t from 'tap';
import { lasting, settledBooks } from '../../bench/recovery/audit.js';
import { RecoveryLab } from '../../bench/recovery/lab.js';
import { type DescriptorCounts, descriptorLeaks, descriptorsOf } from '../../lab/descriptors.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { longTest } from '../../testkit/tier.js';
import { listGuests } from '../../toolstack/domain.js';

const STEP_MS = 30_000;
const LOOK_MS = 20;
const ROUNDS = 2;
const SETTLED_MS = 10_000;
const CONFIG = new URL('../../../examples/restarting-guest.cfg', import.meta.url).pathname;

/** Kills a server; resolves once the next one is there and all screens are right. */
async function killServer(lab: RecoveryLab, name: string): Promise<void> {
  const before = lab.process(name);
  const ns = process.hrtime.bigint();
  process.kill(before.pid, 'SIGKILL');
  await lab.replaced(before, STEP_MS);
  await lab.allRight(ns, STEP_MS);
}

/** The same for a guest, whose next domain is looked at instead. */
async function killGuest(lab: RecoveryLab, name: string): Promise<void> {
  const old = (await listGuests(lab.session)).map(({ domid }) => domid);
  const ns = process.hrtime.bigint();
  process.kill(lab.process(name).pid, 'SIGKILL');
  const dead = await lookAgain(
    async () => {
      const now = (await listGuests(lab.session)).map(({ domid }) => domid);
      return now.length === old.length ? old.find((domid) => !now.includes(domid)) : undefined;
    },
    LOOK_MS,
    AbortSignal.timeout(STEP_MS),
  );
  if (dead === undefined) throw new Error(`${name}: no new domain`);
  await lab.drop(dead);
  await lab.look();
  await lab.allRight(ns, STEP_MS);
}

/** Descriptors of `xenwire up` and of this process, both of which hold a session. */
const toolstacks = (lab: RecoveryLab): DescriptorCounts =>
  new Map([lab.pid, process.pid].map((pid) => [String(pid), descriptorsOf(pid)]));

t.test('what is held after each death is what was held before it', longTest, async (t) => {
  const lab = await RecoveryLab.start(['--guests', '2', '--servers', '2', '--config', CONFIG, '--animate', '10']);
  t.teardown(() => lab.end());
  const round = async (): Promise<void> => {
    await killServer(lab, 'vhost-gpu-b');
    await killServer(lab, 'vhost-gpu');
    await killGuest(lab, 'guest-gpu-guest');
  };
  await round();
  const before = await settledBooks(lab);
  const ownBefore = toolstacks(lab);
  for (let done = 0; done < ROUNDS; done++) await round();
  t.same(await lasting(lab, before), []);
  // What follows a death in them takes a moment.
  const leaks = (): string[] => descriptorLeaks(ownBefore, toolstacks(lab));
  const settled = async (): Promise<true | undefined> => leaks().length === 0 || undefined;
  await lookAgain(settled, LOOK_MS, AbortSignal.timeout(SETTLED_MS));
  t.same(leaks(), [], 'no more descriptors of xenwire up, and of our own session');
  t.equal(lab.torn, 0);
});
