// `xenwire latency`: how long notifications take, by path and by hop, beside what this machine can do at best. What the
// flags mean together is checked here; measuring is measure/latency/.
import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errorMessage, InterruptedError, UserError } from '../../lib/core/errors.js';
import { NOTIFICATION_PATHS } from '../../lib/core/notification-path.js';
import { NOTIFY_MODES } from '../../lib/core/notify.js';
import { type Command, EXIT, InvalidArgumentError, integerBetween } from '../../lib/node/process/cli.js';
import { LATENCY_RATE_MAX, LOADS } from '../../lib/trace/latency-run.js';
import { fail, printJson } from './common.js';
import { DEFAULT_CONFIG, DEFAULT_IMAGE, readConfig, readImage } from './guest-source.js';

interface Options {
  readonly path?: readonly (typeof NOTIFICATION_PATHS)[number][];
  readonly notify?: readonly (typeof NOTIFY_MODES)[number][];
  readonly mode?: readonly (typeof MODES)[number][];
  readonly load?: readonly (typeof LOADS)[number][];
  readonly samples: number;
  readonly rate?: number;
  readonly threshold?: number;
  readonly html?: string;
  readonly json?: boolean;
  readonly quick?: boolean;
}

const MODES = ['hot', 'blocked'] as const;
const SAMPLES_DEFAULT = 5000;
const SAMPLES_MAX = 1_000_000;
const QUICK_SAMPLES = 500;
const WARM_UP = 2000;
const FLOOR_ROUNDS = 20_000;
const QUICK_FLOOR_ROUNDS = 2000;
const THRESHOLD_US_MAX = 10_000_000;

/** Some of a list of words, separated by commas. */
function some<T extends string>(known: readonly T[]): (text: string) => T[] {
  return (text) =>
    text.split(',').map((word) => {
      const found = known.find((each) => each === word.trim());
      if (found === undefined) throw new InvalidArgumentError(`Choices are ${known.join(', ')}.`);
      return found;
    });
}

export function register(program: Command): void {
  program
    .command('latency')
    .description('measure how long notifications between guest and device take, by path and by hop')
    .option('--path <paths>', `only these paths: ${NOTIFICATION_PATHS.join(', ')}`, some(NOTIFICATION_PATHS))
    .option('--notify <how>', `only these ways for wake-ups to travel: ${NOTIFY_MODES.join(', ')}`, some(NOTIFY_MODES))
    .option('--mode <modes>', 'only hot (processes poll for a while) or blocked (they block at once)', some(MODES))
    .option('--load <loads>', 'only a closed loop, or an open one', some(LOADS))
    .option('--samples <count>', 'notifications of each measurement', integerBetween(1, SAMPLES_MAX), SAMPLES_DEFAULT)
    .option('--rate <hz>', 'requests a second of the open loop', integerBetween(1, LATENCY_RATE_MAX))
    .option('--quick', `${QUICK_SAMPLES} samples, and nothing beside the bars`)
    .option(
      '--threshold <us>',
      'stop at the first notification that takes longer one way, and print what every process did around it',
      integerBetween(1, THRESHOLD_US_MAX),
    )
    .option('--html <file>', 'write one page with the percentile plots')
    .option('--json', 'print one JSON object, and nothing else')
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire latency --quick\n  xenwire latency --path direct,evtchnfd --notify doorbell --html latency.html\n  xenwire latency --path dmop --threshold 2000',
    )
    .action(async (options: Options) => {
      const html = options.html === undefined ? undefined : writable(options.html);
      const quick = options.quick ?? false;
      const paths = options.path ?? NOTIFICATION_PATHS;
      const notifies = options.notify ?? NOTIFY_MODES;
      const { combinations, runLatency } = await import('../../measure/latency/run.js');
      if (combinations({ paths, notifies }).length === 0) {
        throw new UserError('path direct is shared memory: it cannot be measured with --notify zmq');
      }
      const say = (line: string): void => {
        if (!options.json) process.stderr.write(`${line}\n`);
      };
      const abort = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        process.once(signal, () => abort.abort(new InterruptedError('interrupted')));
      }
      const outcome = await runLatency({
        paths,
        notifies,
        modes: options.mode ?? MODES,
        loads: options.load ?? LOADS,
        samples: quick ? Math.min(options.samples, QUICK_SAMPLES) : options.samples,
        floorRounds: quick ? QUICK_FLOOR_ROUNDS : FLOOR_ROUNDS,
        warmUp: quick ? QUICK_SAMPLES : WARM_UP,
        extras: !quick && options.threshold === undefined,
        ...(options.rate === undefined ? {} : { rate: options.rate }),
        ...(options.threshold === undefined ? {} : { thresholdUs: options.threshold }),
        config: readConfig(DEFAULT_CONFIG),
        image: readImage(DEFAULT_IMAGE).path,
        say,
        signal: abort.signal,
      }).catch((error: unknown) => {
        if (!(error instanceof Error) || !['LabError', 'SelfCheckError', 'DeadlineError'].includes(error.name))
          throw error;
        fail(error.message);
      });
      if (outcome === undefined) return;
      const { reportText, timeline } = await import('../../measure/latency/report-text.js');
      const print = (lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`);
      if (outcome.kind === 'exceeded') {
        const { exceeded, what } = outcome;
        if (options.json) printJson({ exceeded: { what, direction: exceeded.direction, ns: exceeded.ns } });
        else print([what, ...timeline(exceeded)]);
        process.exitCode = EXIT.FAILED;
        return;
      }
      const { result } = outcome;
      if (html !== undefined) {
        const { reportHtml } = await import('../../measure/latency/report-html.js');
        writeFileSync(html, reportHtml(result));
      }
      const { curves, ...beside } = result.beside;
      if (options.json) printJson({ ...result, beside });
      else print(reportText(result));
    });
}

/** Found out before minutes of measuring. */
function writable(path: string): string {
  const file = resolve(path);
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch (error) {
    throw new UserError(`cannot write ${path}: ${errorMessage(error)}`);
  }
  return file;
}
