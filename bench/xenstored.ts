// `npm run bench:xenstored`: our xenstored and Debian's C one, in turn, in one run: Xen's own test program, parallel
// clients, watch fan-out, a large store. Both daemons live side by side and take turns measurement by measurement, so that
// a neighbour's burst hits both; medians over the turns. A table with the bars goes to standard error, one JSON object to
// standard output; what could not be run for want of a program is said.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { command, integerBetween } from '../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { buildC } from '../measure/floor/c-programs.js';
import { runBench } from '../measure/owned/bench.js';
import { C_DAEMON_NEEDS, type Daemon, missing, startC, startOurs, TEST_XENSTORE } from '../testkit/xenstored-peers.js';

const run = promisify(execFile);
const MAIN = pathToFileURL(join(PACKAGE_ROOT, 'dist/services/xenstored/main.js'));

/** Of the design: mean over the cases of Xen's test program, and requests a second of 16 clients; ours to the C daemon's. */
const BARS: Readonly<Record<string, { readonly max?: number; readonly min?: number }>> = {
  'test-xenstore mean': { max: 0.5 },
  'requests a second, 16 clients': { min: 1.5 },
};

interface Options {
  readonly iterations: number;
  readonly rounds: number;
  readonly repeats: number;
}

/** One turn's figures of one daemon: what was measured -> how much. */
type Figures = Record<string, number>;

