// The benches that two commits can be compared by: what runs, and which numbers of its JSON count. Pure.

/** Medians, processor time and memory; never the machine or the floors. */
const COSTS = /^(?!.*([fF]loor|host|bar\b)).*(p50|cpuMs|memoryMib)$/;

export interface Bench {
  /** Program and arguments of one round, below the checkout; its standard output is JSON. */
  readonly run: readonly string[];
  /** What is compared, by figuresOf's names. Larger is worse. */
  readonly figures: RegExp;
  /** Of those, the ones of which smaller is worse. */
  readonly rates?: RegExp;
}

export const BENCHES = {
  boot: { run: ['dist/bench/boot.js', '--runs', '3'], figures: COSTS },
  storm: { run: ['dist/bench/boot.js', '--runs', '1', '--guests', '16'], figures: COSTS },
  latency: { run: ['dist/bin/xenwire.js', 'latency', '--json', '--quick'], figures: COSTS },
  // A turn a round: rounds of the two commits go by turns already.
  xenstored: {
    run: ['dist/bench/xenstored.js', '--repeats', '1'],
    figures: /^rows.*\.figures\.ours$/,
    rates: / a second,/,
  },
} as const satisfies Record<string, Bench>;
