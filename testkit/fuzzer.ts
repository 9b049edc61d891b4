// A seeded, coverage-guided fuzzer: inputs are mutations of those that reached code which none before them reached. Which code
// was reached says V8's block coverage, asked through node:inspector. Leaves what an input means, and what must hold after
// it, to the target: whatever it throws is a finding.
import { Session } from 'node:inspector';

export interface FuzzTarget {
  readonly name: string;
  /** Files whose coverage counts. */
  readonly files: RegExp;
  /** Inputs to begin with: whole and right ones. */
  readonly seeds: readonly Uint8Array[];
  /** Longest input. */
  readonly bytesMax: number;
  run(input: Uint8Array): void;
}

export interface Finding {
  readonly input: Uint8Array;
  readonly error: unknown;
}

export interface FuzzReport {
  readonly inputs: number;
  /** Inputs that reached something new. */
  readonly kept: number;
  /** Blocks reached. */
  readonly blocks: number;
  readonly finding: Finding | undefined;
}

/** Inputs between two looks at the coverage, which cost more than an input. */
const BATCH = 64;
const PARTS = 4;
/** Numbers at which code decides. */
const EDGES = [0, 1, 2, 4, 7, 8, 15, 16, 24, 31, 32, 63, 64, 127, 128, 255];

/** xorshift32: the same inputs for the same seed, on every machine. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0 || 0x9e3779b9;
  }
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }
  below(limit: number): number {
    return this.next() % limit;
  }
}

/** Blocks of `files` that ran since the last look. */
class Coverage {
  readonly #session = new Session();
  readonly #files: RegExp;

  constructor(files: RegExp) {
    this.#files = files;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  take(): string[] {
    const blocks: string[] = [];
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error;
      for (const { url, functions } of answer.result) {
        if (!this.#files.test(url)) continue;
        for (const { ranges } of functions)
          for (const { startOffset, endOffset, count } of ranges)
            if (count > 0) blocks.push(`${url}:${startOffset}-${endOffset}`);
      }
    });
    return blocks;
  }

  close(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }
}

/** Runs `count` inputs; ends at the first finding. */
export function fuzz(target: FuzzTarget, { inputs: count, seed }: { inputs: number; seed: number }): FuzzReport {
  const random = new Random(seed);
  const coverage = new Coverage(target.files);
  const reached = new Set<string>();
  const corpus: Uint8Array[] = [...target.seeds];
  let inputs = 0;
  let finding: Finding | undefined;
  const run = (input: Uint8Array): void => {
    inputs++;
    try {
      target.run(input);
    } catch (error) {
      finding ??= { input, error };
    }
  };
  /** Whether what ran since the last look reached something new. */
  const isNew = (): boolean => {
    const before = reached.size;
    for (const block of coverage.take()) reached.add(block);
    return reached.size > before;
  };
  try {
    for (const input of target.seeds) run(input);
    isNew();
    /** Runs them, and keeps those that reach something new: parts of a batch that does tell which, each smaller. */
    const explore = (batch: readonly Uint8Array[]): void => {
      const known = new Set(reached);
      for (const input of batch) if (finding === undefined) run(input);
      if (finding !== undefined || !isNew()) return;
      if (batch.length === 1) {
        corpus.push(batch[0]!);
        return;
      }
      reached.clear();
      for (const block of known) reached.add(block);
      const part = Math.ceil(batch.length / PARTS);
      for (let at = 0; at < batch.length; at += part) explore(batch.slice(at, at + part));
    };
    while (inputs < count && finding === undefined)
      explore(Array.from({ length: BATCH }, () => mutate(corpus, target.bytesMax, random)));
    return { inputs, kept: corpus.length - target.seeds.length, blocks: reached.size, finding };
  } finally {
    coverage.close();
  }
}

function mutate(corpus: readonly Uint8Array[], bytesMax: number, random: Random): Uint8Array {
  let bytes = [...corpus[random.below(corpus.length)]!];
  const at = (): number => random.below(bytes.length + 1);
  for (let changes = 1 + random.below(6); changes > 0; changes--) {
    switch (random.below(8)) {
      case 0:
        if (bytes.length > 0) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
        break;
      case 1:
        if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
        break;
      case 2:
        if (bytes.length > 0) bytes[random.below(bytes.length)] = EDGES[random.below(EDGES.length)]!;
        break;
      case 3: {
        // A little-endian word of an edge, or all ones.
        const from = at();
        const word = random.below(4) === 0 ? 0xffffffff : EDGES[random.below(EDGES.length)]!;
        for (let byte = 0; byte < 4 && from + byte < bytes.length; byte++)
          bytes[from + byte] = (word >>> (8 * byte)) & 255;
        break;
      }
      case 4:
        bytes.splice(at(), 1 + random.below(16));
        break;
      case 5:
        bytes.splice(at(), 0, ...Array.from({ length: 1 + random.below(8) }, () => random.below(256)));
        break;
      case 6: {
        const other = corpus[random.below(corpus.length)]!;
        const from = random.below(other.length + 1);
        bytes.splice(at(), 0, ...other.subarray(from, from + 1 + random.below(64)));
        break;
      }
      default: {
        const from = at();
        bytes.splice(at(), 0, ...bytes.slice(from, from + 1 + random.below(64)));
      }
    }
    if (bytes.length > bytesMax) bytes = bytes.slice(0, bytesMax);
  }
  return Uint8Array.from(bytes);
}
