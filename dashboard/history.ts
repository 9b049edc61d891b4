// The records of a lab as the page keeps them: the last ones of all processes in one order of time, and windows of them with
// slices, instants and arrows. Bounded, however long the page is open. Leaves what devices do to devices.ts.

import { flowsOf } from '../lib/trace/flows.js';
import { formatInstance } from '../lib/trace/instances.js';
import { POINT } from '../lib/trace/points.js';
import { fieldsOf, flowOf, type TraceRecord } from '../lib/trace/record.js';
import { timelineOf } from '../lib/trace/slices.js';

/** About 40 MB; a busy lab of one guest writes some 3,000 records a second. */
const RECORDS_MAX = 100_000;
/** Of one window: more than a screen can show. The newest are kept. */
const WINDOW_RECORDS_MAX = 4000;
/** Sessions that tell which device a record of the device server is of. */
const SESSIONS_MAX = 1000;
/** Instances of a process that a person may choose to stop at. */
const INSTANCES_MAX = 200;
/** The page itself and commands that look would show themselves at work. */
const HIDDEN = 'dashboard';

export interface WindowRecord {
  readonly process: string;
  readonly ms: number;
  readonly kind: string;
  /** As lib/trace/instances.ts writes it: what a gate can be set at. */
  readonly instance: string;
  readonly domid?: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly flow?: string;
}

export interface HistoryWindow {
  /** Milliseconds from the first record of the lab: of the window, and of all that is kept. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** Records of the window that did not fit into it. */
  readonly left: number;
  readonly processes: readonly string[];
  readonly records: readonly WindowRecord[];
  /** Indexes of records, and the lane of their process. `end` -1: not in the window. */
  readonly slices: readonly (readonly [begin: number, end: number, lane: string])[];
  /** Each the indexes of its records in order. */
  readonly flows: readonly { readonly kind: string; readonly steps: readonly number[] }[];
}

export class PageHistory {
  #records: TraceRecord[] = [];
  #sessions: TraceRecord[] = [];
  #startNs: bigint | undefined;
  readonly #instances = new Map<string, Map<string, number>>();

  /** In order of time. */
  take(records: readonly TraceRecord[]): void {
    for (const record of records) {
      if (record.process === HIDDEN) continue;
      this.#startNs ??= record.ns;
      this.#records.push(record);
      if (record.point === POINT['session.take']) this.#sessions.push(record);
      this.#remember(record);
    }
    if (this.#records.length > RECORDS_MAX * 1.2) this.#records = this.#records.slice(-RECORDS_MAX);
    if (this.#sessions.length > SESSIONS_MAX) this.#sessions = this.#sessions.slice(-SESSIONS_MAX);
  }

  /** The newest instance of each point and label, the latest ones at the end. */
  #remember({ process, point, label, occurrence }: TraceRecord): void {
    const of = this.#instances.get(process) ?? new Map<string, number>();
    this.#instances.set(process, of);
    const key = formatInstance({ process, point, label, occurrence: 1 }).replace(/#1$/, '');
    of.delete(key);
    of.set(key, occurrence);
    // Not one by one: a Map walks over all that was deleted before its first entry.
    if (of.size > INSTANCES_MAX * 2) this.#instances.set(process, new Map([...of].slice(-INSTANCES_MAX)));
  }

  get isEmpty(): boolean {
    return this.#records.length === 0;
  }

  get startNs(): bigint {
    return this.#startNs ?? 0n;
  }

  get lastNs(): bigint {
    return this.#records.at(-1)?.ns ?? this.startNs;
  }

  msOf(ns: bigint): number {
    return Number(ns - this.startNs) / 1e6;
  }

  /** Points of a process with their labels, the latest first: `guest-a:kick.guest`. */
  instancesOf(process: string): string[] {
    return [...(this.#instances.get(process)?.keys() ?? [])].slice(-INSTANCES_MAX).reverse();
  }

  /** Records since a time, for figures. */
  since(ns: bigint): TraceRecord[] {
    return this.#records.slice(this.#indexAt(ns));
  }

  /** The records of sessions, by which flowsOf tells devices. */
  get sessions(): readonly TraceRecord[] {
    return this.#sessions;
  }

  #indexAt(ns: bigint): number {
    let [low, high] = [0, this.#records.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#records[middle]!.ns < ns) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Left out `untilMs`: up to the newest record. */
  window(spanMs: number, untilMs?: number): HistoryWindow {
    const nsOf = (ms: number): bigint => this.startNs + BigInt(Math.round(ms * 1e6));
    const until = untilMs === undefined ? this.lastNs : nsOf(untilMs);
    const from = until - BigInt(Math.round(spanMs * 1e6));
    const all = this.#records.slice(this.#indexAt(from), this.#indexAt(until + 1n));
    const shown = all.slice(-WINDOW_RECORDS_MAX);
    const index = new Map(shown.map((record, at) => [record, at] as const));
    const before = this.#sessions.filter((record) => record.ns < (shown[0]?.ns ?? 0n));
    const flows = flowsOf([...before, ...shown]).map(({ kind, steps }) => ({
      kind,
      steps: steps.flatMap((record) => index.get(record) ?? []),
    }));
    const { slices } = timelineOf(shown);
    return {
      ...{ fromMs: this.msOf(from), untilMs: this.msOf(until), left: all.length - shown.length },
      firstMs: this.msOf(this.#records[0]?.ns ?? this.startNs),
      lastMs: this.msOf(this.lastNs),
      processes: [...new Set(shown.map(({ process }) => process))],
      records: shown.map((record) => this.#shown(record)),
      slices: slices.map(({ begin, end, lane }) => [index.get(begin)!, end === undefined ? -1 : index.get(end)!, lane]),
      flows: flows.filter(({ steps }) => steps.length > 1),
    };
  }

  #shown(record: TraceRecord): WindowRecord {
    const flow = flowOf(record);
    return {
      process: record.process,
      ms: this.msOf(record.ns),
      kind: record.point.kind,
      instance: formatInstance(record),
      fields: fieldsOf(record),
      ...(record.domid === undefined ? {} : { domid: record.domid }),
      ...(flow === undefined ? {} : { flow }),
    };
  }
}
