// What is measured of a xenstored: Xen's own test program, clients in parallel, watches, a large store, a crowd of idle clients, guests'
// rings, and the memory that each of these takes. Each measurement gives its figures by the name of their row. Leaves the loads
// themselves to bench/c, and who is measured when to ../xenstored.ts.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { processorPercent } from '../../measure/latency/machine.js';
import type { Owner } from '../../testkit/processes.js';
import { type Daemon, TEST_XENSTORE } from '../../testkit/xenstored-peers.js';
import { owned, startDaemon, startRings, type Who } from './daemons.js';

const run = promisify(execFile);

/** What was measured -> how much. */
export type Figures = Readonly<Record<string, number>>;

export interface Sizes {
  readonly iterations: number;
  readonly rounds: number;
  readonly nodes: number;
  readonly watches: number;
  readonly clients: number;
  /** Over which processor time of an idle daemon is counted. */
  readonly idleMs: number;
}

/** Built programs of bench/c. */
export interface Loads {
  readonly load: string;
  readonly weight: string;
  readonly rings: string;
}

export interface Measurement {
  /** Of a daemon that other measurements share. */
  readonly shared?: (daemon: Daemon) => Promise<Figures>;
  /** Of a daemon of its own; undefined where that daemon cannot do it. */
  readonly alone?: (who: Who, owner: Owner) => Promise<Figures | undefined>;
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;

export async function testXenstore(daemon: Daemon, iterations: number): Promise<Record<string, number>> {
  const env = { ...process.env, XENSTORED_PATH: daemon.socket };
  const { stdout } = await run(TEST_XENSTORE, ['-i', String(iterations)], { env });
  const rows = [...stdout.matchAll(/^(.+?)\s*: avg: (\d+) ns/gm)];
  return Object.fromEntries(rows.map(([, name, ns]) => [name, Number(ns)]));
}

/** Resident memory of a process in bytes. proc(5). */
function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024;
}

interface Weighed {
  /** Nanoseconds of a read before and with the load. */
  readonly ns: readonly [number, number];
  /** Of the daemon, with the load and before. */
  readonly grownBytes: number;
}

/** Runs bench/c/xenstore-weight and looks at the daemon's memory at both of its stages. */
async function weigh(program: string, daemon: Daemon, what: string, count: number, rounds: number): Promise<Weighed> {
  const args = [daemon.socket, what, String(count), String(rounds)];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const ns: number[] = [];
  const resident: number[] = [];
  for await (const line of createInterface(child.stdout)) {
    ns.push((JSON.parse(line) as { ns: number }).ns);
    resident.push(residentBytes(daemon.process.pid));
    child.stdin.write('\n');
  }
  const [status] = await ended;
  if (status !== 0 || ns.length !== 2) throw new Error(`xenstore-weight ${what} ended with ${status}`);
  return { ns: [ns[0]!, ns[1]!], grownBytes: resident[1]! - resident[0]! };
}

const RING_GUESTS = [1, 4, 16] as const;
const WEIGHT_ROUNDS = 2000;

export function measurements({ load, weight, rings }: Loads, sizes: Sizes): Measurement[] {
  const { iterations, rounds, nodes, watches, clients, idleMs } = sizes;
  const loadRun = async (daemon: Daemon, mode: string, count: number, times: number): Promise<Figures> =>
    JSON.parse((await run(load, [daemon.socket, mode, String(count), String(times)])).stdout) as Figures;
  const grown = (what: string, count: number, row: string): Measurement => ({
    alone: async (who, owner) => {
      const { grownBytes } = await weigh(weight, await startDaemon(who, owner), what, count, WEIGHT_ROUNDS);
      return { [row]: grownBytes / count };
    },
  });
  const shown = (count: number): string => count.toLocaleString('en');
  return [
    {
      shared: async (daemon) => {
        const cases = await testXenstore(daemon, iterations);
        const ns = Object.fromEntries(
          Object.entries(cases).map(([name, value]) => [`test-xenstore ${name}, ns`, value]),
        );
        return { ...ns, 'test-xenstore mean': mean(Object.values(cases)) };
      },
    },
    ...[1, 4, 16].map((count) => ({
      shared: async (daemon: Daemon): Promise<Figures> => {
        const { requestsPerSecond } = await loadRun(daemon, 'clients', count, Math.ceil(rounds / count));
        return { [`requests a second, ${count} clients`]: requestsPerSecond! };
      },
    })),
    {
      shared: async (daemon) => {
        const { nsPerWrite, nsPerEvent } = await loadRun(daemon, 'fanout', 1000, Math.max(1, Math.round(rounds / 200)));
        return { 'write heard by 1,000 watches, ns': nsPerWrite!, 'an event of those, ns': nsPerEvent! };
      },
    },
    {
      shared: async (daemon) => {
        const found = await loadRun(daemon, 'nodes', nodes, Math.max(1, Math.round(rounds / 4)));
        return {
          [`making one of ${shown(nodes)} nodes, ns`]: found['nsPerNode']!,
          'reading, small store, ns': found['readNsSmall']!,
          [`reading, ${shown(nodes)} nodes, ns`]: found['readNsFull']!,
        };
      },
    },
    { shared: async (daemon) => ({ 'idle, % of a core': await processorPercent([daemon.process.pid], idleMs) }) },
    ...RING_GUESTS.map((guests) => ({
      alone: async (who: Who, owner: Owner): Promise<Figures | undefined> => {
        if (who === 'ocaml') return undefined;
        const domids = Array.from({ length: guests }, (_, index) => index + 1);
        const daemon = await startRings(who, owner, domids);
        const each = (times: number): string[] => [daemon.dir, daemon.socket, String(guests), String(times)];
        const { stdout } = await run(rings, each(Math.ceil(rounds / guests)));
        const { readsPerSecond } = JSON.parse(stdout) as { readsPerSecond: number };
        return { [`reads a second, ${guests} guests on rings`]: readsPerSecond };
      },
    })),
    {
      alone: async (who, owner) => {
        const daemon = await startDaemon(who, owner);
        const { ns, grownBytes } = await weigh(weight, daemon, 'clients', clients, WEIGHT_ROUNDS);
        return {
          'a read, one client, ns': ns[0],
          [`a read beside ${shown(clients)} idle clients, ns`]: ns[1],
          'memory a client, bytes': grownBytes / clients,
        };
      },
    },
    grown('nodes', nodes, 'memory a node, bytes'),
    grown('watches', watches, 'memory a watch, bytes'),
  ];
}

/** The figures of `who` by one measurement; undefined where that daemon cannot do it. */
export function figuresOf(
  { shared, alone }: Measurement,
  who: Who,
  daemon: Daemon,
): Promise<Figures | undefined> | undefined {
  return shared === undefined ? alone && owned((owner) => alone(who, owner)) : shared(daemon);
}
