// `npm run bench:xenstored`: our xenstored, Debian's C one and its OCaml one, in turn, in one run. The daemons live side by side and take
// turns measurement by measurement, so that a neighbour's burst hits all; medians over the turns. A table with the bars goes to
// standard error, one JSON object to standard output; what could not be run for want of a program is said. What is measured
// stands in xenstored/measurements.ts.
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { command, integerBetween } from '../lib/node/process/cli.js';
import { buildC } from '../measure/floor/c-programs.js';
import { runBench } from '../measure/owned/bench.js';
import type { Daemon } from '../testkit/xenstored-peers.js';
import { absent, installed, owned, startDaemon, TITLE, type Who } from './xenstored/daemons.js';
import {
  type Figures,
  figuresOf,
  type Loads,
  measurements,
  type Sizes,
  testXenstore,
} from './xenstored/measurements.js';
import { rowsOf, type Turn, table } from './xenstored/rows.js';

interface Options extends Sizes {
  readonly repeats: number;
}

/** Each measurement on one daemon, then the next; who is first changes from turn to turn. */
function takeTurn(loads: Loads, options: Options, order: readonly Who[]): Promise<Turn> {
  return owned(async (owner) => {
    const daemons = new Map<Who, Daemon>();
    for (const who of order) daemons.set(who, await startDaemon(who, owner));
    // Warms caches and our compiler; not counted.
    for (const daemon of daemons.values()) await testXenstore(daemon, Math.min(options.iterations, 2000));
    const turn: Record<Who, Record<string, number>> = { ours: {}, c: {}, ocaml: {} };
    for (const measurement of measurements(loads, options)) {
      for (const [who, daemon] of daemons) {
        const found: Figures | undefined = await figuresOf(measurement, who, daemon);
        Object.assign(turn[who], found);
      }
    }
    return Object.fromEntries(installed().map((who) => [who, turn[who]]));
  });
}

async function build(dir: string): Promise<Loads> {
  const one = async (name: string): Promise<string> => {
    const program = await buildC(`bench/c/xenstore-${name}.c`, dir);
    if (program === undefined) throw new Error(`bench/c/xenstore-${name}.c does not compile here`);
    return program;
  };
  return { load: await one('load'), weight: await one('weight'), rings: await one('rings') };
}

async function bench(options: Options): Promise<void> {
  const skipped = absent();
  if (skipped !== undefined) {
    process.stdout.write(`${JSON.stringify({ skipped })}\n`);
    return;
  }
  const dir = mkdtempSync(join(tmpdir(), 'xb-'));
  try {
    const loads = await build(dir);
    const who = installed();
    if (!who.includes('ocaml')) process.stderr.write('oxenstored is not installed: left out\n');
    const turns: Turn[] = [];
    const before = loadavg()[0];
    for (let turn = 0; turn < options.repeats; turn++)
      turns.push(await takeTurn(loads, options, turn % 2 === 0 ? who : [...who].reverse()));
    const rows = rowsOf(turns);
    process.stderr.write(table(rows, TITLE));
    const host = { cores: cpus().length, cpu: cpus()[0]?.model, node: process.version, load: [before, loadavg()[0]] };
    process.stdout.write(`${JSON.stringify({ host, options, rows, turns }, null, 2)}\n`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const program = command('bench:xenstored')
  .description('our xenstored against the C daemon and oxenstored')
  .option('--iterations <count>', 'of each case of test-xenstore', integerBetween(1, 1_000_000), 2000)
  .option('--rounds <count>', 'WRITE and READ pairs, shared by the clients', integerBetween(16, 10_000_000), 20_000)
  .option('--nodes <count>', 'in the large store', integerBetween(1, 1_000_000), 100_000)
  .option('--watches <count>', 'whose memory is measured', integerBetween(1, 1_000_000), 10_000)
  .option('--clients <count>', 'that are connected and do nothing', integerBetween(1, 10_000), 1000)
  .option('--idle-ms <count>', 'over which idle daemons are looked at', integerBetween(10, 600_000), 2000)
  .option('--repeats <count>', 'runs of each daemon, in turn', integerBetween(1, 100), 3)
  .action(bench);
await runBench(program);
