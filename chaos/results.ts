// The results of a campaign as data: what is written to a file, joined from shards, taken up again, and reported.
import { UserError } from '../lib/core/errors.js';
import type { Violation } from './engine.js';
import { OUTCOMES, type Outcome } from './engine.js';
import type { GuidedSummary } from './guided/summary.js';
import { type Exhibit, isExhibit } from './report/exhibit.js';
import type { Explanation } from './shrink/explanation.js';

/** One case as it was judged. */
export interface JudgedCase {
  readonly case: string;
  readonly outcome: Outcome;
  readonly violations: readonly Violation[];
  /** Why there is no verdict. */
  readonly trouble?: string;
  readonly ms: number;
  readonly recoveryMs?: number;
  /** Outcomes of all runs of the case, in order: the first in a lab that served others, then in a fresh one. */
  readonly runs: readonly Outcome[];
  /** Of the last run that did not pass: what the report shows of it. */
  readonly exhibit?: Exhibit;
  /** The fewest faults that break the same rule, and the point at which that begins. */
  readonly explained?: Explanation;
}

export interface CampaignResult {
  /** RESULT_FORMAT. */
  readonly format: string;
  /** Of the program, and of the catalogue of points by which cases are named. */
  readonly version: string;
  readonly catalogue: string;
  readonly seed: number | undefined;
  /** The command line as it was given, when it began (ISO 8601, UTC), and on what. */
  readonly how?: { readonly command: string; readonly began: string; readonly machine: string };
  /** What ran in vhost-frontend's place; absent: our own. */
  readonly backendCommand?: string;
  readonly shard: { readonly index: number; readonly count: number };
  /** All cases of the campaign, in order; a shard runs some of them. */
  readonly planned: readonly string[];
  readonly judged: readonly JudgedCase[];
  /** Of a campaign that sought its cases: `planned` are those that it came to. */
  readonly guided?: GuidedSummary;
}

export const RESULT_FORMAT: string = 'xenwire-chaos-1';

export function countOutcomes(judged: readonly JudgedCase[]): Record<Outcome, number> {
  const counts: Record<Outcome, number> = { pass: 0, broken: 0, wedged: 0, harness: 0 };
  for (const { outcome } of judged) counts[outcome]++;
  return counts;
}

/** Reads what a campaign wrote. Throws UserError for anything else. */
export function parseResult(text: string, path: string): CampaignResult {
  let value: Partial<CampaignResult>;
  try {
    value = JSON.parse(text) as Partial<CampaignResult>;
  } catch {
    throw new UserError(`${path} is no result of xenwire chaos`);
  }
  const { format, planned, judged, how, backendCommand, guided } = value ?? {};
  const whole =
    format === RESULT_FORMAT &&
    (backendCommand === undefined || typeof backendCommand === 'string') &&
    (how === undefined || [how?.command, how?.began, how?.machine].every((each) => typeof each === 'string')) &&
    Array.isArray(planned) &&
    planned.every((each) => typeof each === 'string') &&
    Array.isArray(judged) &&
    judged.every((each) => typeof each?.case === 'string' && Object.hasOwn(OUTCOMES, each.outcome)) &&
    judged.every(({ exhibit }) => exhibit === undefined || isExhibit(exhibit)) &&
    judged.every(({ explained }) => explained === undefined || isExplanation(explained)) &&
    (guided === undefined || isGuided(guided));
  if (!whole) throw new UserError(`${path} is no result of xenwire chaos of this version`);
  return value as CampaignResult;
}

function isExplanation(value: Partial<Explanation>): boolean {
  const { minimal, fails, passes, passed, between, runs } = value ?? {};
  if (passed !== undefined && !isExhibit(passed)) return false;
  const texts = [minimal, fails, ...(passes === undefined ? [] : [passes])];
  return texts.every((each) => typeof each === 'string') && [between, runs].every(Number.isInteger);
}

function isGuided(value: Partial<GuidedSummary>): boolean {
  const { bound, lists, partly, behaviours, curve, end, moves, never } = value ?? {};
  return (
    [bound, lists, partly, behaviours, moves].every(Number.isInteger) &&
    Array.isArray(curve) &&
    curve.every(Number.isInteger) &&
    Array.isArray(never) &&
    never.every((each) => typeof each === 'string') &&
    ['flat', 'budget', 'exhausted', 'interrupted'].includes(end ?? '')
  );
}

export interface Merged {
  readonly result: CampaignResult;
  /** Planned and judged in no shard. */
  readonly missing: readonly string[];
  /** Judged in several shards; a failure counts before a pass. */
  readonly doubled: readonly string[];
}

/** From the best to the worst. */
export const SEVERITY: readonly Outcome[] = ['pass', 'harness', 'wedged', 'broken'];

/** Joins the results of the shards of one campaign. Throws UserError when they are of different ones. */
export function merge(results: readonly CampaignResult[]): Merged {
  const [first] = results;
  if (first === undefined) throw new UserError('there is no result to merge');
  const same = (other: CampaignResult): boolean =>
    other.catalogue === first.catalogue &&
    other.backendCommand === first.backendCommand &&
    other.planned.length === first.planned.length &&
    other.planned.every((text, index) => text === first.planned[index]);
  if (!results.every(same)) throw new UserError('the results are of different campaigns: their lists of cases differ');
  const byCase = new Map<string, JudgedCase>();
  const doubled = new Set<string>();
  for (const judged of results.flatMap((result) => result.judged)) {
    const known = byCase.get(judged.case);
    if (known !== undefined) doubled.add(judged.case);
    if (known === undefined || SEVERITY.indexOf(judged.outcome) > SEVERITY.indexOf(known.outcome))
      byCase.set(judged.case, judged);
  }
  const judged = first.planned.flatMap((text) => byCase.get(text) ?? []);
  const missing = first.planned.filter((text) => !byCase.has(text));
  return { result: { ...first, shard: { index: 1, count: 1 }, judged }, missing, doubled: [...doubled] };
}
