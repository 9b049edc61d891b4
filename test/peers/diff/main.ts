// `npm run peers:diff -- --ops 1000000 --seed 1`: our daemon and the real one side by side on random conversations.
import { command, integerBetween, Option, runCommand } from '../../../lib/node/process/cli.js';
import { runCampaign } from './campaign.js';
import { KINDS, type Kind } from './daemons.js';

interface Options {
  readonly ops: number;
  readonly seed: number;
  readonly left: Kind;
  readonly right: Kind;
  readonly guests?: boolean;
}

const PROGRESS_EVERY = 50_000;

async function run({ ops, seed, left, right, guests = false }: Options): Promise<void> {
  let told = 0;
  const onProgress = (done: number, at: number): void => {
    if (done - told < PROGRESS_EVERY) return;
    told = done;
    process.stdout.write(`${done} requests, seed ${at}\n`);
  };
  const began = process.hrtime.bigint();
  const result = await runCampaign({
    daemons: [left === 'own' && guests ? 'rings' : left, right],
    guests,
    seed,
    operations: ops,
    onProgress,
  });
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  process.stdout.write(`${result.operations} requests in ${result.scripts} scripts, ${seconds.toFixed(1)} s\n`);
  if (result.finding === undefined) return;
  process.stdout.write(`${result.finding}\n`);
  process.exitCode = 1;
}

const program = command('peers:diff')
  .description('Asks two xenstore daemons the same random things and compares all that they answer.')
  .option('--ops <count>', 'how many requests', integerBetween(1, 1_000_000_000), 10_000)
  .option('--seed <number>', "the first script's seed", integerBetween(0, 0xffff_ffff), 1)
  .addOption(new Option('--left <daemon>', 'one side').choices(KINDS).default('own'))
  .addOption(new Option('--right <daemon>', 'the other').choices(KINDS).default('c'))
  .option('--guests', 'two of the clients are guests, on ring pages')
  .action(run);
const status = await runCommand(program, process.argv.slice(2));
if (status !== 0) process.exitCode = status;
