// Kills processes of a lab whose guests are still booting: the next one each time that as many guests more have a process, so that the
// kills are spread over the boot on a machine of any speed. Sees the lab from outside, as its run directory lists it. Leaves whether
// the pictures are right in the end to the lab.
import { join } from 'node:path';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { DeadlineError } from '../../lib/core/errors.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { listProcesses, type ProcessEntry } from '../../lib/node/process/run-dir.js';
import { lookAgain } from '../../lib/node/process/wait.js';

/** In turn. A guest that is killed boots again where its configuration says on_crash = "restart". */
const VICTIMS = ['vhost-gpu', 'xenstored', 'vhost-frontend', 'guest'] as const;

export interface Kill {
  readonly victim: string;
  /** How many guests had a process then. */
  readonly guests: number;
}

/** Guests of such a lab: made anew whatever ends them. */
export const RESTARTING = join(PACKAGE_ROOT, 'examples', 'restarting-guest.cfg');
const LOOK_MS = 5;

function running(runDir: string): ProcessEntry[] {
  try {
    return listProcesses(runDir).filter(({ state }) => state !== 'dead' && state !== 'starting');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return []; // there is no lab yet
  }
}

const guestsOf = (entries: readonly ProcessEntry[]): ProcessEntry[] =>
  entries.filter(({ name }) => name.startsWith('guest-'));

const later = (one: ProcessEntry | undefined, other: ProcessEntry): ProcessEntry =>
  one !== undefined && one.pid > other.pid ? one : other;

/**
 * Kills `count` processes with SIGKILL while `guests` guests boot. Resolves with what was killed, fewer when `over` aborts first; rejects
 * with DeadlineError when the lab comes no further.
 */
export async function killWhileBooting(
  runDir: string,
  guests: number,
  count: number,
  over: AbortSignal,
): Promise<Kill[]> {
  const kills: Kill[] = [];
  const late = AbortSignal.timeout(DEADLINE_MS.firstFrame * 2);
  const killed = new Set<number>();
  while (kills.length < count) {
    const kind = VICTIMS[kills.length % VICTIMS.length]!;
    const wanted = Math.max(1, Math.floor(((kills.length + 1) * guests) / (count + 1)));
    const due = async (): Promise<ProcessEntry | undefined> => {
      const entries = running(runDir);
      const booting = guestsOf(entries);
      if (booting.length < wanted) return undefined;
      const candidates = kind === 'guest' ? booting : entries.filter(({ name }) => name === kind);
      // The guest that came last: it has not shown anything yet, if any has not.
      return candidates.filter(({ pid }) => !killed.has(pid)).reduce<ProcessEntry | undefined>(later, undefined);
    };
    const victim = await lookAgain(due, LOOK_MS, AbortSignal.any([over, late]));
    if (victim === undefined) {
      if (late.aborted) throw new DeadlineError(`no ${kind} to kill after ${kills.length} kills`);
      return kills;
    }
    killed.add(victim.pid);
    kills.push({ victim: victim.name, guests: guestsOf(running(runDir)).length });
    process.kill(victim.pid, 'SIGKILL');
  }
  return kills;
}
