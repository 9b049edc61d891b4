// A row of the table of bars: what is measured, where it must lie, and where it does. Pure.

export interface Bar {
  readonly what: string;
  readonly measured: number;
  readonly unit: string;
  /** One of the two. */
  readonly max?: number;
  readonly min?: number;
}

export const met = ({ measured, max = Number.POSITIVE_INFINITY, min = Number.NEGATIVE_INFINITY }: Bar): boolean =>
  measured <= max && measured >= min;

/** How much of its bar a figure is: above 1 is too much of what has a `max`, below 1 too little of what has a `min`. */
const share = ({ measured, max, min }: Bar): number => measured / (max ?? min!);

const show = (value: number): string =>
  value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });

/** Lines of a table for a terminal. */
export function table(rows: readonly Bar[]): string[] {
  const width = Math.max(4, ...rows.map(({ what }) => what.length));
  const line = (what: string, measured: string, bar: string, verdict: string): string =>
    [what.padEnd(width), measured.padStart(12), bar.padStart(18), verdict].join('  ').trimEnd();
  return [
    line('what', 'measured', 'bar', ''),
    ...rows.map((row) =>
      line(
        row.what,
        `${show(row.measured)} ${row.unit}`,
        row.max !== undefined ? `at most ${show(row.max)}` : `at least ${show(row.min!)}`,
        met(row) ? 'met' : `MISSED: ${show(share(row))} of it`,
      ),
    ),
  ];
}

/** Of a part that failed, in one line: `message` is an error's, of execFile's with what the program said on standard error behind it. */
export function reasonOf(message: string): string {
  const [first = '', ...said] = message.split('\n').filter((line) => line.trim() !== '');
  const why = said.find((line) => /^(xenwire|\w*Error)\b/.test(line)) ?? said.at(-1);
  return why === undefined ? first : `${first}: ${why.trim()}`;
}
