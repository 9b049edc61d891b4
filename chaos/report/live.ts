// What a campaign shows while it runs: on a terminal one screen, drawn over in place, with the matrix, the rate, the time left
// and the last failures; elsewhere a line now and then, and one for each failure. What is on the screen is put together purely
// (liveLines); LiveReport draws it.
import { OUTCOMES, type Outcome } from '../engine.js';
import { countOutcomes, type JudgedCase } from '../results.js';
import { ALL_FAULTS, countsText, Matrix, matrixLines } from './matrix.js';

/** Between two drawings of the screen, and between two lines elsewhere. */
const EVERY_MS = { screen: 200, line: 10_000 } as const;

/** How far a campaign is, and since when. */
export interface Pace {
  /** Cases of this part of it, and those judged so far. */
  readonly due: number;
  readonly done: number;
  /** Those of an earlier run, which say nothing of the rate. */
  readonly earlier: number;
  readonly elapsedMs: number;
}

/** A campaign under way. */
export interface Progress extends Pace {
  readonly counts: Readonly<Record<Outcome, number>>;
  readonly byFault: Matrix;
  readonly allInOne: Matrix;
  /** Those that did not pass, oldest first. */
  readonly bad: readonly JudgedCase[];
}

/** "1.92 a second, 1 h 48 min left" */
export function paceText({ due, done, earlier, elapsedMs }: Pace): string {
  if (done === earlier) return 'the first case is under way';
  const rate = (done - earlier) / (elapsedMs / 1000);
  return `${rate.toFixed(2)} a second, ${durationText((due - done) / rate)} left`;
}

export function durationText(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${Math.ceil(seconds)} s`;
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

export const progressLine = (progress: Progress): string =>
  `${progress.done} of ${progress.due}, ${paceText(progress)}: ${countsText(progress.counts)}`;

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** The screen: never more lines than `rows`, nor wider than `columns`. */
export function liveLines(progress: Progress, { columns, rows }: ScreenSize): string[] {
  const { byFault, allInOne, bad } = progress;
  const whole = byFault.faults.flatMap((fault) => ['', ...matrixLines(byFault, fault)]);
  // One line of progress, and room for a failure below it.
  const matrix = whole.length + 3 <= rows ? whole : ['', ...matrixLines(allInOne, ALL_FAULTS)];
  const lines = [progressLine(progress), ...matrix];
  const room = rows - lines.length - 1;
  const last = room < 1 ? [] : bad.slice(-room).map(({ outcome, case: text }) => `${OUTCOMES[outcome]} ${text}`);
  return [...lines, ...(last.length > 0 ? ['', ...last] : [])].slice(0, rows).map((line) => line.slice(0, columns));
}

export interface LiveOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** Draws on `output`; `now` in milliseconds. */
export class LiveReport {
  readonly #output: LiveOutput;
  readonly #now: () => number;
  readonly #start: number;
  readonly #due: number;
  readonly #earlier: number;
  readonly #byFault: Matrix;
  readonly #allInOne: Matrix;
  readonly #counts: Record<Outcome, number>;
  readonly #bad: JudgedCase[] = [];
  #done = 0;
  #drawnMs = Number.NEGATIVE_INFINITY;
  #drawnLines = 0;

  /** `planned`: the cases of this part of the campaign; `earlier`: those of them that an earlier run has judged. */
  constructor(output: LiveOutput, planned: readonly string[], earlier: readonly JudgedCase[], now: () => number) {
    this.#output = output;
    this.#now = now;
    this.#start = now();
    this.#due = planned.length;
    this.#earlier = earlier.length;
    this.#byFault = new Matrix(planned);
    this.#allInOne = new Matrix(planned, { allInOne: true });
    this.#counts = countOutcomes([]);
    for (const each of earlier) this.#take(each);
    if (output.isTTY === true) this.#draw();
  }

  /** After each case that was judged. */
  show(judged: JudgedCase): void {
    this.#take(judged);
    const isLast = this.#done === this.#due;
    const sinceMs = this.#now() - this.#drawnMs;
    if (this.#output.isTTY === true) {
      if (isLast || sinceMs >= EVERY_MS.screen) this.#draw();
      return;
    }
    if (judged.outcome !== 'pass') this.#output.write(`${OUTCOMES[judged.outcome]} ${judged.case}\n`);
    if (!isLast && sinceMs < EVERY_MS.line) return;
    this.#drawnMs = this.#now();
    this.#output.write(`${progressLine(this.#progress())}\n`);
  }

  #take(judged: JudgedCase): void {
    this.#done++;
    this.#counts[judged.outcome]++;
    if (judged.outcome !== 'pass') this.#bad.push(judged);
    this.#byFault.take(judged);
    this.#allInOne.take(judged);
  }

  #progress(): Progress {
    return {
      ...{ due: this.#due, done: this.#done, earlier: this.#earlier, elapsedMs: this.#now() - this.#start },
      ...{ counts: this.#counts, byFault: this.#byFault, allInOne: this.#allInOne, bad: this.#bad },
    };
  }

  #draw(): void {
    this.#drawnMs = this.#now();
    const { columns = 80, rows = 24 } = this.#output;
    // The cursor's own line stays free: a line that fills the last row would scroll.
    const lines = liveLines(this.#progress(), { columns: columns - 1, rows: rows - 1 });
    this.#output.write(`${this.#back()}${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`);
    this.#drawnLines = lines.length;
  }

  #back(): string {
    return this.#drawnLines === 0 ? '' : `\x1b[${this.#drawnLines}A\r`;
  }

  /** Takes the screen away: the report follows. */
  end(): void {
    if (this.#output.isTTY === true) this.#output.write(`${this.#back()}\x1b[J`);
    this.#drawnLines = 0;
  }
}
