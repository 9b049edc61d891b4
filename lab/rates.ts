// What the processes of a lab do now: processor time, memory, records and wake-ups a second, how full their histories are, and
// commands that are under way. One sample after the other, from outside. Shown by `xenwire top` and by the page.
import { POINT } from '../lib/trace/points.js';
import type { TraceRecord } from '../lib/trace/record.js';
import type { HistoryFeed } from './feed.js';
import { lookAtProcesses, type ProcessLook } from './standing.js';

export interface ProcessRates extends ProcessLook {
  /** Of one core, in percent, since the sample before. */
  readonly cpuPercent: number;
  readonly recordsPerSecond: number;
  /** Calls and messages sent. */
  readonly sentPerSecond: number;
  /** How often it slept at its doorbell and was woken. */
  readonly wakeUpsPerSecond: number;
  /** Of its history ring, from 0 to 1. */
  readonly historyFill: number;
  /** GPU commands of a guest without an answer yet; undefined for other processes. */
  readonly inFlight?: number;
}

interface Counts {
  records: number;
  sent: number;
  woken: number;
}

type Rated = Pick<ProcessRates, 'cpuPercent' | 'recordsPerSecond' | 'sentPerSecond' | 'wakeUpsPerSecond'>;
const UNRATED: Rated = { cpuPercent: 0, recordsPerSecond: 0, sentPerSecond: 0, wakeUpsPerSecond: 0 };

interface Before {
  readonly ns: bigint;
  readonly cpuMs: ReadonlyMap<string, number>;
}

export class Rates {
  readonly #runDir: string;
  readonly #feed: HistoryFeed;
  readonly #inFlight = new Map<string, number>();
  #counts = new Map<string, Counts>();
  #before: Before | undefined;
  readonly #overNs: bigint;
  #last = new Map<string, Rated>();

  /** The caller reads the feed, and tells what it read to take(). Rates are of `overMs` at least: of samples that come sooner the last ones. */
  constructor(runDir: string, feed: HistoryFeed, overMs = 0) {
    this.#overNs = BigInt(overMs) * 1_000_000n;
    this.#runDir = runDir;
    this.#feed = feed;
  }

  take(records: readonly TraceRecord[]): void {
    for (const { process, point } of records) {
      const counts = this.#counts.get(process) ?? { records: 0, sent: 0, woken: 0 };
      this.#counts.set(process, counts);
      counts.records++;
      if (point.kind === 'send') counts.sent++;
      if (point === POINT['bell.woken']) counts.woken++;
      if (point === POINT['life.start']) this.#inFlight.delete(process);
      if (point === POINT['gpu.submit']) this.#inFlight.set(process, (this.#inFlight.get(process) ?? 0) + 1);
      if (point === POINT['gpu.reply'])
        this.#inFlight.set(process, Math.max(0, (this.#inFlight.get(process) ?? 0) - 1));
    }
  }

  /** Rates since the last sample; all of the first one are 0. `ns`: now, CLOCK_MONOTONIC. */
  sample(ns: bigint): ProcessRates[] {
    const looks = lookAtProcesses(this.#runDir);
    const seconds = this.#before === undefined ? 0 : Number(ns - this.#before.ns) / 1e9;
    const per = (count: number): number => (seconds === 0 ? 0 : count / seconds);
    const { fills } = this.#feed;
    const due = this.#before === undefined || ns - this.#before.ns >= this.#overNs;
    const rated = (look: ProcessLook): Rated => {
      const { records, sent, woken } = this.#counts.get(look.name) ?? { records: 0, sent: 0, woken: 0 };
      const cpuBefore = this.#before?.cpuMs.get(keyOf(look));
      return {
        cpuPercent: cpuBefore === undefined ? 0 : per((look.cpuMs - cpuBefore) / 10),
        recordsPerSecond: per(records),
        sentPerSecond: per(sent),
        wakeUpsPerSecond: per(woken),
      };
    };
    if (due) this.#last = new Map(looks.map((look) => [keyOf(look), rated(look)]));
    const rates = looks.map((look): ProcessRates => {
      const inFlight = this.#inFlight.get(look.name);
      return {
        ...look,
        ...(this.#last.get(keyOf(look)) ?? UNRATED),
        historyFill: fills.get(look.name) ?? 0,
        ...(inFlight === undefined ? {} : { inFlight }),
      };
    });
    if (!due) return rates;
    this.#before = { ns, cpuMs: new Map(looks.map((look) => [keyOf(look), look.cpuMs])) };
    this.#counts = new Map();
    return rates;
  }
}

const keyOf = ({ name, incarnation }: ProcessLook): string => `${name} ${incarnation}`;
