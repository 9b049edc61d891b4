// `xenwire logs`: what the processes of a lab have logged, in order of time, and with -f what they log from now on. Of a lab that
// has ended as well, where up --keep left it.
import { LogFeed, type LogRecord, loggingProcesses } from '../../lab/logs.js';
import { requireLab } from '../../lab/running.js';
import { UserError } from '../../lib/core/errors.js';
import { type Command, integerBetween } from '../../lib/node/process/cli.js';
import { logLine } from '../../lib/node/process/log.js';
import { listProcesses } from '../../lib/node/process/run-dir.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { labOption } from './common.js';

interface Options {
  readonly runDir: string;
  readonly follow?: boolean;
  readonly last?: number;
  readonly json?: boolean;
}

/** How often the files are looked at: they are on memory file systems, which tell no change to other containers. */
const LOOK_MS = 100;
const LAST_MAX = 1_000_000;

export function register(program: Command): void {
  labOption(program.command('logs').description('print what the processes of a lab have logged, in order of time'))
    .argument('[process]', 'of one process only, as xenwire ps names it')
    .option('-f, --follow', 'go on with what is logged from now on, until the lab ends')
    .option('--last <count>', 'only the last lines', integerBetween(1, LAST_MAX))
    .option('--json', 'as the processes wrote them, a JSON object a line')
    .addHelpText('after', '\nExamples:\n  xenwire logs\n  xenwire logs vhost-frontend --last 20\n  xenwire logs --json')
    .action(async (only: string | undefined, options: Options) => {
      const { runDir, follow, last } = options;
      const known = loggingProcesses(runDir);
      if (known.length === 0 || follow) requireLab(runDir);
      if (only !== undefined && !known.includes(only)) {
        throw new UserError(`no process ${only} has logged in ${runDir}; there is ${known.join(', ')}`);
      }
      const feed = new LogFeed(runDir, only);
      const print = (records: readonly LogRecord[]): void => {
        for (const { text, fields } of records)
          process.stdout.write(`${options.json ? text : logLine(fields, process.stdout)}\n`);
      };
      const all = feed.read();
      print(all.slice(-(last ?? all.length)));
      if (follow) {
        const look = async (): Promise<true | undefined> => {
          const over = listProcesses(runDir).every(({ state }) => state === 'dead');
          print(feed.read());
          return over || undefined;
        };
        await lookAgain(look, LOOK_MS, new AbortController().signal);
        process.stderr.write('the lab has ended\n');
      }
      feed.close();
    });
}
