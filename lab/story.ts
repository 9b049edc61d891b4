// A run as it is told while it happens: what the processes record becomes lines, in one order of time with our own notes.
// Leaves words to report.ts, and the meaning of records to lib/trace.
import { type DeviceStates, Handshakes } from '../lib/trace/handshakes.js';
import { HistoryFeed } from './feed.js';
import type { Report } from './report.js';

/** A record is in its ring within this after its time was taken, unless its process was interrupted just there. */
const SETTLED_NS = 2_000_000n;
const SETTLE_PAUSE_MS = 5;

export class Story {
  readonly #feed: HistoryFeed;
  readonly #handshakes = new Handshakes();
  readonly #report: Report;
  readonly #sinceNs: bigint;
  #later: NodeJS.Timeout | undefined;

  /** What was recorded before `sinceNs` is another run's. */
  constructor(runDir: string, report: Report, sinceNs: bigint) {
    this.#feed = new HistoryFeed(runDir);
    this.#report = report;
    this.#sinceNs = sinceNs;
  }

  get devices(): readonly DeviceStates[] {
    return this.#handshakes.devices;
  }

  note(sentence: string): void {
    this.#report.note(sentence);
    this.pump();
  }

  /** Reads what the processes have recorded since the last time, and says what is sure to be next. */
  pump(): void {
    this.#tell();
    this.#lookLater();
  }

  #lookLater(): void {
    this.#later ??= setTimeout(() => {
      this.#later = undefined;
      // What was noted just before this was due is not settled yet: another look is owed to it.
      if (this.#tell()) this.#lookLater();
    }, SETTLE_PAUSE_MS);
  }

  /** True when something noted is too young to be said. */
  #tell(): boolean {
    this.#read();
    return this.#report.flush(process.hrtime.bigint() - SETTLED_NS);
  }

  #read(): void {
    for (const record of this.#feed.read()) {
      if (record.ns < this.#sinceNs) continue;
      const line = this.#handshakes.take(record);
      if (line !== undefined) this.#report.step(line);
    }
  }

  /** Reads and says everything; nothing more comes. */
  close(): void {
    clearTimeout(this.#later);
    this.#read();
    for (const line of this.#handshakes.untold()) this.#report.step(line);
    this.#report.flush();
    this.#feed.close();
  }
}
