// A campaign as the live page shows it while it runs: counts, pace, the matrix of processes with how far each cell is, the last
// failures in words, and the cases of a cell. Pure; the clock is given. Leaves the page to dashboard/.
import { parseCase, VICTIMS } from '../case.js';
import { OUTCOMES, type Outcome } from '../engine.js';
import { FAULTS } from '../faults/table.js';
import { countOutcomes, type JudgedCase, SEVERITY } from '../results.js';
import { paceText } from './live.js';
import { type Cell, Matrix, shortName } from './matrix.js';
import { caseWords, OUTCOME_WORDS, replayLine, ruleWords } from './words.js';

/** Failures that are told in words; all of them are in their cells. */
const FAILURES_SHOWN = 40;

/** What a judged case tells a page: its exhibit is the report's. */
export type PageCase = Omit<JudgedCase, 'exhibit'>;

export interface CellOf {
  readonly fault: string;
  readonly standing: string;
  readonly victim: string;
}

const cellOf = (text: string): CellOf => {
  const { at, fault, victim } = parseCase(text);
  return { fault: fault.split(' ')[0]!, standing: at.process, victim };
};
const keyOf = ({ fault, standing, victim }: CellOf): string => `${fault}|${standing}|${victim}`;

/** What a campaign tells its page first; then each case as it is judged. */
export interface CampaignHead {
  readonly due: readonly string[];
  readonly earlier: readonly PageCase[];
  /** Of a campaign against a backend of others. */
  readonly backendCommand?: string;
}

export class CampaignView {
  readonly #now: () => number;
  readonly #startMs: number;
  readonly #matrix: Matrix;
  readonly #due: readonly string[];
  readonly #byCell = new Map<string, string[]>();
  readonly #judged = new Map<string, PageCase>();
  readonly #earlier: number;
  readonly #counts: Record<Outcome, number> = countOutcomes([]);
  #failures: PageCase[] = [];

  readonly #backendCommand: string | undefined;

  /** `due`: the cases of this part; `earlier`: those of them that were judged before. `now` in milliseconds. Throws UserError. */
  constructor({ due, earlier, backendCommand }: CampaignHead, now: () => number) {
    this.#backendCommand = backendCommand;
    this.#now = now;
    this.#startMs = now();
    this.#due = due;
    this.#matrix = new Matrix(due);
    this.#earlier = earlier.length;
    for (const text of due) {
      const key = keyOf(cellOf(text));
      const cases = this.#byCell.get(key) ?? [];
      this.#byCell.set(key, cases);
      cases.push(text);
    }
    for (const each of earlier) this.take(each);
  }

  /** Of the campaign's first line, a CampaignHead. */
  static of(line: string, now: () => number): CampaignView {
    return new CampaignView(JSON.parse(line) as CampaignHead, now);
  }

  /** A line after that, a PageCase. */
  takeLine(line: string): void {
    this.take(JSON.parse(line) as PageCase);
  }

  take(judged: PageCase): void {
    this.#judged.set(judged.case, judged);
    this.#counts[judged.outcome]++;
    this.#matrix.take(judged);
    if (judged.outcome !== 'pass') this.#failures = [judged, ...this.#failures].slice(0, FAILURES_SHOWN);
  }

  progress(): object {
    const due = this.#due.length;
    const done = this.#judged.size;
    const { faults } = this.#matrix;
    const pace = { due, done, earlier: this.#earlier, elapsedMs: this.#now() - this.#startMs };
    return {
      ...{ due, done, counts: this.#counts, pace: done === due ? 'all are judged' : paceText(pace) },
      faults: faults.map((name) => ({ name, words: FAULTS.find((fault) => fault.name === name)?.describe ?? '' })),
      processes: VICTIMS.map((name) => ({ name, short: shortName(name) })),
      outcomes: SEVERITY.map((name) => ({ name, mark: OUTCOMES[name], words: OUTCOME_WORDS[name] })),
    };
  }

  cells(): (CellOf & Cell)[] {
    return this.#matrix.faults.flatMap((fault) =>
      VICTIMS.flatMap((standing) =>
        VICTIMS.flatMap((victim) => {
          const cell = this.#matrix.cell(fault, standing, victim);
          return cell === undefined ? [] : [{ fault, standing, victim, ...cell }];
        }),
      ),
    );
  }

  /** The newest first. */
  failures(): { case: string; outcome: Outcome; words: string; why: string[] }[] {
    return this.#failures.map(({ case: text, outcome, violations, trouble }) => ({
      ...{ case: text, outcome, words: caseWords(parseCase(text)) },
      why: [
        ...(trouble === undefined ? [] : [trouble]),
        ...violations.map(({ check, what }) => `${check}: ${what}${ruleText(check)}`),
      ],
    }));
  }

  /** In the order of the campaign; those without an outcome are due. */
  cases(cell: CellOf): { case: string; outcome?: Outcome; ms?: number }[] {
    return (this.#byCell.get(keyOf(cell)) ?? []).map((text) => {
      const judged = this.#judged.get(text);
      return { case: text, ...(judged === undefined ? {} : { outcome: judged.outcome, ms: judged.ms }) };
    });
  }

  /** A case of this campaign in words; undefined for other text. */
  words(text: string): string | undefined {
    return this.#due.includes(text) ? caseWords(parseCase(text)) : undefined;
  }

  /** What `xenwire replay` is given beside a case. */
  get replayOptions(): readonly string[] {
    return this.#backendCommand === undefined ? [] : ['--backend-command', this.#backendCommand];
  }

  /** The line that replays a case in a terminal. */
  replayLine(text: string): string {
    return replayLine(text, this.#backendCommand);
  }
}

function ruleText(check: string): string {
  const words = ruleWords(check);
  return words === undefined ? '' : ` (the rule: ${words})`;
}
