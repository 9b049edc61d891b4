// `npm run soak -- --minutes N`: a lab that draws for as long as is asked, guests coming and going, a kill a minute of each process in
// turn. At the end its latencies, memory, things held and descriptors must be those of the start. Prints JSON; status 1 when something is
// lost, grows, or a screen stays wrong. Leaves killing to recovery/kill.ts and the books to recovery/audit.ts.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { errorMessage } from '../lib/core/errors.js';
import { command, EXIT, integerBetween } from '../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { runBench } from '../measure/owned/bench.js';
import { type Books, counted, lasting, Memory, settledBooks } from './recovery/audit.js';
import { killOne, VICTIMS, type Victim } from './recovery/kill.js';
import { RecoveryLab } from './recovery/lab.js';

interface Options {
  readonly minutes: number;
  readonly guests: number;
}

interface Latency {
  readonly storeListUs: { readonly p50: number; readonly p99: number };
  readonly frameMs: { readonly p50: number; readonly p99: number };
}

interface SoakResult extends Options {
  readonly ok: boolean;
  readonly visits: number;
  /** In milliseconds until all screens were right. */
  readonly kills: readonly { readonly victim: Victim; readonly ms: number }[];
  readonly failures: readonly string[];
  readonly latencies: { readonly atStart: Latency | undefined; readonly atEnd: Latency | undefined };
  readonly books: Readonly<Record<'before' | 'after', ReturnType<typeof counted>>>;
  readonly residentMib: Memory['samples'];
}

const run = promisify(execFile);
const XENWIRE = join(PACKAGE_ROOT, 'dist', 'bin', 'xenwire.js');
const CONFIG = join(PACKAGE_ROOT, 'examples', 'restarting-guest.cfg');
const FPS = 60;
const KILL_PAUSE_MS = 60_000;
/** Looks at the memory of all processes, evenly over the time. */
const SAMPLES = 20;
const READS = 1000;
const FRAMES = 300;
/** What a neighbour on the machine may make of a latency between two looks. */
const SLOWER_MAX = 3;
const LEVEL_MINUTES = 10;
const VISITOR = 'visitor';

function figures(values: readonly number[]): { p50: number; p99: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)]! * 100) / 100;
  return { p50: at(0.5), p99: at(0.99) };
}

/** A listing of the store as a client of dom0 sees it, and the time from frame to frame on the guests' screens. */
async function latency(lab: RecoveryLab): Promise<Latency> {
  const reads: number[] = [];
  for (let index = 0; index < READS; index++) {
    const start = performance.now();
    await lab.session.store.directory('/local/domain');
    reads.push((performance.now() - start) * 1000);
  }
  const frames: number[] = [];
  let last = await lab.allRight(process.hrtime.bigint(), DEADLINE_MS.measuredRecovery);
  for (let index = 0; index < FRAMES; index++) {
    const next = await lab.allRight(last, DEADLINE_MS.measuredRecovery);
    frames.push(Number(next - last) / 1e6);
    last = next;
  }
  return { storeListUs: figures(reads), frameMs: figures(frames) };
}

/** A guest comes, shows its picture, and goes. */
async function visit(lab: RecoveryLab, config: string, signal: AbortSignal): Promise<void> {
  const common = ['--run-dir', lab.runDir];
  await run(process.execPath, [XENWIRE, 'create', config, '--wait', ...common], { signal });
  await run(process.execPath, [XENWIRE, 'destroy', VISITOR, ...common], { signal });
}

async function soak({ minutes, guests }: Options, interrupted: AbortSignal): Promise<SoakResult> {
  const scratch = mkdtempSync(join(tmpdir(), 'xw-soak-'));
  const config = join(scratch, 'visitor.cfg');
  writeFileSync(config, `name = "${VISITOR}"\nmemory = 64\nvirtio = [ "type=virtio,device10,transport=mmio" ]\n`);
  const failures: string[] = [];
  const memory = new Memory();
  const kills: { victim: Victim; ms: number }[] = [];
  const victims = Object.keys(VICTIMS) as Victim[];
  let visits = 0;
  let before: Books = new Map();
  let after: Books = new Map();
  let atStart: Latency | undefined;
  let atEnd: Latency | undefined;
  const lab = await RecoveryLab.start(['--guests', String(guests), '--config', CONFIG, '--animate', String(FPS)]);
  try {
    // What opens and is cached with the first of everything is no loss.
    for (const victim of victims) await killOne(lab, victim, guests);
    await visit(lab, config, interrupted);
    before = await settledBooks(lab);
    atStart = await latency(lab);
    const startMs = performance.now();
    const passedMs = (): number => performance.now() - startMs;
    const wholeMs = minutes * 60_000;
    let samples = 0;
    while (passedMs() < wholeMs && !interrupted.aborted) {
      await visit(lab, config, interrupted);
      visits++;
      if (passedMs() >= (kills.length + 1) * KILL_PAUSE_MS) {
        const victim = victims[kills.length % victims.length]!;
        kills.push({ victim, ms: Math.round(await killOne(lab, victim, guests)) });
        process.stderr.write(
          `${Math.round(passedMs() / 60_000)} of ${minutes} min: ${victim} back after ${kills.at(-1)!.ms} ms, ${visits} visits\n`,
        );
      }
      if (Math.floor((passedMs() * SAMPLES) / wholeMs) > samples) {
        samples = Math.floor((passedMs() * SAMPLES) / wholeMs);
        await memory.sample(lab);
      }
    }
    failures.push(...(await lasting(lab, before)));
    after = await settledBooks(lab);
    atEnd = await latency(lab);
    // Heaps fill up first: before that a growth says nothing.
    if (minutes >= LEVEL_MINUTES) failures.push(...memory.growing('none'));
    if (lab.torn > 0) failures.push(`${lab.torn} frames torn or backwards`);
    for (const what of ['storeListUs', 'frameMs'] as const) {
      if (atEnd[what].p50 > SLOWER_MAX * atStart[what].p50)
        failures.push(`${what}: p50 ${atEnd[what].p50} at the end, ${atStart[what].p50} at the start`);
    }
  } catch (error) {
    failures.push(
      interrupted.aborted ? 'interrupted' : `${errorMessage(error)}; ${lab.said.trim().split('\n').at(-1) ?? ''}`,
    );
  } finally {
    await lab.end();
    rmSync(scratch, { recursive: true, force: true });
  }
  const books = { before: counted(before), after: counted(after) };
  const latencies = { atStart, atEnd };
  return {
    ok: failures.length === 0,
    minutes,
    guests,
    visits,
    kills,
    failures,
    latencies,
    books,
    residentMib: memory.samples,
  };
}

const program = command('soak')
  .description('draw for a long time, with guests coming and going and a kill a minute; prints JSON')
  .option('--minutes <count>', 'how long', integerBetween(1, 7 * 24 * 60), 60)
  .option('--guests <count>', 'that draw all the time', integerBetween(1, 8), 2)
  .addHelpText('after', '\nExamples:\n  npm run soak -- --minutes 10')
  .action(async (options: Options) => {
    const abort = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort());
    const result = await soak(options, abort.signal);
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    if (!result.ok) process.exitCode = EXIT.FAILED;
  });
await runBench(program);
