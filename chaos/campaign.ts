// Many cases over some labs side by side. Labs are reused as long as every case in them passes; what fails runs again in a fresh
// one, and so does every Nth case: where the two runs differ there is no verdict. Leaves words and files to bin/verbs/chaos.ts.
import { existsSync } from 'node:fs';
import { claimRunDir } from '../lab/claim.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { withDeadline } from '../lib/node/process/wait.js';
import type { TraceRecord } from '../lib/trace/record.js';
import { type ChaosCase, formatCase } from './case.js';
import { type CaseResult, runCase } from './engine.js';
import { stablePoints } from './enumerate.js';
import { FreeRunError, openRig } from './open-rig.js';
import { exhibitOf } from './report/exhibit.js';
import type { JudgedCase } from './results.js';
import type { Personality, Rig } from './rig.js';

/** A lab that served so many cases is replaced: counts of points must not grow without end. */
const CASES_PER_RIG = 150;

/** Of one case: the second and third in labs of their own. */
const RUNS_MAX = 3;

/** Where a campaign's cases come from; several labs ask. */
export interface CaseSource {
  /** Cases are numbered from 0; undefined: there is none any more. */
  next(): Promise<{ readonly case: ChaosCase; readonly index: number } | undefined>;
  /** The first run of a case, with all its records. */
  took?(index: number, result: CaseResult): void;
  /** A case whose points are not all passed says nothing, and is not run again for that. */
  readonly mayMiss?: boolean;
}

/** The cases of a list, in order. */
export function listed(cases: readonly ChaosCase[]): CaseSource {
  let index = 0;
  return { next: async () => (index < cases.length ? { case: cases[index]!, index: index++ } : undefined) };
}

export interface CampaignSettings {
  /** Labs run in folders of this name with a number behind it. */
  readonly runDir: string;
  /** Labs side by side. */
  readonly jobs: number;
  /** Every so manieth case runs twice; 0: none but those that fail. */
  readonly twiceEvery: number;
  readonly abort: AbortSignal;
  /** Of the processes in those labs. */
  readonly speaks?: Personality;
  readonly onJudged: (judged: JudgedCase) => void;
}

/** Runs without a fault that must agree on a point: of what two pass, one point in a hundred still depends on the time. */
const FREE_RUNS = 4;

/** The points that cases are made of: what FREE_RUNS runs without a fault all pass in one lab. */
export async function freePoints(
  runDir: string,
  speaks: Personality = {},
  abort?: AbortSignal,
): Promise<TraceRecord[]> {
  const rig = await openRig(runDir, undefined, speaks);
  try {
    const runs: CaseResult[] = [];
    while (runs.length < FREE_RUNS) {
      abort?.throwIfAborted();
      const free = await runCase(rig, undefined);
      if (free.outcome !== 'pass') throw new FreeRunError(free);
      runs.push(free);
    }
    const stories = runs.map(({ records, storyEndNs }) => records.filter(({ ns }) => ns < storyEndNs!));
    return stories.reduce(stablePoints);
  } finally {
    await rig.close();
  }
}

/** Runs the cases; resolves when all are judged or the signal aborts. Leaves no process and no file in either case. */
export async function runCampaign(source: CaseSource, settings: CampaignSettings): Promise<void> {
  const worker = async (index: number): Promise<void> => {
    const labDir = `${settings.runDir}-${index + 1}`;
    await removeKilled(labDir);
    const labs = new Labs(labDir, settings.speaks);
    try {
      while (!settings.abort.aborted) {
        const next = await source.next();
        if (next === undefined) break;
        const judged = await judge(labs, next, source, settings);
        if (judged !== undefined && !settings.abort.aborted) settings.onJudged(judged);
      }
    } finally {
      await labs.close();
    }
  };
  await Promise.all(Array.from({ length: settings.jobs }, (_, index) => worker(index)));
}

/** Removes the lab of a campaign that was killed and is resumed: this one may come to need fewer labs. */
async function removeKilled(labDir: string): Promise<void> {
  if (existsSync(`${labDir}.up`)) (await claimRunDir(labDir)).release({ keep: false });
}

