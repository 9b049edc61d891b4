// `xenwire latency`: how long notifications take, by path and by hop, beside what this machine can do at best. What the
// flags mean together is checked here; measuring is measure/latency/.
import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { errorMessage, InterruptedError, UserError } from '../../lib/core/errors.js';
import { NOTIFICATION_PATHS } from '../../lib/core/notification-path.js';
import { NOTIFY_MODES } from '../../lib/core/notify.js';
import { writableFolder } from '../../lib/node/files/given.js';
import { type Command, EXIT, folder, InvalidArgumentError, integerBetween } from '../../lib/node/process/cli.js';
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
  readonly duration?: number;
  readonly histfile?: string;
  readonly hgrm?: string;
  readonly affinity?: string;
  readonly max?: number;
  readonly json?: boolean;
  readonly quick?: boolean;
}

const MODES = ['hot', 'blocked'] as const;
const SAMPLES_DEFAULT = 5000;
const SAMPLES_MAX = 1_000_000;
const QUICK_SAMPLES = 500;
/** Notifications before those that count, of the quick table too: V8 still compiles after 500, on a core that the lab needs. */
const WARM_UP = 2000;
const FLOOR_ROUNDS = 20_000;
const QUICK_FLOOR_ROUNDS = 2000;
const THRESHOLD_US_MAX = 10_000_000;
const DURATION_S_MAX = 86_400;

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
    .option(
      '-D, --duration <seconds>',
      'measure each combination for so long at most, with as many samples as come',
      integerBetween(1, DURATION_S_MAX),
    )
    .option('-a, --affinity <cpus>', 'hold the processes of the lab to these CPUs, as 0-1 or 0,2', cpuList)
    .option('--max <us>', 'status 1 if a notification takes longer one way', integerBetween(1, THRESHOLD_US_MAX))
    .option('--histfile <file>', "write the histograms in cyclictest's format, a line a microsecond")
    .option('--hgrm <dir>', 'write percentile distributions there, an .hgrm file each', folder)
    .option('--html <file>', 'write one page with the percentile plots')
    .option('--json', 'print one JSON object, and nothing else')
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire latency --quick\n  xenwire latency --path direct,evtchnfd --notify doorbell --html latency.html\n  xenwire latency --path dmop --threshold 2000',
    )
    .action(async (options: Options, given: Command) => {
      const html = options.html === undefined ? undefined : writable(options.html);
      const histfilePath = options.histfile === undefined ? undefined : writable(options.histfile);
      if (options.hgrm !== undefined) writableFolder(options.hgrm, 'histograms');
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
        samples: samplesOf(options, quick, given.getOptionValueSource('samples') === 'cli'),
        floorRounds: quick ? QUICK_FLOOR_ROUNDS : FLOOR_ROUNDS,
        warmUp: WARM_UP,
        extras: !quick && options.threshold === undefined,
        ...(options.duration === undefined ? {} : { durationMs: options.duration * 1000 }),
        ...(options.affinity === undefined ? {} : { affinity: options.affinity }),
        ...(options.json || !process.stderr.isTTY ? {} : { progress: drawOver }),
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
      const { result, columns } = outcome;
      if (html !== undefined) {
        const { reportHtml } = await import('../../measure/latency/report-html.js');
        writeFileSync(html, reportHtml(result));
      }
      if (histfilePath !== undefined || options.hgrm !== undefined) {
        const { hgrm, hgrmName, histfile } = await import('../../measure/latency/histfile.js');
        if (histfilePath !== undefined) writeFileSync(histfilePath, histfile(columns));
        for (const column of options.hgrm === undefined ? [] : columns)
          writeFileSync(join(options.hgrm as string, hgrmName(column)), hgrm(column));
      }
      const { curves, ...beside } = result.beside;
      if (options.json) printJson({ ...result, beside });
      else print(reportText(result));
      const slowest = Math.max(...result.paths.flatMap((path) => [path.guestToDeviceNs.max, path.deviceToGuestNs.max]));
      if (options.max !== undefined && slowest > options.max * 1000)
        fail(`a notification took ${(slowest / 1000).toFixed(0)} us one way, more than ${options.max}`);
    });
}

/** With a duration the time decides, unless a number was asked for too. */
function samplesOf(options: Options, quick: boolean, given: boolean): number {
  if (options.duration !== undefined && !given) return SAMPLES_MAX;
  return quick ? Math.min(options.samples, QUICK_SAMPLES) : options.samples;
}

function cpuList(text: string): string {
  if (!/^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$/.test(text))
    throw new InvalidArgumentError('It must be a list of CPUs, as 0-1 or 0,2.');
  return text;
}

/** One line of a terminal, over the one before; the next whole line begins below. */
function drawOver(line: string): void {
  process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns ?? 80) - 1)}\r`);
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
