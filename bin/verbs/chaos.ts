// `xenwire chaos`: cases are listed or run, and their results reported and joined. What the flags mean together is checked here,
// before anything starts; the campaign itself is chaos/campaign.ts.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../lib/core/errors.js';
import { readGivenFile } from '../../lib/node/files/given.js';
import { type Command, EXIT, folder, InvalidArgumentError, integerBetween } from '../../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { freshRunDir } from '../../lib/node/process/run-dir.js';

interface Options {
  readonly faults: readonly string[];
  readonly victims?: readonly string[];
  readonly restarts: readonly string[];
  readonly every?: boolean;
  readonly only?: RegExp;
  readonly cases?: string;
  readonly sample?: number;
  readonly seed?: number;
  readonly shard?: { readonly index: number; readonly count: number };
  readonly list?: boolean;
  readonly jobs: number;
  readonly twiceEvery: number;
  readonly out?: string;
  readonly junit?: string;
  readonly resume?: boolean;
  readonly runDir?: string;
}

/** Of a list of cases, or of results with their violations. */
const FILE_BYTES_MAX = 1 << 28;
const JOBS_MAX = 16;
const SHARDS_MAX = 10_000;
const SEED_MAX = 2 ** 32 - 1;

const words = (text: string): string[] => text.split(',').map((word) => word.trim());

function expression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw new InvalidArgumentError('It must be a regular expression.');
  }
}

function shard(text: string): { index: number; count: number } {
  const [, first = '', second = ''] = /^([1-9][0-9]{0,4})\/([1-9][0-9]{0,4})$/.exec(text) ?? [];
  const [index, count] = [Number(first), Number(second)];
  if (!(index >= 1 && index <= count && count <= SHARDS_MAX)) {
    throw new InvalidArgumentError(`It must be I/N with I from 1 to N, and N up to ${SHARDS_MAX}.`);
  }
  return { index, count };
}

export function register(program: Command): void {
  const chaos = program
    .command('chaos')
    .description('break labs: each process killed and paused at each point of a run, with a verdict for each case')
    .option('--faults <names>', 'what is done: KILL, STOP, TERM, HANG, PAUSE MS', words, ['KILL', 'STOP', 'TERM'])
    .option('--victims <names>', 'to which processes; left out: to all', words)
    .option('--restarts <when>', 'when a replacement comes: restart, late', words, ['restart'])
    .option('--every', 'at each time that a point is passed, instead of the first for each label')
    .option('--only <regex>', 'only cases whose text matches', expression)
    .option('--cases <file>', 'the cases of a file, one a line, as --list prints them')
    .option('--sample <count>', 'so many of the cases, by --seed', integerBetween(1, 1_000_000))
    .option('--seed <number>', 'which ones; left out: drawn and printed', integerBetween(0, SEED_MAX))
    .option('--shard <I/N>', 'the I-th of N parts; left out: as Kubernetes, GitLab or Slurm say, else all', shard)
    .option('--list', 'print the cases with their numbers and run none')
    .option('--jobs <count>', 'labs side by side', integerBetween(1, JOBS_MAX), 1)
    .option(
      '--twice-every <count>',
      'run every so manieth case again in a fresh lab; 0: failures only',
      integerBetween(0, 1_000_000),
      50,
    )
    .option('--out <file>', 'write the results there, as JSON, while they come')
    .option('--resume', 'run only what --out does not have yet')
    .option('--junit <file>', 'write the results there for continuous integration')
    .option('--run-dir <dir>', 'beginning of the names of the labs; left out: a fresh one', folder)
    .addHelpText(
      'after',
      '\nExamples:\n  xenwire chaos --sample 20 --seed 1\n  xenwire chaos --list --faults KILL --victims vhost-gpu\n  xenwire chaos --only front.state --out chaos.json\n  xenwire chaos merge shard-1.json shard-2.json',
    )
    .action(run);
  chaos
    .command('merge')
    .description('join the results of the shards of one campaign, and say what is missing')
    .argument('<files...>', 'what --out of each shard has written')
    .option('--into <file>', 'write the joined results there')
    .option('--junit <file>', 'and for continuous integration there')
    .addHelpText('after', '\nExamples:\n  xenwire chaos merge shard-1.json shard-2.json')
    .action(mergeFiles);
}

const text = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

