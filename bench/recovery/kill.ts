// One kill of a process of a lab that draws, and the time until every screen is right again. Leaves which and how often to
// recovery.ts and soak.ts.
import { DEADLINE_MS, PROMISE_MS } from '../../lib/core/deadlines.js';
import { ErrnoError, PeerDiedError } from '../../lib/core/errors.js';
import { listProcesses } from '../../lib/node/process/run-dir.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { listGuests } from '../../toolstack/domain.js';
import type { RecoveryLab } from './lab.js';

/** What may be killed, and within how many milliseconds it was promised to be back (docs/recovery.md). */
export const VICTIMS = {
  xenstored: PROMISE_MS.xenstored,
  'vhost-frontend': PROMISE_MS.vhostFrontend,
  'vhost-gpu': PROMISE_MS.vhostGpu,
  guest: PROMISE_MS.guest,
  hypervisor: PROMISE_MS.hypervisor,
} as const;
export type Victim = keyof typeof VICTIMS;

/** From kill to kill at least: a process that dies more often is given up (lab/policy.ts). */
const PACE_NS = 600_000_000n;
const LOOK_MS = 5;

/**
 * Kills `victim` with SIGKILL; resolves to the milliseconds until all `guests` screens were right, once the lab has had a pause after
 * it. Rejects with DeadlineError or what else did not come back.
 */
export async function killOne(lab: RecoveryLab, victim: Victim, guests: number): Promise<number> {
  const name =
    victim === 'guest' ? listProcesses(lab.runDir).find((entry) => entry.name.startsWith('guest-'))!.name : victim;
  const before = lab.process(name);
  const old = victim === 'guest' ? await listGuests(lab.session) : [];
  const killedNs = process.hrtime.bigint();
  process.kill(before.pid, 'SIGKILL');
  if (victim === 'guest')
    await anotherDomain(
      lab,
      old.map(({ domid }) => domid),
      before.name,
    );
  if (victim === 'hypervisor') {
    await lab.forget();
    await lab.replaced(before, DEADLINE_MS.measuredRecovery);
    // The new host's servers and guests come one after the other; what is not there yet is asked for again.
    const all = async (): Promise<true | undefined> => {
      try {
        return (await lab.look()) >= guests ? true : undefined;
      } catch (error) {
        if (!(error instanceof PeerDiedError) && !(error instanceof ErrnoError)) throw error;
        return undefined;
      }
    };
    if ((await lookAgain(all, LOOK_MS, AbortSignal.timeout(DEADLINE_MS.measuredRecovery))) === undefined)
      throw new Error('no new guests');
  }
  // A store that is away keeps no frame back: its own answer is the recovery.
  if (victim === 'xenstored') await lab.session.store.read('/local/domain/0/domid').catch(() => undefined);
  const answeredNs = process.hrtime.bigint();
  const rightNs = await lab.allRight(killedNs, DEADLINE_MS.measuredRecovery);
  if (victim !== 'hypervisor') await lab.replaced(before, DEADLINE_MS.measuredRecovery);
  await lab.allRight(killedNs + PACE_NS, DEADLINE_MS.measuredRecovery);
  return Number((victim === 'xenstored' && answeredNs > rightNs ? answeredNs : rightNs) - killedNs) / 1e6;
}

/** The killed guest's domain goes, another one comes in its place. */
async function anotherDomain(lab: RecoveryLab, old: readonly number[], name: string): Promise<void> {
  const dead = await lookAgain(
    async () => {
      const guests = await listGuests(lab.session);
      const gone = old.find((domid) => !guests.some((guest) => guest.domid === domid));
      return gone !== undefined && guests.length === old.length ? gone : undefined;
    },
    LOOK_MS,
    AbortSignal.timeout(DEADLINE_MS.measuredRecovery),
  );
  if (dead === undefined) throw new Error(`${name}: no new domain`);
  await lab.drop(dead);
  await lab.look();
}
