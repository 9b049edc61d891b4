// What the processes of a lab that serves many cases have recorded since a case began. Unlike lab/feed.ts it forgets the rings
// of processes that have ended once a case is over: a campaign leaves thousands of them.
import { existsSync, rmSync } from 'node:fs';
import type { Point } from '../lib/core/probe.js';
import { HistoryReader, historyFiles } from '../lib/node/files/history-reader.js';
import type { TraceRecord } from '../lib/trace/record.js';

/** How long nothing may be recorded before the lab counts as at rest, how often that is looked at, and the longest wait. */
const REST = { quietMs: 40, lookMs: 8, longestMs: 400 } as const;

/** By point and label. */
type Counts = Map<Point, Map<string, number>>;

/** One life of a process. */
interface Life {
  readonly reader: HistoryReader;
  /** How often it has passed each instance, as last recorded. */
  readonly last: Counts;
  /** How often it had when the case began, of those that it has passed since. */
  readonly before: Counts;
}

export class Histories {
  readonly #runDir: string;
  readonly #lives = new Map<string, Life>();
  #records: TraceRecord[] = [];
  #sorted = true;

  constructor(runDir: string) {
    this.#runDir = runDir;
  }

  #read(): number {
    for (const path of historyFiles(this.#runDir)) {
      if (this.#lives.has(path)) continue;
      try {
        this.#lives.set(path, { reader: new HistoryReader(path), last: new Map(), before: new Map() });
      } catch {
        // just being made: the next look finds it
      }
    }
    let count = 0;
    for (const life of this.#lives.values()) {
      for (const record of life.reader.read()) {
        this.#records.push(sinceBegin(record, life));
        count++;
      }
    }
    if (count > 0) this.#sorted = false;
    return count;
  }

  /** The case begins: what was recorded until now is of others. `living`: incarnations of the processes that go on. */
  begin(living: ReadonlySet<number>): void {
    this.#records = []; // the last case's are its result's
    this.#read();
    for (const [path, { reader, before }] of this.#lives) {
      before.clear();
      // Our own toolstack is no registered process.
      if (living.has(reader.incarnation) || (reader.pid === process.pid && existsSync(path))) continue;
      reader.close();
      this.#lives.delete(path);
      rmSync(path, { force: true });
    }
    this.#records = [];
    this.#sorted = true;
  }

  /** Incarnations of our own toolstack. */
  get own(): number[] {
    const readers = [...this.#lives.values()].map(({ reader }) => reader);
    return readers.filter(({ pid }) => pid === process.pid).map(({ incarnation }) => incarnation);
  }

  /** How often a process had passed a point with a label when the case began. */
  countBefore({ incarnation, point, label }: Pick<TraceRecord, 'incarnation' | 'point' | 'label'>): number {
    const life = [...this.#lives.values()].find(({ reader }) => reader.incarnation === incarnation);
    return life === undefined ? 0 : (countIn(life.before, point, label) ?? countIn(life.last, point, label) ?? 0);
  }

  /** All of the case so far, oldest first; occurrences count from the beginning of the case. Not to be changed. */
  records(): readonly TraceRecord[] {
    this.#read();
    if (!this.#sorted) this.#records.sort((a, b) => (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0));
    this.#sorted = true;
    return this.#records;
  }

  /** Records lost because a ring went round before it was read. */
  get lostCount(): number {
    return [...this.#lives.values()].reduce((sum, { reader }) => sum + reader.lostCount, 0);
  }

  /** Resolves once nothing has been recorded for a while, or after REST.longestMs in a lab that goes on drawing. */
  rest(): Promise<void> {
    return new Promise((resolve) => {
      const start = performance.now();
      let quietSince = start;
      this.#read();
      const timer = setInterval(() => {
        const now = performance.now();
        if (this.#read() > 0) quietSince = now;
        if (now - quietSince < REST.quietMs && now - start < REST.longestMs) return;
        clearInterval(timer);
        resolve();
      }, REST.lookMs);
    });
  }

  close(): void {
    for (const { reader } of this.#lives.values()) reader.close();
    this.#lives.clear();
  }
}

const countIn = (counts: Counts, point: Point, label: string): number | undefined => counts.get(point)?.get(label);

function setIn(counts: Counts, { point, label }: TraceRecord, count: number): void {
  const labels = counts.get(point);
  if (labels === undefined) counts.set(point, new Map([[label, count]]));
  else labels.set(label, count);
}

/** The record with its occurrence counted from the beginning of the case. The reader has made it for us. */
function sinceBegin(record: TraceRecord, { last, before }: Life): TraceRecord {
  const { point, label, occurrence } = record;
  let base = countIn(before, point, label);
  if (base === undefined) {
    base = countIn(last, point, label) ?? 0;
    setIn(before, record, base);
  }
  setIn(last, record, occurrence);
  if (base > 0) (record as { occurrence: number }).occurrence = occurrence - base;
  return record;
}