/** The lab of one worker, and its replacement. */
export class Labs {
  readonly #runDir: string;
  readonly #speaks: Personality;
  #rig: Rig | undefined;

  constructor(runDir: string, speaks: Personality = {}) {
    this.#runDir = runDir;
    this.#speaks = speaks;
  }

  async ready(fresh: boolean): Promise<Rig> {
    if (fresh || (this.#rig !== undefined && this.#rig.caseCount > CASES_PER_RIG)) await this.close();
    this.#rig ??= await openRig(this.#runDir, undefined, this.#speaks);
    return this.#rig;
  }

  async close(): Promise<void> {
    const rig = this.#rig;
    this.#rig = undefined;
    if (rig !== undefined) await withDeadline(rig.close(), DEADLINE_MS.chaosEnd, 'the end of a lab');
  }
}

async function judge(
  labs: Labs,
  { case: chaosCase, index }: { readonly case: ChaosCase; readonly index: number },
  source: CaseSource,
  { twiceEvery, abort }: CampaignSettings,
): Promise<JudgedCase | undefined> {
  const runs: CaseResult[] = [];
  const run = async (fresh: boolean): Promise<CaseResult> => {
    // What failed once is likely to fail again: then the report shows what the lab held.
    const snapshots = runs.some(({ outcome }) => outcome !== 'pass');
    const result = await runCase(await labs.ready(fresh), chaosCase, { snapshots });
    // What failed may have left anything behind.
    if (result.outcome !== 'pass' && result.unreached !== true) await labs.close();
    runs.push(result);
    return result;
  };
  const first = await run(false);
  source.took?.(index, first);
  if (first.unreached === true && source.mayMiss === true) return undefined;
  let again = first.outcome !== 'pass' || (twiceEvery > 0 && (index + 1) % twiceEvery === 0);
  for (; again && runs.length < RUNS_MAX && !abort.aborted; ) {
    // A run that could not be judged, because its point was not passed, says nothing: it is tried again.
    again = (await run(true)).outcome === 'harness';
  }
  return judgedCase(chaosCase, runs);
}

/** Why runs with different verdicts give none. */
function differWords([first, ...fresh]: readonly CaseResult[]): string {
  const passes = ({ outcome }: CaseResult): boolean => outcome === 'pass';
  if (fresh.every(passes)) return 'it failed in a lab that had served other cases, and passed in a fresh one';
  if (first !== undefined && passes(first) && !fresh.some(passes))
    return 'it passed in a lab that had served other cases, and failed in a fresh one';
  return 'its runs do not agree';
}

/** What the runs of one case say together: those with a verdict must agree whether all rules held, else there is none. */
export function judgedCase(chaosCase: ChaosCase, runs: readonly CaseResult[]): JudgedCase {
  const verdicts = runs.filter(({ outcome }) => outcome !== 'harness');
  const last = verdicts.at(-1) ?? runs.at(-1)!;
  const differ = verdicts.some(({ outcome }) => (outcome === 'pass') !== (last.outcome === 'pass'));
  // Of all that is said of the case, what it took and what it broke, one run is the source: the last that failed, if one did.
  const fails = ({ outcome }: CaseResult): boolean => outcome !== 'pass';
  const failing = verdicts.findLast(fails);
  const shown = failing ?? runs.findLast(fails);
  const { recoveryMs, ms, violations, trouble: told } = failing ?? last;
  const trouble = differ ? differWords(runs) : told;
  return {
    case: formatCase(chaosCase),
    outcome: differ ? 'harness' : last.outcome,
    violations,
    ...(trouble === undefined ? {} : { trouble }),
    ms: Math.round(ms),
    ...(recoveryMs === undefined ? {} : { recoveryMs: Math.round(recoveryMs) }),
    runs: runs.map(({ outcome }) => outcome),
    ...(shown === undefined ? {} : { exhibit: exhibitOf(shown, runs.indexOf(shown) + 1) }),
  };
}
