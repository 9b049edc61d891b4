// `xenwire chaos`: cases are listed or run, and their results reported and joined. What the flags mean together is checked here,
// before anything starts; the campaign itself is chaos/campaign.ts.
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { ChaosCase } from '../../chaos/case.js';
import type { CampaignResult, JudgedCase } from '../../chaos/results.js';
import { requirePort } from '../../lab/page-process.js';
import { UserError } from '../../lib/core/errors.js';
import { readGivenFile } from '../../lib/node/files/given.js';
import { type Command, EXIT, folder, InvalidArgumentError, integerBetween } from '../../lib/node/process/cli.js';
import { freshRunDir } from '../../lib/node/process/run-dir.js';
import { type Budget, budget } from './chaos-guided.js';
import { openPage, withoutExhibit } from './chaos-page.js';
import { howRun, packageVersion, requireWritable, writeWhole } from './common.js';
import { portNumber } from './dashboard.js';

interface ReportOptions {
  readonly junit?: string;
  readonly html?: string;
}

interface Options extends ReportOptions {
  readonly faults: readonly string[];
  readonly victims?: readonly string[];
  readonly restarts: readonly string[];
  readonly every?: boolean;
  readonly only?: RegExp;
  readonly cases?: string;
  readonly scenario?: string;
  readonly sample?: number;
  readonly seed?: number;
  readonly shard?: { readonly index: number; readonly count: number };
  readonly list?: boolean;
  readonly bound: number;
  readonly explain: number;
  readonly budget?: Budget;
  readonly jobs?: number;
  readonly twiceEvery: number;
  readonly out?: string;
  readonly resume?: boolean;
  readonly runDir?: string;
  readonly backendCommand?: string;
  readonly dashboard?: number | true;
}

/** Of a list of cases, or of results with their violations. */
const FILE_BYTES_MAX = 1 << 28;
const JOBS_MAX = 16;
/** What is above FAULTS_MAX of chaos/case.ts is refused there. */
const BOUND_MAX = 100;
const SHARDS_MAX = 10_000;
const SEED_MAX = 2 ** 32 - 1;
/** A campaign that is killed loses the cases of so long at most. */
const SAVE_GAP_MS = 2000;
/** Failures of which --out keeps what led to them, some 150 KB each. */
const EXHIBITS_MAX = 40;

/** Options for cases which there are before any has run. */
const REFUSED_BY_SEARCH = [
  'cases',
  'sample',
  'only',
  'shard',
  'list',
  'resume',
  'backendCommand',
  'dashboard',
] as const;

/** Without a number any that is free is meant. */
const portOf = (given: number | true): number => (given === true ? 0 : given);

const drawnSeed = (): number => Math.floor(Math.random() * SEED_MAX);

function saveTo(path: string | undefined, result: CampaignResult): void {
  if (path !== undefined) writeWhole(path, `${JSON.stringify(result)}\n`);
}

