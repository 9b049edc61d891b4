// `npm run bench:boot`: how long a lab takes from its start to the picture. Runs `xenwire up --once --json` again and again,
// each in a fresh run directory, and prints one JSON object. A run that fails, shows a wrong pixel or leaves something
// behind is a failure of the bench: figures are of good runs only.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { command, EXIT, integerBetween, runCommand } from '../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';

interface Options {
  readonly runs: number;
  readonly guests: number;
  readonly notify: string;
}

interface Run {
  readonly result: string;
  readonly handshakeMs: number;
  readonly firstFrameMs: number;
  readonly totalMs: number;
}

const run = promisify(execFile);

/** What the design asks of one guest on two cores. */
const AIM = { handshakeMsP50: 50, firstFrameMsP50: 1500 } as const;

const program = command('bench:boot')
  .description('measure handshake and time to the first frame')
  .option('--runs <count>', 'labs to start', integerBetween(1, 10_000), 20)
  .option('--guests <count>', 'guests in each', integerBetween(1, 48), 1)
  .option('--notify <how>', 'doorbell or zmq', 'doorbell')
  .action(async (options: Options) => {
    await oneRun(options); // fills the file cache; not counted
    const good: Run[] = [];
    const failures: string[] = [];
    for (let index = 0; index < options.runs; index++) {
      const outcome = await oneRun(options);
      if (typeof outcome === 'string') failures.push(outcome);
      else good.push(outcome);
    }
    const figures = {
      host: {
        cpu: cpus()[0]?.model,
        cores: cpus().length,
        memoryMib: Math.round(totalmem() / 2 ** 20),
        node: process.version,
      },
      loadBefore: loadavg()[0],
      ...options,
      handshakeMs: percentiles(good.map(({ handshakeMs }) => handshakeMs)),
      firstFrameMs: percentiles(good.map(({ firstFrameMs }) => firstFrameMs)),
      upAndDownMs: percentiles(good.map(({ totalMs }) => totalMs)),
      aim: AIM,
      failures,
    };
    process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
    if (failures.length > 0) process.exitCode = EXIT.FAILED;
  });

/** One lab up and down; a text says why it does not count. */
async function oneRun({ guests, notify }: Options): Promise<Run | string> {
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'xw-bench-'));
  const xenwire = join(PACKAGE_ROOT, 'dist', 'bin', 'xenwire.js');
  const args = [xenwire, 'up', '--once', '--json', '--run-dir', join(dir, 'lab')];
  const start = performance.now();
  try {
    const { stdout } = await run(process.execPath, [...args, '--guests', String(guests), '--notify', notify]);
    const outcome = JSON.parse(stdout) as Run & { guests: unknown[] };
    if (outcome.result !== 'ok' || outcome.guests.length !== guests) return `unexpected outcome: ${stdout.trim()}`;
    return { ...outcome, totalMs: performance.now() - start };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function percentiles(values: readonly number[]): { p50: number; p90: number; max: number } | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.ceil(share * sorted.length) - 1]!;
  const tenths = (ms: number): number => Math.round(ms * 10) / 10;
  return { p50: tenths(at(0.5)), p90: tenths(at(0.9)), max: tenths(at(1)) };
}

const status = await runCommand(program, process.argv.slice(2));
if (status !== EXIT.OK) process.exitCode = status;
