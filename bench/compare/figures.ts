// Two series of the same bench, run by turns, compared figure by figure: how much slower the second is, and how sure that is.
// Pure; bench/compare.ts runs the benches.

/** Numbers of a bench's JSON by where they stand; an element of a list is named by its texts, as `paths[direct doorbell hot]`. */
export function figuresOf(json: unknown, wanted: RegExp): Map<string, number> {
  const figures = new Map<string, number>();
  const visit = (value: unknown, path: string): void => {
    if (typeof value === 'number') {
      if (wanted.test(path)) figures.set(path, value);
    } else if (Array.isArray(value)) {
      for (const [index, each] of value.entries()) visit(each, `${path}[${nameOf(each) ?? index}]`);
    } else if (value !== null && typeof value === 'object') {
      for (const [name, each] of Object.entries(value)) visit(each, path === '' ? name : `${path}.${name}`);
    }
  };
  visit(json, '');
  return figures;
}

function nameOf(element: unknown): string | undefined {
  if (element === null || typeof element !== 'object') return undefined;
  const texts = Object.values(element).filter((each) => typeof each === 'string');
  return texts.length > 0 ? texts.join(' ') : undefined;
}

export interface Comparison {
  /** How much larger the second is than the first: the median of the ratios of all pairs of rounds (Hodges and Lehmann). */
  readonly ratio: number;
  /** Chance that differences at least so one-sided come about when neither is slower (Wilcoxon's signed ranks, exact). */
  readonly p: number;
}

/** Rounds from which `compare` counts every pattern of signs: 2^16 of them. */
export const ROUNDS_MAX = 16;
/** Fewer rounds cannot reach 5 %. */
export const ROUNDS_MIN = 6;

/**
 * Compares `second[i]` with `first[i]`, which were measured side by side: round for round, so that a machine that became slower
 * meanwhile does not count. Both have the same length of at least one, and positive numbers.
 */
export function compare(first: readonly number[], second: readonly number[]): Comparison {
  // Rounded, so that differences that are equal share their rank whichever series comes first.
  const logs = first.map((value, index) => Number((Math.log(second[index]!) - Math.log(value)).toFixed(9)));
  const walsh = logs.flatMap((a, i) => logs.slice(i).map((b) => (a + b) / 2)).sort((a, b) => a - b);
  const middle = walsh.length >> 1;
  const centre = walsh.length % 2 === 1 ? walsh[middle]! : (walsh[middle - 1]! + walsh[middle]!) / 2;
  return { ratio: Math.exp(centre), p: signedRanks(logs.filter((value) => value !== 0)) };
}

/** Two-sided: the share of all patterns of signs whose sum of ranks is at least as far from none. */
function signedRanks(differences: readonly number[]): number {
  if (differences.length === 0) return 1;
  const sizes = differences.map(Math.abs);
  // Equal sizes share the mean of their ranks.
  const ranks = sizes.map(
    (size) => sizes.filter((other) => other < size).length + (sizes.filter((other) => other === size).length + 1) / 2,
  );
  const sumOf = (positive: (index: number) => boolean): number =>
    ranks.reduce((sum, rank, index) => sum + (positive(index) ? rank : -rank), 0);
  const seen = Math.abs(sumOf((index) => differences[index]! > 0));
  let asFar = 0;
  const patterns = 2 ** ranks.length;
  for (let pattern = 0; pattern < patterns; pattern++)
    if (Math.abs(sumOf((index) => ((pattern >> index) & 1) === 1)) >= seen - 1e-9) asFar++;
  return asFar / patterns;
}

/** In words: only a difference that is sure and larger than `share` is one. */
export function verdictOf({ ratio, p }: Comparison, share: number): 'larger' | 'smaller' | 'no difference shown' {
  if (p > 0.05 || Math.abs(ratio - 1) <= share) return 'no difference shown';
  return ratio > 1 ? 'larger' : 'smaller';
}