const note = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

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
    .enablePositionalOptions()
    .description('break labs: each process killed and paused at each point of a run, with a verdict for each case')
    .option(
      '--faults <names>',
      'what is done, of: KILL, STOP, TERM, HANG, PAUSE MS, CUT, DROP, DOUBLE, DELAY MS, SPACE, FILES, TEAR',
      words,
      ['KILL', 'STOP', 'TERM'],
    )
    .option('--victims <names>', 'to which processes; left out: to all', words)
    .option(
      '--restarts <when>',
      'when a replacement comes: restart, late, never; same: at once, and the next guest gets the same domid',
      words,
      ['restart'],
    )
    .option('--every', 'at each time that a point is passed, instead of the first for each label')
    .option('--only <regex>', 'only cases whose text matches', expression)
    .option('--cases <file>', 'the cases of a file, one a line, as --list prints them')
    .option('--scenario <name>', 'a named one of examples/scenarios, or a file of that form')
    .option('--sample <count>', 'so many of the cases, by --seed', integerBetween(1, 1_000_000))
    .option('--seed <number>', 'which ones; left out: drawn and printed', integerBetween(0, SEED_MAX))
    .option('--shard <I/N>', 'the I-th of N parts; left out: as Kubernetes, GitLab or Slurm say, else all', shard)
    .option(
      '--bound <faults>',
      'faults of a case; more than one: lists, sought by what the ones before showed',
      integerBetween(1, BOUND_MAX),
      1,
    )
    .option(
      '--budget <amount>',
      'with --bound: so many lists, or minutes with an m behind; left out: 1000 lists',
      budget,
    )
    .option('--list', 'print the cases with their numbers and run none')
    .option(
      '--jobs <count>',
      'labs side by side; left out: one more than there are processors',
      integerBetween(1, JOBS_MAX),
    )
    .option(
      '--twice-every <count>',
      'run every so manieth case again in a fresh lab; 0: failures only',
      integerBetween(0, 1_000_000),
      50,
    )
    .option(
      '--explain <count>',
      'at the end, find the fewest faults and the first point that fail, for so many kinds of failures',
      integerBetween(0, 100),
      3,
    )
    .option('--out <file>', 'write the results there, as JSON, while they come')
    .option('--resume', 'run only what --out does not have yet')
    .option('--junit <file>', 'write the results there for continuous integration')
    .option('--html <file>', 'write one page there, with what led to each failure')
    .option(
      '--backend-command <command>',
      'break this program, in vhost-frontend’s place as xenwire up starts it; the only victim unless --victims names others',
    )
    .option('--run-dir <dir>', 'beginning of the names of the labs; left out: a fresh one', folder)
    .option(
      '--dashboard [port]',
      'serve a page on this machine that shows the campaign and replays its cases, until Ctrl-C; without a port: on any that is free',
      portNumber,
    )
    .addHelpText(
      'after',
      '\nExit status: 0 all passed; 1 something failed; 2 the command line is wrong; 3 with --bound, all passed, and not every move of the\nxenbus protocol was taken.\n' +
        '\nExamples:\n  xenwire chaos --sample 20 --seed 1\n  xenwire chaos --bound 2 --budget 30m --seed 1 --html chaos.html\n  xenwire chaos --list --faults KILL --victims vhost-gpu\n  xenwire chaos --only front.state --out chaos.json --html chaos.html\n  xenwire chaos --sample 30 --seed 1 --backend-command "./device-model {gpu}"\n  xenwire chaos --scenario backend-crash\n  xenwire chaos merge shard-1.json shard-2.json',
    )
    .action(run);
  chaos
    .command('merge')
    .description('join the results of the shards of one campaign, and say what is missing')
    .argument('<files...>', 'what --out of each shard has written')
    .option('--into <file>', 'write the joined results there')
    .option('--junit <file>', 'and for continuous integration there')
    .option('--html <file>', 'and as one page there')
    .addHelpText('after', '\nExamples:\n  xenwire chaos merge shard-1.json shard-2.json')
    .action(mergeFiles);
}

const text = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

