// A guided search as a source of cases for a campaign: lists come in rounds, each made from what the rounds before the last one
// showed, so that which lists are run does not depend on which of several labs is faster. Ends at its budget, or when nothing new
// has come for long.
import type { PointInstance } from '../../lib/trace/instances.js';
import type { CaseSource } from '../campaign.js';
import { type ChaosCase, faultsOf } from '../case.js';
import type { CaseResult } from '../engine.js';
import { seeded } from '../random.js';
import { Corpus, type CorpusSettings } from './corpus.js';
import { behavioursOf } from './coverage.js';
import { pointsAfter } from './points-after.js';
import { CURVE_STEP, type GuidedSummary } from './summary.js';
import { TableEdges } from './table-edges.js';

/** Lists of a round; a lab that is done with its own takes from the next round, made without what this one shows. */
const ROUND = 12;
/** The curve is flat when so many lists in a row have led to nothing new but so many behaviours. */
const FLAT = { lists: 100, behaviours: 3 } as const;
export interface Budget {
  readonly cases?: number;
  readonly ms?: number;
}

export interface SearchSettings extends Omit<CorpusSettings, 'draw'> {
  readonly seed: number;
  readonly budget: Budget;
  /** Milliseconds. */
  readonly now: () => number;
}

interface Round {
  readonly cases: readonly ChaosCase[];
  readonly results: Map<number, CaseResult>;
  /** Of all cases: the number of the first. */
  readonly first: number;
  whole: Promise<void>;
  isWhole(): void;
}

export class GuidedSearch implements CaseSource {
  readonly mayMiss = true;
  readonly #settings: SearchSettings;
  readonly #corpus: Corpus;
  readonly #edges = new TableEdges();
  readonly #rounds: Round[] = [];
  readonly #curve: number[] = [];
  readonly #startMs: number;
  /** By list, in order: behaviours that it was the first to show. */
  readonly #fresh: number[] = [];
  #fed = 0;
  #given = 0;
  #partly = 0;
  #end: GuidedSummary['end'] = 'interrupted';
  #making: Promise<boolean> | undefined;

  constructor(first: readonly PointInstance[], settings: SearchSettings) {
    this.#settings = settings;
    this.#startMs = settings.now();
    this.#corpus = new Corpus(first, { ...settings, draw: seeded(settings.seed) });
  }

  async next(): Promise<{ case: ChaosCase; index: number } | undefined> {
    for (;;) {
      const round = this.#rounds.at(-1);
      if (round !== undefined && this.#given < round.first + round.cases.length) {
        const index = this.#given++;
        return { case: round.cases[index - round.first]!, index };
      }
      // Several labs may ask at once.
      this.#making ??= this.#nextRound().finally(() => {
        this.#making = undefined;
      });
      if (!(await this.#making)) return undefined;
    }
  }

  /** The first run of a list. */
  took(index: number, result: CaseResult): void {
    const round = this.#rounds.find(({ first, cases }) => index >= first && index < first + cases.length);
    if (round === undefined) return;
    round.results.set(index, result);
    if (round.results.size === round.cases.length) round.isWhole();
  }

  async #nextRound(): Promise<boolean> {
    const waited = this.#rounds.at(-2);
    await waited?.whole;
    this.#feed(this.#rounds.length - 1);
    const ended = this.#ended();
    if (ended !== undefined) {
      this.#end = ended;
      return false;
    }
    const room = Math.min(ROUND, (this.#settings.budget.cases ?? Number.POSITIVE_INFINITY) - this.#given);
    const cases: ChaosCase[] = [];
    while (cases.length < room) {
      const proposed = this.#corpus.propose();
      if (proposed === undefined) break;
      cases.push(proposed);
    }
    if (cases.length === 0) {
      this.#end = 'exhausted';
      return false;
    }
    let isWhole!: () => void;
    const whole = new Promise<void>((resolve) => {
      isWhole = resolve;
    });
    this.#rounds.push({ cases, results: new Map(), first: this.#given, whole, isWhole });
    return true;
  }

  /** Takes what the rounds below `until` showed, in the order of their lists. */
  #feed(until: number): void {
    for (; this.#fed < until; this.#fed++) {
      const { cases, results, first } = this.#rounds[this.#fed]!;
      for (const [place, chaosCase] of cases.entries()) {
        const result = results.get(first + place);
        if (result !== undefined) this.#take(chaosCase, result);
      }
      results.clear(); // with all their records
    }
  }

  #take(chaosCase: ChaosCase, { records, moments, storyEndNs, trouble }: CaseResult): void {
    const faults = faultsOf(chaosCase);
    const until = storyEndNs ?? records.at(-1)?.ns ?? 0n;
    const after = pointsAfter(faults, moments, records, until);
    this.#edges.take(records);
    // Of a list that came about in part, the part that did is another list.
    if (moments.length < faults.length) this.#partly++;
    const whole = moments.length === faults.length && trouble === undefined;
    this.#fresh.push(whole ? this.#corpus.take(chaosCase, { behaviours: behavioursOf(records, moments), after }) : 0);
    if (this.#fresh.length % CURVE_STEP === 0) this.#curve.push(this.#corpus.behaviourCount);
  }

  #ended(): GuidedSummary['end'] | undefined {
    const { cases = Number.POSITIVE_INFINITY, ms = Number.POSITIVE_INFINITY } = this.#settings.budget;
    if (this.#given >= cases || this.#settings.now() - this.#startMs >= ms) return 'budget';
    const last = this.#fresh.slice(-FLAT.lists);
    const isFlat = last.length === FLAT.lists && last.reduce((sum, each) => sum + each, 0) <= FLAT.behaviours;
    return isFlat ? 'flat' : undefined;
  }

  /** Behaviours of the first so many lists: those of the last rounds are not looked at yet. */
  get seen(): { readonly behaviours: number; readonly lists: number } {
    return { behaviours: this.#corpus.behaviourCount, lists: this.#fresh.length };
  }

  /** Once nothing runs any more. */
  summary(): GuidedSummary {
    this.#feed(this.#rounds.length);
    const { behaviourCount } = this.#corpus;
    const atStep = this.#fresh.length % CURVE_STEP === 0;
    return {
      ...{ bound: this.#settings.bound, lists: this.#fresh.length, partly: this.#partly, behaviours: behaviourCount },
      ...{ curve: [...this.#curve, ...(atStep ? [] : [behaviourCount])], end: this.#end },
      ...{ moves: TableEdges.all.length, never: this.#edges.never },
    };
  }
}
