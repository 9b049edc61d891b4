// What `xenwire latency` and a measuring guest agree on: the keys by which a run is asked for and answered, and the two
// records that the guest writes for each request beside those of the path (hops.ts). Leaves issuing requests to the guest
// and figures to the bench.
import type { HopPoint } from './hops.js';
import { POINT } from './points.js';

/** Under the guest's home: asked by dom0, answered by the guest. */
export const LATENCY_KEY = {
  run: 'data/xenwire/latency/run',
  /** Written once the guest watches `run`, and after every run. */
  done: 'data/xenwire/latency/done',
} as const;

export const LOAD_RECORD = {
  /** About to publish a request. a: its number; b: nanoseconds since it was meant to start (0 in a closed loop). */
  request: { process: 'guest', point: POINT['load.request'], name: 'request' },
  /** Its used buffer is seen. a: its number. */
  used: { process: 'guest', point: POINT['load.used'], name: 'used' },
} as const satisfies Record<string, HopPoint>;

export const LOADS = ['closed', 'open'] as const;
export type Load = (typeof LOADS)[number];

/** One run: `count` requests, numbered from `first`. */
export interface LatencyRun {
  /** Names the run in its answer. */
  readonly id: number;
  readonly first: number;
  readonly count: number;
  /** closed: the next request after the used buffer of the one before; open: at its own time, whatever is under way. */
  readonly load: Load;
  /** Open: requests a second. */
  readonly rate: number;
  /** Closed: microseconds of nothing before each request. */
  readonly gapUs: number;
}

/** Nanoseconds at four points of a distribution, as the guest itself saw its requests: start to used buffer. */
export interface GuestFigures {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export type LatencyAnswer =
  | { readonly id: number; readonly ok: true; readonly figures: GuestFigures; readonly kicks: number }
  | { readonly id: number; readonly ok: false; readonly reason: string };

/** Requests of one run: more would go round the history rings, of which each request fills some ten records. */
export const LATENCY_COUNT_MAX = 16_384;
export const LATENCY_RATE_MAX = 1_000_000;
export const LATENCY_GAP_US_MAX = 1_000_000;
/** Numbers travel as a resource id, of which 0 means something to devices. */
const SEQUENCE_MAX = 2 ** 31;

export function formatRun(run: LatencyRun): string {
  return [run.id, run.first, run.count, run.load, run.rate, run.gapUs].join(' ');
}

/** Undefined when the text asks for nothing that can be run. */
export function parseRun(text: string): LatencyRun | undefined {
  const words = text.split(' ');
  const [id, first, count, rate, gapUs] = [0, 1, 2, 4, 5].map((index) => Number(words[index])) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const load = LOADS.find((known) => known === words[3]);
  if (words.length !== 6 || load === undefined) return undefined;
  const whole = (value: number, min: number, max: number): boolean =>
    Number.isInteger(value) && value >= min && value <= max;
  const fits =
    whole(id, 0, Number.MAX_SAFE_INTEGER) &&
    whole(count, 1, LATENCY_COUNT_MAX) &&
    whole(first, 1, SEQUENCE_MAX - count) &&
    whole(rate, load === 'open' ? 1 : 0, LATENCY_RATE_MAX) &&
    whole(gapUs, 0, LATENCY_GAP_US_MAX);
  return fits ? { id, first, count, load, rate, gapUs } : undefined;
}

export function formatAnswer(answer: LatencyAnswer): string {
  if (!answer.ok) return `${answer.id} failed ${answer.reason}`;
  const { p50, p99, p999, max } = answer.figures;
  return [answer.id, 'ok', p50, p99, p999, max, answer.kicks].join(' ');
}

/** Undefined for what no guest of ours answers. */
export function parseAnswer(text: string): LatencyAnswer | undefined {
  const [first, outcome, ...rest] = text.split(' ');
  const id = Number(first);
  if (!Number.isInteger(id)) return undefined;
  if (outcome === 'failed') return { id, ok: false, reason: rest.join(' ') };
  const [p50, p99, p999, max, kicks] = rest.map(Number);
  const numbers = [p50, p99, p999, max, kicks];
  if (outcome !== 'ok' || rest.length !== 5 || !numbers.every((value) => Number.isFinite(value))) return undefined;
  return { id, ok: true, figures: { p50: p50!, p99: p99!, p999: p999!, max: max! }, kicks: kicks! };
}
