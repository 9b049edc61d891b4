// `xenwire replay CASE`: one case of a campaign again, in a lab of its own, step by step.

import { DOM0_MODES, type Dom0Mode } from '../../lib/core/dom0-modes.js';
import { UserError } from '../../lib/core/errors.js';
import { type Command, EXIT, folder, Option } from '../../lib/node/process/cli.js';
import { freshRunDir } from '../../lib/node/process/run-dir.js';
import { BACKENDS, type BackendName, FRONTENDS, type FrontendName } from '../../lib/xenbus/protocols.js';
import { CORE_VERSIONS, type CoreVersion } from '../../services/guest/core-rules.js';
import { packageVersion, printJson, requireWritable, writeWhole } from './common.js';

interface Options {
  readonly runDir?: string;
  readonly json?: boolean;
  readonly trace?: boolean;
  readonly frontend?: FrontendName;
  readonly core?: CoreVersion;
  readonly backend?: BackendName;
  readonly dom0?: Dom0Mode;
  readonly keep?: boolean;
  readonly explain?: boolean;
  readonly backendCommand?: string;
  readonly html?: string;
}

export function register(program: Command): void {
  program
    .command('replay')
    .description('run one case of xenwire chaos in a lab of its own, and tell every step')
    .argument('<case>', 'as xenwire chaos prints it')
    .option('--run-dir <dir>', 'of the lab; left out: a fresh one, which goes with it', folder)
    .option('--json', 'print one JSON object at the end, and nothing else')
    .option('--trace', 'print what every process recorded, the moment of the fault among it')
    .option('--html <file>', 'write one page there, with what every process did')
    .addOption(new Option('--frontend <protocol>', "which protocol the guest's driver speaks").choices(FRONTENDS))
    .addOption(new Option('--core <version>', "Linux's xenbus core that the guest behaves like").choices(CORE_VERSIONS))
    .option('--backend-command <command>', 'with this program in vhost-frontend’s place, as xenwire up starts it')
    .addOption(new Option('--backend <behaviour>', 'which backend that driver meets').choices(BACKENDS))
    .addOption(
      new Option(
        '--dom0 <kernel>',
        'event descriptors of dead processes: given back, or left as Linux leaves them',
      ).choices(DOM0_MODES),
    )
    .option('--explain', 'where the case fails: find the fewest faults and the first point that do, by running others')
    .option('--keep', 'leave logs, history and frames in the run directory')
    .addHelpText(
      'after',
      "\nExamples:\n  xenwire replay 'guest:front.state(device/virtio-mmio/0/state)#1/KILL vhost-frontend/restart'",
    )
    .action(async (text: string, options: Options) => {
      const { parseCase } = await import('../../chaos/case.js');
      const chaosCase = parseCase(text);
      if (options.trace === true && options.json === true) throw new UserError('--trace prints text, --json does not');
      if (options.backendCommand !== undefined) (await import('../../chaos/foreign.js')).requireForeign([chaosCase]);
      const { Interruption } = await import('../../lab/interruption.js');
      const { replay } = await import('../../chaos/replay.js');
      if (options.html !== undefined) requireWritable(options.html);
      const { lines, json, ok, result, explained } = await replay(chaosCase, {
        runDir: options.runDir ?? freshRunDir(),
        keep: options.keep ?? false,
        speaks: {
          ...(options.frontend === undefined ? {} : { frontend: options.frontend }),
          ...(options.core === undefined ? {} : { core: options.core }),
          ...(options.backendCommand === undefined ? {} : { backendCommand: options.backendCommand }),
          ...(options.backend === undefined ? {} : { backend: options.backend }),
          ...(options.dom0 === undefined ? {} : { dom0: options.dom0 }),
        },
        ...(options.explain === true ? { explain: new Interruption().signal } : {}),
        trace: options.trace ?? false,
        snapshots: options.html !== undefined,
        tell: options.json ? () => {} : (line) => process.stdout.write(`${line}\n`),
      });
      if (options.html !== undefined && result !== undefined) {
        const { replayPage } = await import('../../chaos/report/html.js');
        writeWhole(
          options.html,
          replayPage(
            chaosCase,
            { ...result, ...(explained === undefined ? {} : { explained }) },
            packageVersion(),
            options.backendCommand,
          ),
        );
      }
      if (options.json) printJson(json);
      else process.stdout.write(`${lines.join('\n')}\n`);
      process.exitCode = ok ? EXIT.OK : EXIT.FAILED;
    });
}