/** Never half a file: a campaign that is killed leaves the last whole one. */
function writeWhole(path: string, content: string): void {
  try {
    writeFileSync(`${path}.new`, content);
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw new UserError(`cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function run(options: Options): Promise<void> {
  const [{ runCampaign, freePoints }, enumerate, { parseCase, formatCase, RESTARTS, VICTIMS, GUEST_PROCESS }, results] =
    await Promise.all([
      import('../../chaos/campaign.js'),
      import('../../chaos/enumerate.js'),
      import('../../chaos/case.js'),
      import('../../chaos/results.js'),
    ]);
  const { faultNamed, FAULT_NAMES } = await import('../../chaos/faults/table.js');
  const { textReport, summaryOf, junitReport } = await import('../../chaos/report.js');
  const { shardFromEnvironment } = await import('../../chaos/shard.js');
  const { Interruption } = await import('../../lab/interruption.js');

  const one = <T extends string>(word: string, known: readonly T[], what: string): T => {
    const found = known.find((each) => each === word);
    if (found === undefined) throw new UserError(`there is no ${what} ${word}: ${known.join(', ')} are`);
    return found;
  };
  for (const fault of options.faults) {
    if (faultNamed(fault) === undefined)
      throw new UserError(`there is no fault ${fault}: faults are ${FAULT_NAMES.join(', ')}`);
  }
  const victims =
    options.victims?.map((word) => one(word === 'guest' ? GUEST_PROCESS : word, VICTIMS, 'process')) ?? VICTIMS;
  const restarts = options.restarts.map((word) => one(word, RESTARTS, 'time of a replacement'));
  if (options.resume && (options.out === undefined || !existsSync(options.out)))
    throw new UserError('--resume needs the --out of an earlier run, and that file is not there');
  const runDir = options.runDir ?? freshRunDir();
  const seed = options.seed ?? (options.sample === undefined ? undefined : Math.floor(Math.random() * SEED_MAX));

  const given = options.cases === undefined ? undefined : readCases(options.cases).map(parseCase);
  const earlier =
    options.resume && existsSync(options.out!)
      ? results.parseResult(readFileSync(options.out!, 'utf8'), options.out!)
      : undefined;
  const choice = { faults: options.faults, victims, restarts, everyOccurrence: options.every ?? false };
  const all = earlier?.planned.map(parseCase) ?? given ?? enumerate.casesOf(await freePoints(`${runDir}-free`), choice);
  const chosen = earlier === undefined ? all.filter((each) => options.only?.test(formatCase(each)) ?? true) : all;
  const planned =
    earlier !== undefined || options.sample === undefined ? chosen : enumerate.sample(chosen, options.sample, seed!);
  if (planned.length === 0) throw new UserError('no case is left to run');
  if (options.list) {
    process.stdout.write(text(planned.map((each, index) => `${String(index + 1).padStart(6)}  ${formatCase(each)}`)));
    return;
  }

  const part = earlier?.shard ?? options.shard ?? shardFromEnvironment(process.env) ?? { index: 1, count: 1 };
  const judged = [...(earlier?.judged ?? [])];
  const done = new Set(judged.map((each) => each.case));
  const due = enumerate.shardOf(planned, part.index, part.count);
  const { version } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: string };
  const result = () => ({
    format: results.RESULT_FORMAT,
    ...{ version, catalogue: enumerate.CASES_VERSION, seed, shard: part },
    planned: planned.map(formatCase),
    judged,
  });
  const save = (): void => {
    if (options.out !== undefined) writeWhole(options.out, `${JSON.stringify(result())}\n`);
  };
  save();
  const progress = new Progress(due.length, judged.length);
  const interruption = new Interruption();
  await runCampaign(
    due.filter((each) => !done.has(formatCase(each))),
    {
      ...{ runDir, jobs: options.jobs, twiceEvery: options.twiceEvery, abort: interruption.signal },
      onJudged: (each) => {
        judged.push(each);
        progress.show(results.countOutcomes(judged), each);
        save();
      },
    },
  );
  progress.end();
  save();
  if (options.junit !== undefined) writeWhole(options.junit, junitReport(result()));
  process.stdout.write(text(textReport(result())));
  const failed = judged.some(({ outcome }) => outcome !== 'pass');
  if (interruption.signal.aborted) process.stderr.write(`xenwire chaos: interrupted; ${summaryOf(result())}\n`);
  process.exitCode = failed || judged.length < due.length ? EXIT.FAILED : EXIT.OK;
}

function readCases(path: string): string[] {
  const lines = readGivenFile(path, 'the list of cases', FILE_BYTES_MAX).toString('utf8').split('\n');
  return lines
    .map((line) => line.replace(/^\s*[0-9]+ {2}/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** One line on a terminal, written over; each failure stays. */
class Progress {
  readonly #due: number;
  readonly #before: number;
  readonly #start = performance.now();
  readonly #terminal = process.stderr.isTTY === true;

  constructor(due: number, before: number) {
    this.#due = due;
    this.#before = before;
  }

  show(counts: Readonly<Record<string, number>>, judged: { readonly case: string; readonly outcome: string }): void {
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    const seconds = (performance.now() - this.#start) / 1000;
    const rate = (total - this.#before) / seconds;
    const left = (this.#due - total) / rate;
    const line = `${total} of ${this.#due}, ${rate.toFixed(2)} a second, ${left.toFixed(0)} s left: ${counts['pass']} pass, ${counts['broken']} F, ${counts['wedged']} W, ${counts['harness']} ?`;
    const clear = this.#terminal ? '\r\x1b[K' : '';
    if (judged.outcome !== 'pass') process.stderr.write(`${clear}${judged.outcome}: ${judged.case}\n`);
    if (this.#terminal) process.stderr.write(`${clear}${line}`);
    else if (total % 25 === 0 || total === this.#due) process.stderr.write(`${line}\n`);
  }

  end(): void {
    if (this.#terminal) process.stderr.write('\r\x1b[K');
  }
}

async function mergeFiles(files: readonly string[], options: { into?: string; junit?: string }): Promise<void> {
  const { merge, parseResult } = await import('../../chaos/results.js');
  const { textReport, junitReport } = await import('../../chaos/report.js');
  const read = (path: string) => parseResult(readGivenFile(path, 'the results', FILE_BYTES_MAX).toString('utf8'), path);
  const { result, missing, doubled } = merge(files.map(read));
  if (options.into !== undefined) writeWhole(options.into, `${JSON.stringify(result)}\n`);
  if (options.junit !== undefined) writeWhole(options.junit, junitReport(result));
  process.stdout.write(text(textReport(result)));
  if (doubled.length > 0)
    process.stdout.write(`${doubled.length} cases were judged by several shards, and count once\n`);
  if (missing.length > 0) {
    process.stdout.write(text([`${missing.length} cases were judged by no shard:`, ...missing.slice(0, 20)]));
  }
  const failed = missing.length > 0 || result.judged.some(({ outcome }) => outcome !== 'pass');
  process.exitCode = failed ? EXIT.FAILED : EXIT.OK;
}
