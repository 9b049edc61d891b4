// Runs the checks of the clauses: those of registers in this process, the others on a server, each on a connection of its own.
// Leaves what starts the server to its caller.
import { errorMessage } from '../lib/core/errors.js';
import { GPU_CHECKS } from './checks/gpu.js';
import { REGISTER_CHECKS, Registers } from './checks/registers.js';
import { RING_CHECKS } from './checks/rings.js';
import { VHOST_USER_CHECKS } from './checks/vhost-user.js';
import { CLAUSES, type Clause } from './clauses.js';
import { type Outcome, skip, type Verdict } from './outcome.js';
import { ServerEnd } from './server-end.js';

/** A server to be checked. */
export interface Target {
  /** As reports name it. */
  readonly name: string;
  /** Registers are ours: another server has none. */
  readonly registers: boolean;
  /** A socket at which a server listens, which need serve one connection only. */
  open(): Promise<{ readonly path: string; close(): Promise<void> }>;
  /** After the last one. */
  close(): Promise<void>;
}

export interface Result {
  readonly clause: Clause;
  /** Undefined: no check (its test or gap says more). */
  readonly outcome: Outcome | undefined;
  readonly detail: string;
}

/** `ids`: only these. `tell` hears of each result as it comes. */
export async function runClauses(
  target: Target,
  signal: AbortSignal,
  { ids, tell = () => {} }: { ids?: readonly string[]; tell?: (result: Result) => void } = {},
): Promise<Result[]> {
  const results: Result[] = [];
  for (const clause of CLAUSES) {
    if (signal.aborted) break;
    if (ids !== undefined && !ids.includes(clause.id)) continue;
    const verdict = await check(clause, target, signal);
    const result = { clause, outcome: verdict?.outcome, detail: verdict?.detail ?? '' };
    results.push(result);
    tell(result);
  }
  return results;
}

async function check({ id }: Clause, target: Target, signal: AbortSignal): Promise<Verdict | undefined> {
  const registers = REGISTER_CHECKS[id];
  if (registers !== undefined)
    return target.registers ? registers(new Registers()) : skip('registers are of the front-end');
  const ring = RING_CHECKS[id];
  const gpu = GPU_CHECKS[id];
  const vhostUser = VHOST_USER_CHECKS[id];
  if ((ring ?? gpu ?? vhostUser) === undefined) return undefined;
  const server = await target.open();
  try {
    const end = await ServerEnd.connect(server.path, signal);
    try {
      await end.greet();
      if (vhostUser !== undefined) return await vhostUser(end);
      const packed = ring?.packed ?? false;
      if (packed && !end.offersPacked) return skip('no packed rings');
      await end.start(packed);
      return await (ring?.check ?? gpu!)(end);
    } catch (error) {
      return { outcome: end.ended ? 'WEDGED' : 'FAIL', detail: errorMessage(error) };
    } finally {
      end.close();
    }
  } finally {
    await server.close();
  }
}
