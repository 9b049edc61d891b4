// Histograms as other programs read them: cyclictest's --histfile (rt-tests, src/cyclictest/cyclictest.c, print_hist), a line a
// microsecond and a column a measurement; and HdrHistogram's percentile distribution, one .hgrm file each. Pure.
import type { Histogram } from 'hdr-histogram-js';

/** Microseconds that have a line of their own, as with cyclictest -h; what takes longer is an overflow. */
export const HISTFILE_US = 10_000;

/** Whole microseconds of one measurement in one direction. */
export class UsCounts {
  readonly counts = new Uint32Array(HISTFILE_US);
  overflows = 0;
  total = 0;
  #sumUs = 0;
  #minUs = Number.POSITIVE_INFINITY;
  #maxUs = 0;

  add(ns: number): void {
    const us = Math.floor(ns / 1000);
    this.total++;
    this.#sumUs += us;
    this.#minUs = Math.min(this.#minUs, us);
    this.#maxUs = Math.max(this.#maxUs, us);
    if (us < HISTFILE_US) this.counts[us]!++;
    else this.overflows++;
  }

  get minUs(): number {
    return this.total === 0 ? 0 : this.#minUs;
  }
  get maxUs(): number {
    return this.#maxUs;
  }
  get averageUs(): number {
    return this.total === 0 ? 0 : Math.floor(this.#sumUs / this.total);
  }
}

export interface Column {
  /** "evtchnfd doorbell hot closed, guest to device" */
  readonly name: string;
  readonly us: UsCounts;
  readonly ns: Histogram;
}

const padded = (value: number, width: number): string => String(value).padStart(width, '0');

/** Lines as cyclictest writes them, after a comment that names the columns; rows above the last one that is used are left out. */
export function histfile(columns: readonly Column[]): string {
  const all = columns.map(({ us }) => us);
  let rows = 0;
  for (const { counts } of all) for (let us = rows; us < counts.length; us++) if (counts[us]! > 0) rows = us + 1;
  const line = (name: string, value: (us: UsCounts) => number, width: number): string =>
    `# ${name}: ${all.map((us) => padded(value(us), width)).join(' ')}`;
  const lines = [
    ...columns.map(({ name }, index) => `# Column ${index}: ${name}`),
    '# Histogram',
    ...Array.from(
      { length: rows },
      (_, us) => `${padded(us, 6)} ${all.map(({ counts }) => padded(counts[us]!, 6)).join('\t')}`,
    ),
    line('Total', ({ total }) => total, 9),
    line('Min Latencies', ({ minUs }) => minUs, 5),
    line('Avg Latencies', ({ averageUs }) => averageUs, 5),
    line('Max Latencies', ({ maxUs }) => maxUs, 5),
    line('Histogram Overflows', ({ overflows }) => overflows, 5),
  ];
  return `${lines.join('\n')}\n`;
}

/** What a file of one column may be called. */
export const hgrmName = ({ name }: Column): string => `${name.replace(/[^a-z0-9]+/gi, '-')}.hgrm`;

/** Microseconds, as tools that plot .hgrm files expect one unit throughout. */
export const hgrm = ({ ns }: Column): string => ns.outputPercentileDistribution(5, 1000);
