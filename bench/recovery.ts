// `npm run bench:recovery`: how long after SIGKILL of a process every screen shows right frames again, process by process,
// in milliseconds and in bare Node starts of the same run; and that nothing is lost on the way: no frame torn or backwards,
// everything held and every descriptor as at the start, memory levelled off. Prints JSON; status 1 when a screen stays wrong
// or something is lost. A late recovery is counted and is no loss: on a machine that is busy with other things there are some.
import { errorMessage } from '../lib/core/errors.js';
import { command, EXIT, integerBetween, Option } from '../lib/node/process/cli.js';
import { runBench } from '../measure/owned/bench.js';
import { nodeStartMs } from './node-start.js';
import { type Books, counted, lasting, Memory, settledBooks } from './recovery/audit.js';
import { killOne, VICTIMS, type Victim } from './recovery/kill.js';
import { RecoveryLab } from './recovery/lab.js';

interface Options {
  readonly kills: number;
  readonly guests: number;
  readonly process?: readonly Victim[];
}

const FPS = 60;
/** Kills whose opening and caching is not counted as a loss. */
const WARM_UP = 2;
/** Looks at the memory of all processes, evenly over the kills. */
const SAMPLES = 20;

interface Figures {
  readonly kills: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly p50NodeStarts: number;
  /** Kills after which it took longer than was promised (docs/recovery.md). */
  readonly lateCount: number;
  readonly failures: readonly string[];
  /** Of each process, after the warm-up and at the end. */
  readonly before: ReturnType<typeof counted>;
  readonly after: ReturnType<typeof counted>;
  /** Resident memory of each process, MiB, evenly over the kills. */
  readonly residentMib: Memory['samples'];
}

/** Median of nine bare starts of Node, ms. */
const nodeStartMedianMs = (): number => Array.from({ length: 9 }, nodeStartMs).sort((a, b) => a - b)[4]!;

async function measure(victim: Victim, { kills, guests }: Options, nodeMs: number): Promise<Figures> {
  const lab = await RecoveryLab.start(['--guests', String(guests), '--config', CONFIG, '--animate', String(FPS)]);
  const times: number[] = [];
  const failures: string[] = [];
  const memory = new Memory();
  let before: Books = new Map();
  let after: Books = new Map();
  try {
    for (let kill = 0; kill < WARM_UP; kill++) await killOne(lab, victim, guests);
    before = await settledBooks(lab);
    for (let kill = 0; kill < kills; kill++) {
      times.push(await killOne(lab, victim, guests));
      if (Math.floor(((kill + 1) * SAMPLES) / kills) > Math.floor((kill * SAMPLES) / kills)) await memory.sample(lab);
    }
    failures.push(...(await lasting(lab, before)));
    after = await settledBooks(lab);
    failures.push(...memory.growing(victim));
    if (lab.torn > 0) failures.push(`${lab.torn} frames torn or backwards`);
  } catch (error) {
    failures.push(`kill ${times.length + 1}: ${errorMessage(error)}; ${lab.said.trim().split('\n').at(-1) ?? ''}`);
  } finally {
    await lab.end();
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0) * 10) / 10;
  return {
    kills: times.length,
    ...{ p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) },
    p50NodeStarts: Math.round((at(0.5) / nodeMs) * 10) / 10,
    lateCount: times.filter((ms) => ms > VICTIMS[victim]).length,
    failures,
    ...{ before: counted(before), after: counted(after), residentMib: memory.samples },
  };
}

const CONFIG = new URL('../../examples/restarting-guest.cfg', import.meta.url).pathname;

const program = command('bench:recovery')
  .description('measure the time from SIGKILL of a process until all screens are right again; prints JSON')
  .option('--kills <count>', 'of each process', integerBetween(1, 10_000), 100)
  .option('--guests <count>', 'that draw meanwhile', integerBetween(1, 8), 1)
  .addOption(new Option('--process <names...>', 'only these').choices(Object.keys(VICTIMS)))
  .addHelpText(
    'after',
    '\nExamples:\n  npm run bench:recovery\n  npm run bench:recovery -- --kills 20 --process vhost-gpu guest',
  )
  .action(async (options: Options) => {
    const nodeMs = nodeStartMedianMs();
    const processes: Record<string, Figures> = {};
    for (const victim of options.process ?? (Object.keys(VICTIMS) as Victim[]))
      processes[victim] = await measure(victim, options, nodeMs);
    const ok = Object.values(processes).every(({ failures }) => failures.length === 0);
    const result = { ok, nodeStartMs: Math.round(nodeMs * 10) / 10, guests: options.guests, processes };
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    if (!ok) process.exitCode = EXIT.FAILED;
  });
await runBench(program);
