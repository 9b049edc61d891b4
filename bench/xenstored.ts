// `npm run bench:xenstored`: our xenstored and Debian's C one, in turn, in one run: Xen's own test program, parallel
// clients, watch fan-out, a large store. Prints one JSON object with the ratios that count; what could not be run for
// want of a program is left out and said.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { command, EXIT, integerBetween, runCommand } from '../lib/node/cli.js';
import { PACKAGE_ROOT } from '../lib/node/package-root.js';
import {
  C_DAEMON_NEEDS,
  type Daemon,
  missing,
  startC,
  startOurs,
  TEST_XENSTORE,
} from '../test/peers/xenstored-peers.js';
import { buildC } from './floor/c-programs.js';

const run = promisify(execFile);
const MAIN = pathToFileURL(join(PACKAGE_ROOT, 'dist/services/xenstored/main.js'));

/** Of the design: mean over the cases of Xen's test program; requests a second of 16 clients. */
const AIM = { testXenstoreRatioMax: 0.6, clients16RatioMin: 1 } as const;

interface Options {
  readonly iterations: number;
  readonly rounds: number;
  readonly repeats: number;
}

interface Figures {
  /** Mean ns by case. */
  testXenstore: Record<string, number>;
  requestsPerSecond: Record<string, number>;
  fanout1000: { nsPerWrite: number; nsPerEvent: number };
  nodes100000: { nsPerNode: number; readNsSmall: number; readNsFull: number };
  idleCpuPercent: number;
}

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

async function measure(daemon: Daemon, load: string, options: Options): Promise<Figures> {
  const loadRun = async (mode: string, count: number, rounds: number): Promise<Record<string, number>> =>
    JSON.parse((await run(load, [daemon.socket, mode, String(count), String(rounds)])).stdout) as Record<
      string,
      number
    >;
  await testXenstore(daemon, Math.min(options.iterations, 2000)); // warms caches and our compiler; not counted
  const requestsPerSecond: Record<string, number> = {};
  for (const clients of [1, 4, 16]) {
    const { requestsPerSecond: rate } = await loadRun('clients', clients, Math.ceil(options.rounds / clients));
    requestsPerSecond[clients] = rate as number;
  }
  return {
    testXenstore: await testXenstore(daemon, options.iterations),
    requestsPerSecond,
    fanout1000: (await loadRun('fanout', 1000, 100)) as unknown as Figures['fanout1000'],
    nodes100000: (await loadRun('nodes', 100_000, 5000)) as unknown as Figures['nodes100000'],
    idleCpuPercent: await idleCpuPercent(daemon),
  };
}

const mean = (numbers: number[]): number => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;

function ratios(ours: Figures, theirs: Figures) {
  const names = Object.keys(theirs.testXenstore);
  const of = (name: string): number => (ours.testXenstore[name] as number) / (theirs.testXenstore[name] as number);
  const total = (figures: Figures): number => mean(Object.values(figures.testXenstore));
  return {
    testXenstoreMean: total(ours) / total(theirs),
    testXenstoreMeanOfRatios: mean(names.map(of)),
    testXenstoreByCase: Object.fromEntries(names.map((name) => [name, of(name)])),
    requestsPerSecond: Object.fromEntries(
      Object.keys(theirs.requestsPerSecond).map((clients) => [
        clients,
        (ours.requestsPerSecond[clients] as number) / (theirs.requestsPerSecond[clients] as number),
      ]),
    ),
    fanout1000NsPerEvent: ours.fanout1000.nsPerEvent / theirs.fanout1000.nsPerEvent,
    nodes100000Read: ours.nodes100000.readNsFull / theirs.nodes100000.readNsFull,
  };
}

async function bench(options: Options): Promise<void> {
  const absent = missing(...C_DAEMON_NEEDS, TEST_XENSTORE);
  if (absent !== false) {
    process.stdout.write(`${JSON.stringify({ skipped: absent })}\n`);
    return;
  }
  const dir = mkdtempSync(join(tmpdir(), 'xb-'));
  try {
    const load = await buildC('xenstore-load', dir);
    if (load === undefined) throw new Error('no C compiler');
    const runs: { ours: Figures; theirs: Figures }[] = [];
    for (let repeat = 0; repeat < options.repeats; repeat++) {
      const one = async (start: (owner: Teardowns) => Promise<Daemon>): Promise<Figures> => {
        const owner = new Teardowns();
        try {
          return await measure(await start(owner), load, options);
        } finally {
          await owner.run();
        }
      };
      runs.push({
        theirs: await one((owner) => startC(owner)),
        ours: await one((owner) => startOurs(owner, [], [], MAIN)),
      });
    }
    // The run in the middle stands for all: neighbours disturb single ones.
    const sorted = runs
      .map((each) => ({ ...each, ratios: ratios(each.ours, each.theirs) }))
      .sort((a, b) => a.ratios.testXenstoreMean - b.ratios.testXenstoreMean);
    const middle = sorted[Math.floor(sorted.length / 2)];
    const all = sorted.map(({ ratios: each }) => each.testXenstoreMean);
    const host = { cores: cpus().length, cpu: cpus()[0]?.model, node: process.version, load: loadavg()[0] };
    process.stdout.write(
      `${JSON.stringify({ host, options, aim: AIM, ...middle, testXenstoreMeanOfRuns: all }, null, 2)}\n`,
    );
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
process.exitCode = (await runCommand(program, process.argv.slice(2))) || EXIT.OK;
