// The table of bench:xenstored out of the figures of its turns: medians, and ratios to the C daemon turn by turn, so that a burst of a
// neighbour falls on both of a pair. Pure.

/** Of one turn: who -> what was measured -> how much. A daemon that cannot do something has no figure for it. */
export type Turn = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Of the design: mean over the cases of Xen's test program, and requests a second of 16 clients; ours to the C daemon's. */
export const BARS: Readonly<Record<string, { readonly max?: number; readonly min?: number }>> = {
  'test-xenstore mean': { max: 0.5 },
  'requests a second, 16 clients': { min: 1.5 },
};

export interface Row {
  readonly what: string;
  /** Median of the turns, of each daemon that can do it. */
  readonly figures: Readonly<Record<string, number>>;
  /** Median, least and most of the turns' ratios, ours to the C daemon's; absent for what is near 0. */
  readonly ratio?: number;
  readonly ratioMin?: number;
  readonly ratioMax?: number;
  readonly max?: number;
  readonly min?: number;
  readonly met?: boolean;
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** One row for each thing that was measured of ours; `turns` are of the same daemons, one at least. */
export function rowsOf(turns: readonly Turn[]): Row[] {
  return Object.keys(turns[0]!['ours']!).map((what) => rowOf(what, turns));
}

function rowOf(what: string, turns: readonly Turn[]): Row {
  const figures: Record<string, number> = {};
  for (const who of Object.keys(turns[0]!)) {
    const values = turns.flatMap((turn) => turn[who]?.[what] ?? []);
    if (values.length > 0) figures[who] = median(values);
  }
  if (what.startsWith('idle')) return { what, figures };
  const ratios = turns.map(({ ours, c }) => ours![what]! / c![what]!);
  const ratio = median(ratios);
  const row = { what, figures, ratio, ratioMin: Math.min(...ratios), ratioMax: Math.max(...ratios) };
  const bar = BARS[what];
  if (bar === undefined) return row;
  const { max = Number.POSITIVE_INFINITY, min = 0 } = bar;
  return { ...row, ...bar, met: ratio <= max && ratio >= min };
}

const number = (value: number | undefined): string =>
  value === undefined ? '-' : value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });

/** Lines for a terminal; `titles`: who -> the head of its column, in the order of the columns. */
export function table(rows: readonly Row[], titles: Readonly<Record<string, string>>): string {
  const width = Math.max(...rows.map(({ what }) => what.length));
  const who = Object.keys(titles).filter((name) => rows.some(({ figures }) => name in figures));
  const lines = rows.map(({ what, figures, ratio, ratioMin, ratioMax, max, min, met }) => {
    const cells = [what.padEnd(width), ...who.map((name) => number(figures[name]).padStart(12))];
    if (ratio === undefined) return cells.join(' ');
    cells.push(ratio.toFixed(2).padStart(7), `(${ratioMin?.toFixed(2)}-${ratioMax?.toFixed(2)})`.padStart(12));
    const bar = max === undefined ? (min === undefined ? undefined : `at least ${min}`) : `at most ${max}`;
    if (bar !== undefined) cells.push(`  ${bar}: ${met ? 'met' : 'MISSED'}`);
    return cells.join(' ');
  });
  const heads = who.map((name) => titles[name]!.padStart(12));
  return `${[[' '.repeat(width), ...heads, 'to C'.padStart(7)].join(' '), ...lines].join('\n')}\n`;
}
