// What a guided search has found, as a file of results keeps it. Leaves finding it to search.ts, words to ../report/guided.ts.

/** Lists between two points of the curve. */
export const CURVE_STEP = 100;

export interface GuidedSummary {
  readonly bound: number;
  /** Lists run, and those of them of which a later fault did not happen because its point was not passed. */
  readonly lists: number;
  readonly partly: number;
  readonly behaviours: number;
  /** Behaviours known after each CURVE_STEP lists, and at the end. */
  readonly curve: readonly number[];
  readonly end: 'flat' | 'budget' | 'exhausted' | 'interrupted';
  /** Moves of the protocol's table, and those that no list came to. */
  readonly moves: number;
  readonly never: readonly string[];
}
