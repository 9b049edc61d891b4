// History rings and gates (design 7): every process writes fixed-size records into a mapped file of its own, which
// outlives it. A gate stops the process at a named step: it marks its ring and sends itself SIGSTOP.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type History, RECORD_KINDS, type RecordKind } from '../../core/history.js';
import { HISTORY_RECORDS } from '../../core/limits.js';
import type { Mapping } from '../../core/shared.js';
import {
  HISTORY_HEADER,
  HISTORY_HEADER_SIZE,
  HISTORY_MAGIC,
  HISTORY_NAME_BYTES,
  HISTORY_RECORD,
  HISTORY_VERSION,
} from '../../layout/ours/history-ring.js';
import { createPath, mapPath } from './shm.js';

const KIND_NUMBER = new Map<RecordKind, number>(RECORD_KINDS.map((kind, index) => [kind, index]));
const NO_DOMAIN = 0xffff;
/** Names are few and repeat; past this many distinct ones the cache starts anew. */
const NAME_CACHE_MAX = 4096;

/** The steps at which this process shall stop: those of XENWIRE_GATES, one a line, that begin with its name. */
export function gatesOf(process_: string): string[] {
  return (process.env['XENWIRE_GATES'] ?? '')
    .split('\n')
    .filter((gate) => gate.startsWith(`${process_}:`))
    .map((gate) => gate.slice(process_.length + 1));
}

export interface HistoryRing extends History {
  close(): void;
}

/** Makes the ring of this process. `gates` are step names with their occurrence: `guest:xenstored.write(...)#1`. */
export function createHistory(
  path: string,
  process_: string,
  incarnation: number,
  gates: readonly string[],
): HistoryRing {
  const mapping = createPath(path, HISTORY_HEADER_SIZE + HISTORY_RECORDS * HISTORY_RECORD.size);
  const { bytes } = mapping;
  const encoder = new TextEncoder();
  HISTORY_HEADER.encode(
    {
      magic: HISTORY_MAGIC,
      version: HISTORY_VERSION,
      record_size: HISTORY_RECORD.size,
      record_count: HISTORY_RECORDS,
      pid: process.pid,
      head: 0,
      gated: 0,
      gate_record: 0,
      incarnation: BigInt(incarnation),
      monotonic_ns: process.hrtime.bigint(),
      realtime_ns: BigInt(Date.now()) * 1_000_000n,
      process: encoder.encode(process_).subarray(0, 64),
    },
    bytes,
  );
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, HISTORY_HEADER_SIZE / 4);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const names = new Map<string, Uint8Array>();
  const counts = new Map<string, number>();
  const gateSet = new Set(gates);
  const field = HISTORY_RECORD.offset;
  const headWord = HISTORY_HEADER.offset.head / 4;
  let head = 0;
  let open = true;

  const nameBytes = (name: string): Uint8Array => {
    let encoded = names.get(name);
    if (encoded === undefined) {
      encoded = encoder.encode(name).subarray(0, HISTORY_NAME_BYTES);
      if (names.size >= NAME_CACHE_MAX) names.clear();
      names.set(name, encoded);
    }
    return encoded;
  };

  const record = (kind: RecordKind, name: string, a = 0, b = 0, domid = NO_DOMAIN): void => {
    if (!open) return;
    const at = HISTORY_HEADER_SIZE + (head % HISTORY_RECORDS) * HISTORY_RECORD.size;
    const text = nameBytes(name);
    view.setBigUint64(at + field.ns, process.hrtime.bigint(), true);
    view.setUint16(at + field.kind, KIND_NUMBER.get(kind)!, true);
    view.setUint16(at + field.domid, domid, true);
    view.setUint16(at + field.name_length, text.length, true);
    view.setFloat64(at + field.a, a, true);
    view.setFloat64(at + field.b, b, true);
    bytes.set(text, at + field.name);
    head = (head + 1) >>> 0;
    Atomics.store(words, headWord, head);
  };

  return {
    record,
    step(name, a = 0, b = 0, domid = NO_DOMAIN) {
      record('step', name, a, b, domid);
      if (gateSet.size === 0 || !open) return;
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      if (!gateSet.has(`${name}#${count}`)) return;
      Atomics.store(words, HISTORY_HEADER.offset.gate_record / 4, head - 1);
      Atomics.store(words, HISTORY_HEADER.offset.gated / 4, 1);
      process.kill(process.pid, 'SIGSTOP');
      Atomics.store(words, HISTORY_HEADER.offset.gated / 4, 0);
    },
    close() {
      if (!open) return;
      open = false;
      mapping.close();
    },
  };
}