class Teardowns {
  readonly #actions: (() => void | Promise<void>)[] = [];
  teardown(action: () => void | Promise<void>): void {
    this.#actions.push(action);
  }
  async run(): Promise<void> {
    for (let action = this.#actions.pop(); action !== undefined; action = this.#actions.pop()) await action();
  }
}

async function testXenstore(daemon: Daemon, iterations: number): Promise<Record<string, number>> {
  const env = { ...process.env, XENSTORED_PATH: daemon.socket };
  const { stdout } = await run(TEST_XENSTORE, ['-i', String(iterations)], { env });
  const rows = [...stdout.matchAll(/^(.+?)\s*: avg: (\d+) ns/gm)];
  return Object.fromEntries(rows.map(([, name, ns]) => [name, Number(ns)]));
}

/** CPU time of a process, user and system, in clock ticks. */
async function ticks(pid: number): Promise<number> {
  const { stdout } = await run('cat', [`/proc/${pid}/stat`]);
  const fields = stdout.slice(stdout.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

const IDLE_MS = 2000;
const TICKS_PER_SECOND = 100;

async function idleCpuPercent(daemon: Daemon): Promise<number> {
  const before = await ticks(daemon.process.pid);
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const used = (await ticks(daemon.process.pid)) - before;
  return (used / TICKS_PER_SECOND / (IDLE_MS / 1000)) * 100;
}

/** What is measured, each in a turn of its own. */
function measurements(load: string, options: Options): ((daemon: Daemon) => Promise<Figures>)[] {
  const loadRun = async (daemon: Daemon, mode: string, count: number, rounds: number): Promise<Figures> =>
    JSON.parse((await run(load, [daemon.socket, mode, String(count), String(rounds)])).stdout) as Figures;
  return [
    async (daemon) => {
      const cases = await testXenstore(daemon, options.iterations);
      const ns = Object.fromEntries(Object.entries(cases).map(([name, value]) => [`test-xenstore ${name}, ns`, value]));
      return { ...ns, 'test-xenstore mean': mean(Object.values(cases)) };
    },
    ...[1, 4, 16].map((clients) => async (daemon: Daemon): Promise<Figures> => {
      const { requestsPerSecond } = await loadRun(daemon, 'clients', clients, Math.ceil(options.rounds / clients));
      return { [`requests a second, ${clients} clients`]: requestsPerSecond as number };
    }),
    async (daemon) => {
      const { nsPerWrite, nsPerEvent } = await loadRun(daemon, 'fanout', 1000, 100);
      return { 'write heard by 1000 watches, ns': nsPerWrite as number, 'an event of those, ns': nsPerEvent as number };
    },
    async (daemon) => {
      const { nsPerNode, readNsSmall, readNsFull } = await loadRun(daemon, 'nodes', 100_000, 5000);
      return {
        'making one of 100,000 nodes, ns': nsPerNode as number,
        'reading, small store, ns': readNsSmall as number,
        'reading, 100,000 nodes, ns': readNsFull as number,
      };
    },
    async (daemon) => ({ 'idle, % of a core': await idleCpuPercent(daemon) }),
  ];
}

const mean = (numbers: number[]): number => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

interface Turn {
  readonly ours: Figures;
  readonly theirs: Figures;
}

/** Starts both, lets each measurement run on the one, then the other; who is first changes from turn to turn. */
async function takeTurn(load: string, options: Options, oursFirst: boolean): Promise<Turn> {
  const owner = new Teardowns();
  try {
    const daemons = { theirs: await startC(owner), ours: await startOurs(owner, [], [], MAIN) };
    const turn: Turn = { ours: {}, theirs: {} };
    const order = oursFirst ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const);
    // Warms caches and our compiler; not counted.
    for (const who of order) await testXenstore(daemons[who], Math.min(options.iterations, 2000));
    for (const measurement of measurements(load, options)) {
      for (const who of order) Object.assign(turn[who], await measurement(daemons[who]));
    }
    return turn;
  } finally {
    await owner.run();
  }
}

interface Row {
  readonly what: string;
  readonly ours: number;
  readonly theirs: number;
  /** Median of the turns' ratios, ours to theirs; absent for what is near 0. */
  readonly ratio?: number;
  readonly ratioMin?: number;
  readonly ratioMax?: number;
  readonly max?: number;
  readonly min?: number;
  readonly met?: boolean;
}

function rowOf(what: string, turns: readonly Turn[]): Row {
  const of = (who: keyof Turn): number[] => turns.map((turn) => turn[who][what] as number);
  const row = { what, ours: median(of('ours')), theirs: median(of('theirs')) };
  if (what.startsWith('idle')) return row;
  const ratios = turns.map(({ ours, theirs }) => (ours[what] as number) / (theirs[what] as number));
  const ratio = median(ratios);
  const spread = { ratio, ratioMin: Math.min(...ratios), ratioMax: Math.max(...ratios) };
  const bar = BARS[what];
  if (bar === undefined) return { ...row, ...spread };
  const { max = Number.POSITIVE_INFINITY, min = 0 } = bar;
  return { ...row, ...spread, ...bar, met: ratio <= max && ratio >= min };
}

function table(rows: readonly Row[]): string {
  const number = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
  const lines = rows.map(({ what, ours, theirs, ratio, ratioMin, ratioMax, max, min, met }) => {
    const cells = [what.padEnd(34), number(ours).padStart(12), number(theirs).padStart(12)];
    if (ratio === undefined) return cells.join(' ');
    cells.push(ratio.toFixed(2).padStart(7), `(${ratioMin?.toFixed(2)}-${ratioMax?.toFixed(2)})`.padStart(12));
    const bar = max === undefined ? (min === undefined ? undefined : `at least ${min}`) : `at most ${max}`;
    if (bar !== undefined) cells.push(`  ${bar}: ${met ? 'met' : 'MISSED'}`);
    return cells.join(' ');
  });
  const head = `${' '.repeat(34)} ${'ours'.padStart(12)} ${'C daemon'.padStart(12)} ${'ratio'.padStart(7)}`;
  return `${[head, ...lines].join('\n')}\n`;
}

async function bench(options: Options): Promise<void> {
  const absent = missing(...C_DAEMON_NEEDS, TEST_XENSTORE);
  if (absent !== false) {
    process.stdout.write(`${JSON.stringify({ skipped: absent })}\n`);
    return;
  }
  const dir = mkdtempSync(join(tmpdir(), 'xb-'));
  try {
    const load = await buildC('bench/c/xenstore-load.c', dir);
    if (load === undefined) throw new Error('no C compiler');
    const turns: Turn[] = [];
    const before = loadavg()[0];
    for (let turn = 0; turn < options.repeats; turn++) turns.push(await takeTurn(load, options, turn % 2 === 1));
    const rows = Object.keys((turns[0] as Turn).ours).map((what) => rowOf(what, turns));
    process.stderr.write(table(rows));
    const host = { cores: cpus().length, cpu: cpus()[0]?.model, node: process.version, load: [before, loadavg()[0]] };
    process.stdout.write(`${JSON.stringify({ host, options, rows, turns }, null, 2)}\n`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const program = command('bench:xenstored')
  .description('our xenstored against the C daemon')
  .option('--iterations <count>', 'of each case of test-xenstore', integerBetween(1, 1_000_000), 2000)
  .option('--rounds <count>', 'WRITE and READ pairs, shared by the clients', integerBetween(16, 10_000_000), 20_000)
  .option('--repeats <count>', 'runs of each daemon, in turn', integerBetween(1, 100), 3)
  .action(bench);
await runBench(program);