async function run(options: Options, command: Command): Promise<void> {
  if (options.scenario !== undefined) {
    const { runScenario } = await import('./chaos-scenario.js');
    return runScenario(options.scenario, options, command);
  }
  const [{ runCampaign, freePoints, listed }, enumerate, { parseCase, formatCase, VICTIMS, GUEST_PROCESS }, results] =
    await Promise.all([
      import('../../chaos/campaign.js'),
      import('../../chaos/enumerate.js'),
      import('../../chaos/case.js'),
      import('../../chaos/results.js'),
    ]);
  const { RESTARTS } = await import('../../chaos/faults/fault.js');
  const { faultNamed, FAULT_NAMES } = await import('../../chaos/faults/table.js');
  const { summaryOf } = await import('../../chaos/report/text.js');
  const { FOREIGN_VICTIMS, foreignRefusal, requireForeign } = await import('../../chaos/foreign.js');
  const { LiveReport } = await import('../../chaos/report/live.js');
  const { shardFromEnvironment } = await import('../../chaos/shard.js');
  const { Interruption } = await import('../../lab/interruption.js');
  const { explainFailures } = await import('../../chaos/shrink/failures.js');

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
    options.victims?.map((word) => one(word === 'guest' ? GUEST_PROCESS : word, VICTIMS, 'process')) ??
    (options.backendCommand === undefined ? VICTIMS : FOREIGN_VICTIMS);
  const restarts = options.restarts.map((word) => one(word, RESTARTS, 'time of a replacement'));
  if (options.resume && (options.out === undefined || !existsSync(options.out)))
    throw new UserError('--resume needs the --out of an earlier run, and that file is not there');
  for (const path of [options.out, options.junit, options.html]) if (path !== undefined) requireWritable(path);
  const { dashboard } = options;
  if (dashboard !== undefined) await requirePort(portOf(dashboard));
  const runDir = options.runDir ?? freshRunDir();
  const seed = options.seed ?? (options.sample === undefined ? undefined : drawnSeed());

  const everyOccurrence = options.every ?? false;
  if (options.budget !== undefined && options.bound === 1)
    throw new UserError('--budget is for a search: --bound 2 says so');
  if (options.bound > 1) {
    const { runGuided } = await import('./chaos-guided.js');
    return runGuided({
      ...{ bound: options.bound, choice: { faults: options.faults, victims, restarts, everyOccurrence }, runDir },
      ...{
        seed: seed ?? drawnSeed(),
        explain: options.explain,
        jobsMax: JOBS_MAX,
        saveGapMs: SAVE_GAP_MS,
        twiceEvery: options.twiceEvery,
      },
      ...(options.budget === undefined ? {} : { budget: options.budget }),
      ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
      refused: REFUSED_BY_SEARCH.filter((name) => options[name] !== undefined).map(
        (name) => `--${name.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}`,
      ),
      onJudged: (each, all) => all.push(withinBounds(each, all)),
      save: (found) => saveTo(options.out, found),
      report: (found) => report(found, options),
    });
  }

  const interruption = new Interruption();
  const given = options.cases === undefined ? undefined : readCases(options.cases).map(parseCase);
  const earlier =
    options.resume && existsSync(options.out!)
      ? results.parseResult(readFileSync(options.out!, 'utf8'), options.out!)
      : undefined;
  const choice = { faults: options.faults, victims, restarts, everyOccurrence };
  const backendCommand = earlier === undefined ? options.backendCommand : earlier.backendCommand;
  if (options.backendCommand !== backendCommand)
    throw new UserError(`${options.out} is of a campaign with another --backend-command`);
  const speaks = backendCommand === undefined ? {} : { backendCommand };
  if (backendCommand !== undefined) requireForeign(given ?? []);
  const possible = (each: ChaosCase): boolean => backendCommand === undefined || foreignRefusal(each) === undefined;
  const all =
    earlier?.planned.map(parseCase) ??
    given ??
    enumerate.casesOf(await freePoints(`${runDir}-free`, speaks, interruption.signal), choice).filter(possible);
  const chosen = earlier === undefined ? all.filter((each) => options.only?.test(formatCase(each)) ?? true) : all;
  const planned =
    earlier !== undefined || options.sample === undefined ? chosen : enumerate.sample(chosen, options.sample, seed!);
  if (planned.length === 0) throw new UserError('no case is left to run');
  if (options.list) {
    process.stdout.write(text(planned.map((each, index) => `${String(index + 1).padStart(6)}  ${formatCase(each)}`)));
    return;
  }

  const part = earlier?.shard ?? options.shard ?? shardFromEnvironment(process.env) ?? { index: 1, count: 1 };
  let judged = [...(earlier?.judged ?? [])];
  const done = new Set(judged.map((each) => each.case));
  const due = enumerate.shardOf(planned, part.index, part.count);
  const how = earlier?.how ?? howRun(seed);
  const result = () => ({
    format: results.RESULT_FORMAT,
    ...{ version: packageVersion(), catalogue: enumerate.CASES_VERSION, seed, shard: part, how },
    ...speaks,
    planned: planned.map(formatCase),
    judged,
  });
  let savedMs = 0;
  const save = (): void => {
    savedMs = performance.now();
    saveTo(options.out, result());
  };
  const saveSoon = (): void => {
    if (performance.now() - savedMs >= SAVE_GAP_MS) save();
  };
  save();
  const page =
    dashboard === undefined
      ? undefined
      : await openPage(portOf(dashboard), runDir, { due: due.map(formatCase), earlier: judged, ...speaks });
  try {
    const live = new LiveReport(process.stderr, due.map(formatCase), judged, () => performance.now());
    await runCampaign(listed(due.filter((each) => !done.has(formatCase(each)))), {
      ...{
        runDir,
        jobs: options.jobs ?? Math.min(availableParallelism() + 1, JOBS_MAX),
        twiceEvery: options.twiceEvery,
        abort: interruption.signal,
        speaks,
      },
      onJudged: (each) => {
        judged.push(withinBounds(each, judged));
        page?.tell(withoutExhibit(each));
        live.show(each);
        saveSoon();
      },
    });
    live.end();
    judged = await explainFailures(judged, options.explain, {
      ...{ runDir: `${runDir}-why`, speaks, abort: interruption.signal },
      tell: note,
    });
    save();
    await report(result(), options);
    const failed = judged.some(({ outcome }) => outcome !== 'pass');
    if (interruption.signal.aborted) process.stderr.write(`xenwire chaos: interrupted; ${summaryOf(result())}\n`);
    process.exitCode = failed || judged.length < due.length ? EXIT.FAILED : EXIT.OK;
    if (page !== undefined && !interruption.signal.aborted) process.stderr.write('The page stays until Ctrl-C.\n');
    if (page !== undefined) await interruption.happened;
  } finally {
    await page?.close();
  }
}

