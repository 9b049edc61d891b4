// The live page's program, apart from bin/xenwire.ts because its web server would make every command start later: what
// `xenwire dashboard` runs in its own process, and what `xenwire up --dashboard` and `xenwire chaos --dashboard` start as a child.
import { CampaignView } from '../chaos/report/campaign-view.js';
import { runPage } from '../dashboard/run.js';
import { UserError } from '../lib/core/errors.js';
import { command, EXIT, folder, integerBetween, runCommand } from '../lib/node/process/cli.js';
import { guardOutput } from '../lib/node/process/output.js';
import { defaultRunDir } from '../lib/node/process/run-dir.js';

interface Options {
  readonly runDir: string;
  readonly port: number;
  readonly supervised?: boolean;
  readonly campaign?: boolean;
}

const program = command('xenwire')
  .option('--run-dir <dir>', 'of the lab', folder, defaultRunDir())
  .option('--port <number>', 'to serve on; 0: any', integerBetween(0, 65_535), 0)
  .option('--supervised', 'end with the standard input')
  .option('--campaign', 'of the campaign that the standard input tells of, and ends with')
  .action(async ({ runDir, port, supervised = false, campaign = false }: Options) => {
    const feed = campaign ? (head: string) => CampaignView.of(head, () => performance.now()) : undefined;
    await runPage({ runDir, port, supervised, ...(feed === undefined ? {} : { campaign: feed }) });
    process.exit(EXIT.OK);
  });

guardOutput();
void runCommand(program, process.argv.slice(2)).then(
  (status) => {
    if (status !== EXIT.OK) process.exit(status);
  },
  (error: unknown) => {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`xenwire: ${error.message}\n`);
    process.exit(EXIT.USAGE);
  },
);
