// What was found about a failing case, as a file of results keeps it. Leaves finding it to explain.ts, words to ../report/words.ts.

import type { Exhibit } from '../report/exhibit.js';

export interface Explanation {
  /** The case with the fewest faults that still breaks the rule. */
  readonly minimal: string;
  /** The first point of its last fault at which it fails, and the last one before at which it passes, where there is one. */
  readonly fails: string;
  readonly passes?: string;
  /** What the run of `passes` recorded: beside the failing one it shows what did not happen there. */
  readonly passed?: Exhibit;
  /** Points between the two without a verdict. */
  readonly between: number;
  /** Cases that were run for this. */
  readonly runs: number;
}
