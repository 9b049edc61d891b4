// `npm run bench:floors`: what this machine can do at best between two processes; prints JSON.
import { command, integerBetween } from '../lib/node/process/cli.js';
import { measureFloors } from '../measure/floor/floors.js';
import { runBench } from '../measure/owned/bench.js';

const program = command('bench:floors')
  .description('measure what this machine can do at best between two processes; prints JSON')
  .option('--rounds <count>', 'rounds of each measurement', integerBetween(1, 10_000_000), 20_000)
  .action(async ({ rounds }: { rounds: number }) => {
    process.stdout.write(`${JSON.stringify(await measureFloors(rounds), null, 2)}\n`);
  });
await runBench(program);