function readCases(path: string): string[] {
  const lines = readGivenFile(path, 'the list of cases', FILE_BYTES_MAX).toString('utf8').split('\n');
  return lines
    .map((line) => line.replace(/^\s*[0-9]+ {2}/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** Prints the report, and writes it in the other forms that were asked for. */
async function report(result: CampaignResult, { junit, html }: ReportOptions): Promise<void> {
  if (junit !== undefined) writeWhole(junit, (await import('../../chaos/report/junit.js')).junitReport(result));
  if (html !== undefined) writeWhole(html, (await import('../../chaos/report/html.js')).htmlReport(result));
  const { textReport } = await import('../../chaos/report/text.js');
  process.stdout.write(text(textReport(result)));
}

/** A campaign with more failures than that has one cause for many of them. */
function withinBounds(judged: JudgedCase, earlier: readonly JudgedCase[]): JudgedCase {
  if (judged.exhibit === undefined || earlier.filter(({ exhibit }) => exhibit !== undefined).length < EXHIBITS_MAX)
    return judged;
  return withoutExhibit(judged);
}

async function mergeFiles(files: readonly string[], options: ReportOptions & { into?: string }): Promise<void> {
  const { merge, parseResult } = await import('../../chaos/results.js');
  const read = (path: string) => parseResult(readGivenFile(path, 'the results', FILE_BYTES_MAX).toString('utf8'), path);
  const { result, missing, doubled } = merge(files.map(read));
  if (options.into !== undefined) writeWhole(options.into, `${JSON.stringify(result)}\n`);
  await report(result, options);
  if (doubled.length > 0)
    process.stdout.write(`${doubled.length} cases were judged by several shards, and count once\n`);
  if (missing.length > 0) {
    process.stdout.write(text([`${missing.length} cases were judged by no shard:`, ...missing.slice(0, 20)]));
  }
  const failed = missing.length > 0 || result.judged.some(({ outcome }) => outcome !== 'pass');
  process.exitCode = failed ? EXIT.FAILED : EXIT.OK;
}
