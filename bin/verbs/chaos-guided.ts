// `xenwire chaos --bound N`: lists of faults, sought by what the ones before showed. Leaves the search to chaos/guided, options and
// reports to chaos.ts.
import { availableParallelism } from 'node:os';
import type { Choice } from '../../chaos/enumerate.js';
import type { CampaignResult, JudgedCase } from '../../chaos/results.js';
import { UserError } from '../../lib/core/errors.js';
import { EXIT, InvalidArgumentError } from '../../lib/node/process/cli.js';
import { howRun, packageVersion } from './common.js';

export interface Budget {
  readonly cases?: number;
  readonly ms?: number;
}

const BUDGET_CASES_MAX = 1_000_000;
const BUDGET_MINUTES_MAX = 7 * 24 * 60;
/** Without a budget. */
const DEFAULT_BUDGET: Budget = { cases: 1000 };
/** Between two lines of progress. */
const LINE_GAP_MS = 10_000;

/** "500" lists, or "30m" minutes. */
export function budget(text: string): Budget {
  const [, digits = '', unit = ''] = /^([1-9][0-9]{0,6})(m?)$/.exec(text) ?? [];
  const number = Number(digits);
  if (number >= 1 && unit === '' && number <= BUDGET_CASES_MAX) return { cases: number };
  if (number >= 1 && unit === 'm' && number <= BUDGET_MINUTES_MAX) return { ms: number * 60_000 };
  throw new InvalidArgumentError('It must be a count of lists, or of minutes with an m behind it: 500, 30m.');
}

export interface GuidedOptions {
  readonly bound: number;
  readonly budget?: Budget;
  readonly choice: Choice;
  readonly runDir: string;
  readonly seed: number;
  readonly jobs?: number;
  readonly jobsMax: number;
  /** Between two times that results are written. */
  readonly saveGapMs: number;
  readonly twiceEvery: number;
  /** Kinds of failures that are explained at the end. */
  readonly explain: number;
  /** Names of options that a search has no use for, and that were given. */
  readonly refused: readonly string[];
  /** Each time that a case was judged. */
  onJudged(judged: JudgedCase, all: JudgedCase[]): void;
  /** Writes what there is so far. */
  save(result: CampaignResult): void;
  report(result: CampaignResult): Promise<void>;
}

export async function runGuided(options: GuidedOptions): Promise<void> {
  const { bound, choice, runDir, seed, refused, twiceEvery } = options;
  if (refused.length > 0) throw new UserError(`--bound ${bound} makes its cases as it goes: it takes no ${refused[0]}`);
  const { FAULTS_MAX } = await import('../../chaos/case.js');
  if (bound > FAULTS_MAX) throw new UserError(`a case has at most ${FAULTS_MAX} faults: --bound ${bound} is too many`);
  const { runCampaign, freePoints } = await import('../../chaos/campaign.js');
  const { CASES_VERSION } = await import('../../chaos/enumerate.js');
  const { GuidedSearch } = await import('../../chaos/guided/search.js');
  const { countOutcomes, RESULT_FORMAT } = await import('../../chaos/results.js');
  const { countsText } = await import('../../chaos/report/matrix.js');
  const { OUTCOMES } = await import('../../chaos/engine.js');
  const { explainFailures } = await import('../../chaos/shrink/failures.js');
  const { Interruption } = await import('../../lab/interruption.js');

  let judged: JudgedCase[] = [];
  const how = howRun(seed);
  const result = (): CampaignResult => ({
    ...{ format: RESULT_FORMAT, version: packageVersion(), catalogue: CASES_VERSION, seed, how },
    ...{ shard: { index: 1, count: 1 }, planned: judged.map((each) => each.case), judged },
  });
  options.save(result());
  process.stderr.write(`lists of up to ${bound} faults, seed ${seed}, xenwire ${packageVersion()}\n`);
  const interruption = new Interruption();
  const points = (await freePoints(`${runDir}-free`, {}, interruption.signal)).filter(
    ({ occurrence }) => choice.everyOccurrence || occurrence === 1,
  );
  const search = new GuidedSearch(points, {
    ...{ bound, seed, budget: options.budget ?? DEFAULT_BUDGET, now: () => performance.now() },
    ...choice,
  });
  const startMs = performance.now();
  let [toldMs, savedMs] = [startMs, startMs];
  await runCampaign(search, {
    ...{ runDir, twiceEvery, abort: interruption.signal },
    jobs: options.jobs ?? Math.min(availableParallelism() + 1, options.jobsMax),
    onJudged: (each) => {
      options.onJudged(each, judged);
      const now = performance.now();
      if (each.outcome !== 'pass') process.stderr.write(`${OUTCOMES[each.outcome]} ${each.case}\n`);
      if (now - toldMs >= LINE_GAP_MS) {
        toldMs = now;
        const rate = ((judged.length * 1000) / (now - startMs)).toFixed(2);
        const { seen } = search;
        const counts = countsText(countOutcomes(judged));
        process.stderr.write(
          `${judged.length} lists, ${rate} a second, ${seen.behaviours} behaviours in the first ${seen.lists}: ${counts}\n`,
        );
      }
      if (now - savedMs >= options.saveGapMs) {
        savedMs = now;
        options.save(result());
      }
    },
  });
  judged = await explainFailures(judged, options.explain, {
    ...{ runDir: `${runDir}-why`, abort: interruption.signal },
    tell: (line) => process.stderr.write(`${line}\n`),
  });
  const guided = search.summary();
  const whole = { ...result(), guided };
  options.save(whole);
  await options.report(whole);
  if (interruption.signal.aborted) process.stderr.write('xenwire chaos: interrupted\n');
  const failed = judged.some(({ outcome }) => outcome !== 'pass') || interruption.signal.aborted;
  process.exitCode = failed ? EXIT.FAILED : guided.never.length > 0 ? EXIT.AMBER : EXIT.OK;
}
