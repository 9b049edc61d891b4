// What every latency figure here is made of: nanoseconds at points of a distribution, and of how many there are.
import { build, type Histogram } from 'hdr-histogram-js';

export interface Figures {
  /** Left out by programs that print four figures. */
  readonly count?: number;
  readonly min?: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** A histogram of nanoseconds: 1 ns to 100 s, three significant digits. */
export function nsHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 100_000_000_000,
    numberOfSignificantValueDigits: 3,
  });
}

export function figuresOf(histogram: Histogram): Figures {
  return {
    count: histogram.totalCount,
    min: histogram.totalCount === 0 ? 0 : histogram.minNonZeroValue,
    p50: histogram.getValueAtPercentile(50),
    p99: histogram.getValueAtPercentile(99),
    p999: histogram.getValueAtPercentile(99.9),
    max: histogram.maxValue,
  };
}

/** From "p50 p99 p999 max" as the C programs print them. */
export function parseFigures(text: string): Figures {
  const [p50, p99, p999, max] = text.trim().split(/\s+/).map(Number);
  if (p50 === undefined || p99 === undefined || p999 === undefined || max === undefined || Number.isNaN(max)) {
    throw new Error(`no figures in: ${text}`);
  }
  return { p50, p99, p999, max };
}
