// The history rings of all processes of a run directory, merged: what was written since the last look, in order of time.
// Rings appear as processes start and stay when they end, so the feed looks for new ones each time.
import { errorMessage } from '../lib/core/errors.js';
import { HistoryReader, historyFiles } from '../lib/node/files/history-reader.js';
import type { TraceRecord } from '../lib/trace/record.js';

export class HistoryFeed {
  readonly #runDir: string;
  readonly #readers = new Map<string, HistoryReader>();
  /** Files that are no rings of ours, with what is wrong; a ring that is just being made is tried again. */
  readonly unreadable = new Map<string, string>();

  constructor(runDir: string) {
    this.#runDir = runDir;
  }

  /** Records written since the last call, oldest first over all processes. */
  read(): TraceRecord[] {
    for (const path of historyFiles(this.#runDir)) {
      if (this.#readers.has(path)) continue;
      try {
        this.#readers.set(path, new HistoryReader(path));
        this.unreadable.delete(path);
      } catch (error) {
        this.unreadable.set(path, errorMessage(error));
      }
    }
    const records = [...this.#readers.values()].flatMap((reader) => reader.read());
    return records.sort((a, b) => (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0));
  }

  /** Records that were overwritten before they were read, by process: of all its lives together. */
  get lost(): ReadonlyMap<string, number> {
    const lost = new Map<string, number>();
    for (const { process, lostCount } of this.#readers.values())
      if (lostCount > 0) lost.set(process, (lost.get(process) ?? 0) + lostCount);
    return lost;
  }

  /** How full the ring of each process is, from 0 to 1; of its last life. */
  get fills(): ReadonlyMap<string, number> {
    const latest = new Map<string, HistoryReader>();
    for (const reader of this.#readers.values())
      if (reader.incarnation >= (latest.get(reader.process)?.incarnation ?? 0)) latest.set(reader.process, reader);
    return new Map([...latest].map(([name, reader]) => [name, reader.fill]));
  }

  close(): void {
    for (const reader of this.#readers.values()) reader.close();
    this.#readers.clear();
  }
}
