// The xenstored process: its command line. What it does is in server.ts.
import { integerBetween, Option } from '../../lib/node/process/cli.js';
import { runService } from '../../lib/node/process/service.js';
import { COMPAT } from './compat.js';
import { start, type XenstoredOptions } from './server.js';

void runService<XenstoredOptions>({
  program: 'xenstored',
  describe: 'The configuration database: xenstore, as the C daemon of Xen serves it.',
  options: (command) =>
    command
      .option('--socket <path>', 'serve unmodified Xen programs here (default: xenstored.socket in the run directory)')
      .option(
        '--alone',
        'serve without a hypervisor, in a run directory of its own unless --run-dir names one: every client is dom0',
      )
      .addOption(
        new Option('--domids <list>', 'with --alone: these domains exist, "1,2,5"')
          .argParser((text) => (text === '' ? [] : text.split(',').map(integerBetween(1, 32751))))
          .default([]),
      )
      .addOption(
        new Option('--compat <release>', "behave as that release's daemon")
          .choices(Object.keys(COMPAT))
          .default('4.22'),
      ),
  standsAlone: ({ alone }) => alone === true,
  start,
});
