// Why a case fails, found by running others: the same with fewer faults, then with its last fault at other points, each judged in
// a lab that has served only cases that passed.

import { freePoints, Labs } from '../campaign.js';
import { type ChaosCase, faultsOf, formatCase } from '../case.js';
import { type CaseResult, runCase } from '../engine.js';
import { pointsAfter } from '../guided/points-after.js';
import { type Exhibit, exhibitOf } from '../report/exhibit.js';
import type { Personality } from '../rig.js';
import type { Explanation } from './explanation.js';
import { type Boundary, minimal, slide, type Trial } from './search.js';

/** Cases that are run to explain one: of a thousand points the boundary is found in about ten. */
const TRIES_MAX = 24;

export interface ExplainSettings {
  /** Of the lab; it is removed at the end. */
  readonly runDir: string;
  readonly speaks?: Personality;
  readonly abort: AbortSignal;
  readonly tell: (line: string) => void;
}

/** undefined when the case passes, has no verdict, or the signal aborts. */
export async function explain(
  chaosCase: ChaosCase,
  { runDir, speaks = {}, abort, tell }: ExplainSettings,
): Promise<Explanation | undefined> {
  const labs = new Labs(runDir, speaks);
  let runs = 0;
  let rules: ReadonlySet<string> | undefined;
  let failing: CaseResult | undefined;
  /** By the case. */
  const passing = new Map<string, Exhibit>();
  const attempt = async (tried: ChaosCase): Promise<Trial> => {
    if (abort.aborted) return 'unknown';
    const result = await runCase(await labs.ready(false), tried);
    runs++;
    if (result.outcome !== 'pass' && result.unreached !== true) await labs.close();
    const trial = trialOf(result, rules);
    tell(`${trial}: ${formatCase(tried)}`);
    if (trial === 'fails') failing = result;
    if (trial === 'passes') passing.set(formatCase(tried), exhibitOf(result, 1));
    return trial;
  };
  try {
    if ((await attempt(chaosCase)) !== 'fails' || failing === undefined) return undefined;
    rules = new Set(failing.violations.map(({ check }) => check));
    const small = await minimal(chaosCase, attempt);
    const boundary = await slide(small, await pointsOfLast(small), attempt, TRIES_MAX);
    return abort.aborted ? undefined : explanation(small, boundary, runs, passing);
  } finally {
    await labs.close();
  }

  /** In the order of a run: without any fault, or, of a list, of the failing run after the fault before the last. */
  async function pointsOfLast(small: ChaosCase) {
    const faults = faultsOf(small);
    const { process } = faults.at(-1)!.at;
    if (faults.length === 1) {
      const free = await freePoints(`${runDir}-free`, speaks);
      return free.filter((each) => each.process === process && each.occurrence === 1);
    }
    const { moments, records } = failing!;
    const after = pointsAfter(faults, moments, records, (records.at(-1)?.ns ?? 0n) + 1n);
    return (after[faults.length - 2] ?? []).filter((each) => each.process === process);
  }
}

/** A case that breaks other rules only is another failure. */
function trialOf({ outcome, violations }: CaseResult, rules: ReadonlySet<string> | undefined): Trial {
  if (outcome === 'pass') return 'passes';
  if (outcome === 'harness') return 'unknown';
  return rules === undefined || violations.some(({ check }) => rules.has(check)) ? 'fails' : 'unknown';
}

function explanation(
  small: ChaosCase,
  { fails, passes, between }: Boundary,
  runs: number,
  passing: ReadonlyMap<string, Exhibit>,
): Explanation {
  const passed = passes === undefined ? undefined : passing.get(formatCase(passes));
  return {
    ...{ minimal: formatCase(small), fails: formatCase(fails), between, runs },
    ...(passes === undefined ? {} : { passes: formatCase(passes) }),
    ...(passed === undefined ? {} : { passed }),
  };
}
