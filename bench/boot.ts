// `npm run bench:boot`: how long a lab takes from its start to the picture, in milliseconds and in bare Node starts of the same
// run (docs/start.md), and what each process takes of it: processor time and memory at the moment of the picture. With
// --guests it is a boot storm: the time and the memory a guest; with --kills, one whose processes are killed meanwhile. Prints one JSON object. A run that fails, shows a wrong pixel
// or leaves something behind is a failure of the bench: figures are of good runs only.
import { execFile, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { LAB_GUESTS_MAX } from '../lib/core/limits.js';
import { command, EXIT, integerBetween } from '../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { listProcesses } from '../lib/node/process/run-dir.js';
import { memoryScratch, runBench } from '../measure/owned/bench.js';
import { nodeStartMs } from './node-start.js';
import { type Kill, killWhileBooting, RESTARTING } from './storm/kills.js';

interface Options {
  readonly runs: number;
  readonly guests: number;
  readonly notify: string;
  readonly kills: number;
}

interface Run {
  readonly result: string;
  readonly handshakeMs: number;
  readonly firstFrameMs: number;
  readonly totalMs: number;
  readonly killed: readonly Kill[];
}

const run = promisify(execFile);
const XENWIRE = join(PACKAGE_ROOT, 'dist', 'bin', 'xenwire.js');

/** What one guest may take on two cores, in bare Node starts; and a guest's process, in MiB. */
const BAR = { firstFrameNodeStarts: 8, handshakeNodeStarts: 0.6, guestMib: 60 } as const;

const program = command('bench:boot')
  .description('measure handshake, time to the first frame, and what each process takes of it')
  .option('--runs <count>', 'labs to start', integerBetween(1, 10_000), 20)
  .option('--guests <count>', 'guests in each', integerBetween(1, LAB_GUESTS_MAX), 1)
  .option('--notify <how>', 'doorbell or zmq', 'doorbell')
  .option('--kills <count>', 'of processes, in turn, while the guests boot', integerBetween(0, 100), 0)
  .action(async (options: Options) => {
    await oneRun({ ...options, guests: 1, kills: 0 }); // fills the file cache; not counted
    const good: Run[] = [];
    const failures: string[] = [];
    const nodeStarts: number[] = [];
    for (let index = 0; index < options.runs; index++) {
      nodeStarts.push(nodeStartMs());
      const outcome = await oneRun(options);
      if (typeof outcome === 'string') failures.push(outcome);
      else good.push(outcome);
    }
    const nodeStart = percentiles(nodeStarts);
    const inNodeStarts = (values: readonly number[]): object | null => {
      const figures = percentiles(values);
      return figures && { ...figures, p50NodeStarts: round(figures.p50 / nodeStart!.p50, 100) };
    };
    const figures = {
      host: {
        cpu: cpus()[0]?.model,
        cores: cpus().length,
        memoryMib: Math.round(totalmem() / 2 ** 20),
        node: process.version,
      },
      loadBefore: loadavg()[0],
      ...options,
      nodeStartMs: nodeStart,
      handshakeMs: inNodeStarts(good.map(({ handshakeMs }) => handshakeMs)),
      firstFrameMs: inNodeStarts(good.map(({ firstFrameMs }) => firstFrameMs)),
      upAndDownMs: percentiles(good.map(({ totalMs }) => totalMs)),
      bar: BAR,
      killed: good.flatMap(({ killed }) => killed),
      // A lab whose processes were killed says nothing of what one takes.
      processes: options.kills === 0 ? await processesAtThePicture(options) : null,
      failures,
    };
    process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
    if (failures.length > 0) process.exitCode = EXIT.FAILED;
  });

/** Calls `use` with a run directory that is not there yet, in a folder that is removed afterwards. */
async function withRunDir<T>(use: (runDir: string) => Promise<T>): Promise<T> {
  const dir = memoryScratch('xw-bench-');
  try {
    return await use(join(dir, 'lab'));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const upArgs = ({ guests, notify, kills }: Options, runDir: string): string[] => [
  ...[XENWIRE, 'up', '--run-dir', runDir],
  ...['--guests', String(guests), '--notify', notify],
  ...(kills > 0 ? ['--config', RESTARTING] : []),
];

/** One lab up and down; a text says why it does not count. */
async function oneRun(options: Options): Promise<Run | string> {
  return withRunDir(async (runDir) => {
    const start = performance.now();
    const over = new AbortController();
    const killing = killWhileBooting(runDir, options.guests, options.kills, over.signal);
    killing.catch(() => {}); // told once the lab has ended
    try {
      const { stdout } = await run(process.execPath, [...upArgs(options, runDir), '--once', '--json']);
      over.abort();
      const killed = await killing;
      const outcome = JSON.parse(stdout) as Run & { guests: unknown[] };
      if (outcome.result !== 'ok') return `unexpected outcome: ${stdout.trim()}`;
      // A guest that was killed may have come to a second device, or have had none yet.
      if (options.kills === 0 && outcome.guests.length !== options.guests)
        return `unexpected outcome: ${stdout.trim()}`;
      if (killed.length !== options.kills) return `all guests were there after ${killed.length} kills`;
      return { ...outcome, killed, totalMs: performance.now() - start };
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      over.abort();
    }
  });
}

/** Processor time since its start (ms) and proportional memory (MiB) of each process of a lab whose pictures are there. */
async function processesAtThePicture(options: Options): Promise<object> {
  return withRunDir(async (runDir) => {
    const up = spawn(process.execPath, upArgs(options, runDir), { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => up.once('close', resolve));
    try {
      for await (const line of createInterface(up.stdout)) if (line.includes(' until Ctrl-C')) break;
      const entries = listProcesses(runDir).map(({ name, pid }) => ({ name, ...taken(pid) }));
      const guests = entries.filter(({ name }) => name.startsWith('guest-'));
      const mean = (values: readonly number[]): number => round(values.reduce((a, b) => a + b, 0) / values.length, 10);
      return {
        xenwire: taken(up.pid!),
        ...Object.fromEntries(
          entries.filter((entry) => !guests.includes(entry)).map(({ name, ...rest }) => [name, rest]),
        ),
        eachGuest: {
          cpuMs: mean(guests.map(({ cpuMs }) => cpuMs)),
          memoryMib: mean(guests.map(({ memoryMib }) => memoryMib)),
        },
      };
    } finally {
      up.kill('SIGINT');
      up.stdout.resume();
      await ended;
    }
  });
}

function taken(pid: number): { cpuMs: number; memoryMib: number } {
  // proc(5): fields 14 and 15 of stat, in ticks of 10 ms, for all threads.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const pss = /^Pss: +(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))!;
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, memoryMib: round(Number(pss[1]) / 1024, 10) };
}

const round = (value: number, parts: number): number => Math.round(value * parts) / parts;

function percentiles(values: readonly number[]): { p50: number; p90: number; max: number } | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.ceil(share * sorted.length) - 1]!, 10);
  return { p50: at(0.5), p90: at(0.9), max: at(1) };
}

await runBench(program);
