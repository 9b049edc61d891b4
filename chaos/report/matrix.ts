// The results of a campaign counted: by fault, by the process that stands and the process that is harmed. A case with several
// faults counts at each of them. Pure. Leaves how that
// is shown to text.ts, live.ts and html.ts.
import { type FaultAt, faultsOf, parseCase, VICTIMS } from '../case.js';
import { OUTCOMES, type Outcome } from '../engine.js';
import type { Fault } from '../faults/fault.js';
import { FAULTS } from '../faults/table.js';
import { type JudgedCase, SEVERITY } from '../results.js';

/** A cell shows its worst. */
export const worse = (one: Outcome, other: Outcome): Outcome =>
  SEVERITY.indexOf(other) > SEVERITY.indexOf(one) ? other : one;

export interface Cell {
  /** Cases judged so far, and those of them that did not pass. */
  judged: number;
  bad: number;
  readonly counts: Record<Outcome, number>;
  worst: Outcome;
  /** Cases to run; as many as `judged` where that is not known. */
  due: number;
}

export const ALL_FAULTS = 'all faults';

/** Cells by fault (without its milliseconds), standing process and victim. */
export class Matrix {
  readonly #faults = new Set<string>();
  readonly #cells = new Map<string, Cell>();

  readonly #allInOne: boolean;

  /** Those that there are cases of, in the order of their table. */
  get faults(): string[] {
    return [...FAULTS.map(({ name }) => name), ALL_FAULTS].filter((name) => this.#faults.has(name));
  }

  /** `due`: all cases that are to run, judged or not. `allInOne`: one part for all faults together, named ALL_FAULTS. */
  constructor(due: readonly string[] = [], { allInOne = false }: { allInOne?: boolean } = {}) {
    this.#allInOne = allInOne;
    for (const text of due) for (const cell of this.#cellsOf(text)) cell.due++;
  }

  take({ case: text, outcome }: JudgedCase): void {
    for (const cell of this.#cellsOf(text)) {
      cell.judged++;
      if (outcome !== 'pass') cell.bad++;
      cell.counts[outcome]++;
      cell.worst = worse(cell.worst, outcome);
      cell.due = Math.max(cell.due, cell.judged);
    }
  }

  cell(fault: string, standing: string, victim: string): Cell | undefined {
    return this.#cells.get(`${fault}|${standing}|${victim}`);
  }

  /** Each once. */
  #cellsOf(text: string): Set<Cell> {
    return new Set(faultsOf(parseCase(text)).map((each) => this.#cellOf(each)));
  }

  #cellOf({ at, fault, victim }: FaultAt): Cell {
    const word = this.#allInOne ? ALL_FAULTS : fault.split(' ')[0]!;
    this.#faults.add(word);
    const key = `${word}|${at.process}|${victim}`;
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      cell = { judged: 0, bad: 0, counts: { pass: 0, broken: 0, wedged: 0, harness: 0 }, worst: 'pass', due: 0 };
      this.#cells.set(key, cell);
    }
    return cell;
  }
}

const COLUMN = 11;
const NAME_COLUMN = 16;

/** "guest-gpu-guest" as a column's head. */
export const shortName = (name: string): string => name.replace('guest-gpu-guest', 'guest').replace('vhost-', '');

/** The processes that stand or are harmed in no case of a campaign still have their row and column: a gap is seen. */
function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return '-';
  const of = cell.due > cell.judged ? `/${cell.due}` : '';
  if (cell.bad === 0) return `${OUTCOMES.pass} ${cell.judged}${of}`;
  const kinds = badKinds(cell);
  const text = `${kinds.map(([mark, count]) => `${mark}${kinds.length === 1 ? ' ' : ''}${count}`).join(' ')}`;
  const whole = `${text}/${cell.judged}`;
  return whole.length < COLUMN ? whole : text;
}

/** Of those that did not pass: each mark with their count, the worst first. */
export function badKinds({ counts }: Cell): [mark: string, count: number][] {
  const bad = [...SEVERITY].reverse().filter((outcome) => outcome !== 'pass' && counts[outcome] > 0);
  return bad.map((outcome) => [OUTCOMES[outcome], counts[outcome]]);
}

/** The faults that cases have, in the order of their table. */
export function faultsIn(judged: readonly JudgedCase[]): Fault[] {
  const all = judged.flatMap(({ case: text }) => faultsOf(parseCase(text)).map(({ fault }) => fault.split(' ')[0]));
  const names = new Set(all);
  return FAULTS.filter(({ name }) => names.has(name));
}

/** What did not pass, the worst first, else as it was. */
export function failuresOf(judged: readonly JudgedCase[]): { readonly each: JudgedCase; readonly index: number }[] {
  return judged
    .map((each, index) => ({ each, index }))
    .filter(({ each }) => each.outcome !== 'pass')
    .sort((a, b) => SEVERITY.indexOf(b.each.outcome) - SEVERITY.indexOf(a.each.outcome) || a.index - b.index);
}

/** The lines of one fault's part, at most 72 columns. */
export function matrixLines(matrix: Matrix, fault: string): string[] {
  const head = VICTIMS.map((name) =>
    shortName(name)
      .slice(0, COLUMN - 1)
      .padStart(COLUMN),
  ).join('');
  return [
    `${fault.padEnd(NAME_COLUMN)}${head}`,
    ...VICTIMS.map((standing) => {
      const row = VICTIMS.map((victim) => cellText(matrix.cell(fault, standing, victim)).padStart(COLUMN));
      return `at ${shortName(standing).padEnd(NAME_COLUMN - 3)}${row.join('')}`;
    }),
  ];
}

/** "340 pass, 1 F, 0 W, 1 ?" */
export function countsText({ pass, broken, wedged, harness }: Readonly<Record<Outcome, number>>): string {
  return `${pass} pass, ${broken} ${OUTCOMES.broken}, ${wedged} ${OUTCOMES.wedged}, ${harness} ${OUTCOMES.harness}`;
}
