// Runs the checks of the clauses: those of registers in this process, the others on a server, each on a connection of its own.
// Leaves what starts the server to its caller.
import { errorMessage } from '../lib/core/errors.js';
import { DEVICE_CHECKS } from './checks/device.js';
import { GPU_CHECKS } from './checks/gpu.js';
import { REGISTER_CHECKS, type RegisterModel, Registers } from './checks/registers.js';
import { RING_CHECKS } from './checks/rings.js';
import { VHOST_USER_CHECKS } from './checks/vhost-user.js';
import { CLAUSES, type Clause } from './clauses.js';
import { DeviceEnd } from './device-end.js';
import { type Outcome, skip, type Verdict } from './outcome.js';
import { ServerEnd } from './server-end.js';

/** A server to be checked. */
export interface Target {
  /** As reports name it. */
  readonly name: string;
  /**
   * Registers are ours: a server has none. 'ours': checked as they are; 'before it': as they stand before this server, with
   * its features and its config space; 'none': not checked.
   */
  readonly registers: 'ours' | 'before it' | 'none';
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
  const model = target.registers === 'before it' ? await modelOf(target, signal) : undefined;
  for (const clause of CLAUSES) {
    if (signal.aborted) break;
    if (ids !== undefined && !ids.includes(clause.id)) continue;
    const verdict = await check(clause, target, model, signal);
    const result = { clause, outcome: verdict?.outcome, detail: verdict?.detail ?? '' };
    results.push(result);
    tell(result);
  }
  return results;
}

/** What registers before the server are made of. Rejects when it does not greet. */
async function modelOf(target: Target, signal: AbortSignal): Promise<RegisterModel> {
  return connected(target, signal, async (end) => (await DeviceEnd.open(end)).model);
}

async function connected<T>(target: Target, signal: AbortSignal, use: (end: ServerEnd) => Promise<T>): Promise<T> {
  const server = await target.open();
  try {
    const end = await ServerEnd.connect(server.path, signal);
    try {
      return await use(end);
    } finally {
      end.close();
    }
  } finally {
    await server.close();
  }
}

async function check(
  { id }: Clause,
  target: Target,
  model: RegisterModel | undefined,
  signal: AbortSignal,
): Promise<Verdict | undefined> {
  const registers = REGISTER_CHECKS[id];
  if (registers !== undefined)
    return target.registers === 'none' ? skip('registers are of the front-end') : registers(new Registers(model));
  const onServer = serverCheck(id);
  if (onServer === undefined) return undefined;
  return connected(target, signal, async (end) => {
    try {
      return await onServer(end);
    } catch (error) {
      return { outcome: end.ended ? 'WEDGED' : 'FAIL', detail: errorMessage(error) };
    }
  });
}

/** The check of a clause on a server that was just connected to; undefined: there is none. */
function serverCheck(id: string): ((end: ServerEnd) => Promise<Verdict>) | undefined {
  const device = DEVICE_CHECKS[id];
  if (device !== undefined) return async (end) => device(await DeviceEnd.open(end), end);
  const vhostUser = VHOST_USER_CHECKS[id];
  if (vhostUser !== undefined)
    return async (end) => {
      await end.greet();
      return vhostUser(end);
    };
  const ring = RING_CHECKS[id];
  const rings = ring?.check ?? GPU_CHECKS[id];
  if (rings === undefined) return undefined;
  const packed = ring?.packed ?? false;
  return async (end) => {
    await end.greet();
    if (packed && !end.offersPacked) return skip('no packed rings');
    await end.start(packed);
    return rings(end);
  };
}
