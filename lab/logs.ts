// The log files of a lab's processes, merged in order of time; and what is added to them. A line is a JSON object (pino).
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

export interface LogRecord {
  readonly process: string;
  /** As pino wrote it. */
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Milliseconds since 1970. */
  readonly time: number;
}

const SUFFIX = '.ndjson';
const PIECE_BYTES = 64 << 10;
/** A line that is longer is none of ours, and is not kept. */
const LINE_LENGTH_MAX = 1 << 20;

/** One file, read on from where the last call ended. */
class LogFile {
  readonly #fd: number;
  readonly #name: string;
  readonly #decoder = new TextDecoder();
  #at = 0;
  #rest = '';

  constructor(path: string, name: string) {
    this.#fd = openSync(path, 'r');
    this.#name = name;
  }

  read(): LogRecord[] {
    const records: LogRecord[] = [];
    const size = fstatSync(this.#fd).size;
    const buffer = new Uint8Array(PIECE_BYTES);
    while (this.#at < size) {
      const count = readSync(this.#fd, buffer, 0, PIECE_BYTES, this.#at);
      if (count === 0) break;
      this.#at += count;
      const lines = (this.#rest + this.#decoder.decode(buffer.subarray(0, count), { stream: true })).split('\n');
      this.#rest = lines.pop()!.slice(0, LINE_LENGTH_MAX);
      for (const line of lines) records.push(...this.#record(line));
    }
    return records;
  }

  /** A line that was cut by the death of its process is left out. */
  #record(text: string): LogRecord[] {
    try {
      const fields = JSON.parse(text) as Record<string, unknown>;
      return [{ process: this.#name, text, fields, time: Number(fields['time']) }];
    } catch {
      return [];
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

export class LogFeed {
  readonly #runDir: string;
  readonly #only: string | undefined;
  readonly #files = new Map<string, LogFile>();

  /** `only`: of one process. */
  constructor(runDir: string, only?: string) {
    this.#runDir = runDir;
    this.#only = only;
  }

  /** What was written since the last call, oldest first. */
  read(): LogRecord[] {
    for (const name of loggingProcesses(this.#runDir)) {
      if (this.#files.has(name) || (this.#only !== undefined && this.#only !== name)) continue;
      this.#files.set(name, new LogFile(join(this.#runDir, 'logs', name + SUFFIX), name));
    }
    return [...this.#files.values()].flatMap((file) => file.read()).sort((one, other) => one.time - other.time);
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }
}

/** Names of the processes that have a log there, the ended ones too. */
export function loggingProcesses(runDir: string): string[] {
  try {
    return readdirSync(join(runDir, 'logs'))
      .filter((file) => file.endsWith(SUFFIX))
      .map((file) => file.slice(0, -SUFFIX.length))
      .sort();
  } catch {
    return [];
  }
}