/** One record as a reader sees it. `index` counts from the start of the process. */
export interface HistoryRecord {
  readonly process: string;
  readonly index: number;
  readonly ns: bigint;
  readonly kind: RecordKind;
  /** undefined where the record concerns no domain. */
  readonly domid: number | undefined;
  readonly name: string;
  readonly a: number;
  readonly b: number;
}

/** Reads the ring of another process, living or dead. */
export class HistoryReader {
  readonly process: string;
  readonly pid: number;
  readonly incarnation: number;
  /** Records lost because the writer went round faster than we read. */
  lostCount = 0;
  readonly #mapping: Mapping;
  readonly #words: Uint32Array;
  readonly #recordCount: number;
  readonly #decoder = new TextDecoder();
  #next: number;

  constructor(path: string) {
    this.#mapping = mapPath(path, 0, false);
    const { bytes } = this.#mapping;
    const header = HISTORY_HEADER.decode(bytes);
    if (
      header.magic !== HISTORY_MAGIC ||
      header.version !== HISTORY_VERSION ||
      header.record_size !== HISTORY_RECORD.size ||
      bytes.length < HISTORY_HEADER_SIZE + header.record_count * HISTORY_RECORD.size ||
      header.record_count === 0
    ) {
      this.#mapping.close();
      throw new Error(`${path} is not a history ring of this version`);
    }
    this.#recordCount = header.record_count;
    this.pid = header.pid;
    this.incarnation = Number(header.incarnation);
    const name = header.process;
    const end = name.indexOf(0);
    this.process = this.#decoder.decode(name.subarray(0, end < 0 ? name.length : end));
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, HISTORY_HEADER_SIZE / 4);
    const head = this.#head();
    this.#next = head > this.#recordCount ? head - this.#recordCount : 0;
    this.lostCount = this.#next;
  }

  #head(): number {
    return Atomics.load(this.#words, HISTORY_HEADER.offset.head / 4);
  }

  /** True while the process stands at a gate. */
  get gated(): boolean {
    return Atomics.load(this.#words, HISTORY_HEADER.offset.gated / 4) === 1;
  }

  /** The records written since the last call, oldest first. */
  read(): HistoryRecord[] {
    const head = this.#head();
    const available = (head - this.#next) >>> 0;
    if (available > this.#recordCount) {
      this.lostCount += available - this.#recordCount;
      this.#next = (head - this.#recordCount) >>> 0;
    }
    const records: HistoryRecord[] = [];
    for (; this.#next !== head; this.#next = (this.#next + 1) >>> 0) records.push(this.#decode(this.#next));
    return records;
  }

  #decode(index: number): HistoryRecord {
    const { bytes } = this.#mapping;
    const at = HISTORY_HEADER_SIZE + (index % this.#recordCount) * HISTORY_RECORD.size;
    const raw = HISTORY_RECORD.decode(bytes, at);
    const numbers = new DataView(bytes.buffer, bytes.byteOffset + at, HISTORY_RECORD.size);
    return {
      process: this.process,
      index,
      ns: raw.ns,
      kind: RECORD_KINDS[raw.kind] ?? 'error',
      domid: raw.domid === NO_DOMAIN ? undefined : raw.domid,
      name: this.#decoder.decode(raw.name.slice(0, Math.min(raw.name_length, HISTORY_NAME_BYTES))),
      a: numbers.getFloat64(HISTORY_RECORD.offset.a, true),
      b: numbers.getFloat64(HISTORY_RECORD.offset.b, true),
    };
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
