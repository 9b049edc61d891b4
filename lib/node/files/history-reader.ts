// Reads the history ring of another process, living or dead (lib/layout/ours/history-ring.ts, written by probe.ts).
//
// A record is taken only if the writer cannot have been at its slot while it was read: of a ring of N records the oldest
// may be under way to be overwritten, so at most N-1 are looked at, and `head` is loaded again after each. So a writer that
// was killed in the middle of a record leaves nothing that a reader shows: the record was never published, and the one that
// it was about to replace is not looked at.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { NO_DOMAIN, type Point } from '../../core/probe.js';
import type { Mapping } from '../../core/shared.js';
import {
  HISTORY_HEADER,
  HISTORY_HEADER_SIZE,
  HISTORY_MAGIC,
  HISTORY_MORE,
  HISTORY_MORE_BYTES,
  HISTORY_MORE_RECORD,
  HISTORY_RECORD,
  HISTORY_TEXT_BYTES,
  HISTORY_TEXT_BYTES_MAX,
  HISTORY_VERSION,
} from '../../layout/ours/history-ring.js';
import { CATALOGUE_HASH, pointOf } from '../../trace/points.js';
import type { TraceRecord } from '../../trace/record.js';
import { mapPath } from './shm.js';

/** A record, or why there is none at an index. */
type Taken = { record: TraceRecord; slots: number } | 'overwritten' | 'continued' | 'unfinished';

export class HistoryReader {
  readonly process: string;
  readonly pid: number;
  readonly incarnation: number;
  /** Slots lost because the writer went round faster than we read. */
  lostCount = 0;
  readonly #mapping: Mapping;
  readonly #words: Uint32Array;
  readonly #recordCount: number;
  readonly #decoder = new TextDecoder();
  #next: number;

  /** Throws an Error that says so when the file is no ring of this version. */
  constructor(path: string) {
    this.#mapping = mapPath(path, 0, false);
    const { bytes } = this.#mapping;
    const header = bytes.length < HISTORY_HEADER_SIZE ? undefined : HISTORY_HEADER.decode(bytes);
    const count = header?.record_count ?? 0;
    if (
      header?.magic !== HISTORY_MAGIC ||
      header.version !== HISTORY_VERSION ||
      header.catalogue !== CATALOGUE_HASH ||
      header.record_size !== HISTORY_RECORD.size ||
      count === 0 ||
      (count & (count - 1)) !== 0 ||
      bytes.length < HISTORY_HEADER_SIZE + count * HISTORY_RECORD.size
    ) {
      this.#mapping.close();
      throw new Error(`${path} is not a history ring of this version`);
    }
    this.#recordCount = count;
    this.pid = header.pid;
    this.incarnation = Number(header.incarnation);
    const name = header.process;
    const end = name.indexOf(0);
    this.process = this.#decoder.decode(name.slice(0, end < 0 ? name.length : end));
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, HISTORY_HEADER_SIZE / 4);
    const head = this.#head();
    // Whether `head` has been round 2^32 cannot be seen: then the first records count as lost, which they are.
    this.#next = head >= count ? (head - count + 1) >>> 0 : 0;
    this.lostCount = this.#next;
  }

  #head(): number {
    return Atomics.load(this.#words, HISTORY_HEADER.offset.head / 4);
  }

  /** How much of the ring holds records, from 0 to 1: at 1 each new record overwrites the oldest. */
  get fill(): number {
    return Math.min(this.#head(), this.#recordCount) / this.#recordCount;
  }

  /** The records written since the last call, oldest first. */
  read(): TraceRecord[] {
    const records: TraceRecord[] = [];
    const head = this.#head();
    while (this.#next !== head) {
      const taken = this.#take(this.#next, head);
      if (taken === 'unfinished') break;
      if (taken === 'overwritten') {
        this.#skip();
        // More was written meanwhile than there was to read: the next call goes on.
        if ((head - this.#next) >>> 0 > this.#recordCount) break;
      } else if (taken === 'continued') {
        this.#next = (this.#next + 1) >>> 0; // the record that it belongs to was overwritten
      } else {
        records.push(taken.record);
        this.#next = (this.#next + taken.slots) >>> 0;
      }
    }
    return records;
  }

  /** Goes on at the oldest record that the writer is not at. */
  #skip(): void {
    const oldest = (this.#head() - this.#recordCount + 1) >>> 0;
    this.lostCount += (oldest - this.#next) >>> 0;
    this.#next = oldest;
  }

  /** Whether the writer may have come round to the slot of `index`. */
  #overwritten(index: number): boolean {
    return (this.#head() - index) >>> 0 >= this.#recordCount;
  }

  #at(index: number): number {
    return HISTORY_HEADER_SIZE + (index % this.#recordCount) * HISTORY_RECORD.size;
  }

  #take(index: number, head: number): Taken {
    const { bytes } = this.#mapping;
    const at = this.#at(index);
    const raw = HISTORY_RECORD.decode(bytes, at);
    const numbers = new DataView(bytes.buffer, bytes.byteOffset + at, HISTORY_RECORD.size);
    const length = Math.min(raw.text_length, HISTORY_TEXT_BYTES_MAX);
    const point = raw.point === HISTORY_MORE ? undefined : pointOf(raw.point);
    const more = point === undefined ? 0 : Math.max(0, Math.ceil((length - HISTORY_TEXT_BYTES) / HISTORY_MORE_BYTES));
    const text = new Uint8Array(length);
    text.set(raw.text.subarray(0, length));
    const written = (head - index) >>> 0;
    for (let each = 0; each < more && each + 1 < written; each++) {
      const part = HISTORY_MORE_RECORD.decode(bytes, this.#at((index + each + 1) >>> 0));
      const from = HISTORY_TEXT_BYTES + each * HISTORY_MORE_BYTES;
      text.set(part.text.subarray(0, length - from), from);
    }
    const numbersOf = {
      flow: raw.flow,
      sender: numbers.getFloat64(HISTORY_RECORD.offset.sender, true),
      a: numbers.getFloat64(HISTORY_RECORD.offset.a, true),
      b: numbers.getFloat64(HISTORY_RECORD.offset.b, true),
    };
    // Everything that was read counts only from here on.
    if (this.#overwritten(index)) return 'overwritten';
    if (point === undefined) return 'continued';
    if (written <= more) return 'unfinished';
    const record: TraceRecord = {
      process: this.process,
      incarnation: this.incarnation,
      index,
      ns: raw.ns,
      point: point as Point,
      domid: raw.domid === NO_DOMAIN ? undefined : raw.domid,
      label: this.#decoder.decode(text),
      occurrence: raw.occurrence,
      ...numbersOf,
    };
    return { record, slots: 1 + more };
  }

  close(): void {
    this.#mapping.close();
  }
}

/** Paths of all rings of a run directory, of the living and of the dead. */
export function historyFiles(runDir: string): string[] {
  try {
    return readdirSync(join(runDir, 'history'))
      .filter((name) => name.endsWith('.ring'))
      .sort()
      .map((name) => join(runDir, 'history', name));
  } catch {
    return [];
  }
}
