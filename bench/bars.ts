// `npm run bench`: every bar of the project beside what this machine measures now, one table (docs/bars.md). Each part is a bench of
// its own in a process of its own, one after the other; --busy keeps cores busy beside it, as a neighbour would. Status 1 when a bar
// is missed or a bench fails: a bench that fails loses its own rows only.
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorMessage } from '../lib/core/errors.js';
import { command, EXIT, integerBetween, Option } from '../lib/node/process/cli.js';
import { Neighbours } from '../measure/latency/machine.js';
import { runBench } from '../measure/owned/bench.js';
import { type Bar, met, reasonOf, table } from './bars/row.js';
import { SOURCES } from './bars/sources.js';

interface Options {
  readonly only?: readonly string[];
  readonly busy: number;
  readonly json?: boolean;
}

const program = command('bench')
  .description('measure everything that has a bar, and print the bars beside it')
  .addOption(new Option('--only <parts...>', 'only these').choices(SOURCES.map(({ name }) => name)))
  .option('--busy <count>', 'processes that keep a core busy meanwhile', integerBetween(0, 64), 0)
  .option('--json', 'print one JSON object, and nothing else')
  .addHelpText(
    'after',
    `\nParts:\n${SOURCES.map(({ name, describe }) => `  ${name.padEnd(10)} ${describe}`).join('\n')}\n\nExamples:\n  npm run bench\n  npm run bench -- --busy 1 --only boot latency`,
  )
  .action(async (options: Options) => {
    const abort = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort());
    const scratch = mkdtempSync(join(tmpdir(), 'xw-bars-'));
    const neighbours = await Neighbours.start(options.busy);
    const rows: Bar[] = [];
    const failures: string[] = [];
    const load = loadavg()[0]!;
    try {
      for (const source of SOURCES) {
        if (abort.signal.aborted || options.only?.includes(source.name) === false) continue;
        if (!options.json) process.stderr.write(`${source.name}: ${source.describe}\n`);
        try {
          rows.push(...(await source.rows(scratch, abort.signal)));
        } catch (error) {
          failures.push(`${source.name}: ${abort.signal.aborted ? 'interrupted' : reasonOf(errorMessage(error))}`);
        }
      }
    } finally {
      await neighbours.stop();
      rmSync(scratch, { recursive: true, force: true });
    }
    const host = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, load };
    if (options.json) {
      const judged = rows.map((row) => ({ ...row, met: met(row) }));
      process.stdout.write(`${JSON.stringify({ host, busy: options.busy, rows: judged, failures }, null, 2)}\n`);
    } else {
      const beside = options.busy === 0 ? 'no neighbour' : `${options.busy} busy beside it`;
      console.log(`${host.cores} cores of ${host.cpu}, Node ${host.node}, load ${load.toFixed(1)} before, ${beside}`);
      for (const line of table(rows)) console.log(line);
      for (const failure of failures) console.log(`failed: ${failure}`);
    }
    if (failures.length > 0 || !rows.every(met)) process.exitCode = EXIT.FAILED;
  });
await runBench(program);
