// What the processes of a lab that serves many cases have recorded since a case began. Unlike lab/feed.ts it forgets the rings
// of processes that have ended once a case is over: a campaign leaves thousands of them.
import { existsSync, rmSync } from 'node:fs';
import { HistoryReader, historyFiles } from '../lib/node/files/history-reader.js';
import { formatInstance } from '../lib/trace/instances.js';
import type { TraceRecord } from '../lib/trace/record.js';

/** How long nothing may be recorded before the lab counts as at rest, how often that is looked at, and the longest wait. */
const REST = { quietMs: 40, lookMs: 8, longestMs: 400 } as const;

export class Histories {
  readonly #runDir: string;
  readonly #readers = new Map<string, HistoryReader>();
  /** Of living processes: how often each instance had been passed when the case began. */
  readonly #before = new Map<string, number>();
  readonly #counts = new Map<string, number>();
  #records: TraceRecord[] = [];

  constructor(runDir: string) {
    this.#runDir = runDir;
  }

  #read(): number {
    let count = 0;
    for (const path of historyFiles(this.#runDir)) {
      if (this.#readers.has(path)) continue;
      try {
        this.#readers.set(path, new HistoryReader(path));
      } catch {
        // just being made: the next look finds it
      }
    }
    for (const reader of this.#readers.values()) {
      for (const record of reader.read()) {
        this.#records.push(record);
        this.#counts.set(instanceOf(record), record.occurrence);
        count++;
      }
    }
    return count;
  }

  /** The case begins: what was recorded until now is of others. `living`: incarnations of the processes that go on. */
  begin(living: ReadonlySet<number>): void {
    this.#read();
    for (const [path, reader] of this.#readers) {
      // Our own toolstack is no registered process.
      if (living.has(reader.incarnation) || (reader.pid === process.pid && existsSync(path))) continue;
      reader.close();
      this.#readers.delete(path);
      rmSync(path, { force: true });
    }
    this.#records = [];
    this.#before.clear();
    const lives = new Set([...this.#readers.values()].map(({ incarnation }) => String(incarnation)));
    for (const [instance, count] of this.#counts) {
      if (lives.has(instance.slice(0, instance.indexOf(' ')))) this.#before.set(instance, count);
      else this.#counts.delete(instance);
    }
  }

  /** Incarnations of our own toolstack. */
  get own(): number[] {
    return [...this.#readers.values()].filter(({ pid }) => pid === process.pid).map(({ incarnation }) => incarnation);
  }

  /** How often a process had passed a point with a label when the case began. */
  countBefore(life: Pick<TraceRecord, 'process' | 'incarnation' | 'point' | 'label'>): number {
    return this.#before.get(instanceOf(life)) ?? 0;
  }

  /** All of the case so far, oldest first; occurrences count from the beginning of the case. */
  records(): TraceRecord[] {
    this.#read();
    return this.#records
      .map((record) => ({ ...record, occurrence: record.occurrence - this.countBefore(record) }))
      .sort((a, b) => (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0));
  }

  /** Records lost because a ring went round before it was read. */
  get lostCount(): number {
    return [...this.#readers.values()].reduce((sum, reader) => sum + reader.lostCount, 0);
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
    for (const reader of this.#readers.values()) reader.close();
    this.#readers.clear();
  }
}

/** One life's instance, whatever its number: the incarnation first. */
function instanceOf({
  process,
  incarnation,
  point,
  label,
}: Pick<TraceRecord, 'process' | 'incarnation' | 'point' | 'label'>): string {
  return `${incarnation} ${formatInstance({ process, point, label, occurrence: 0 })}`;
}
