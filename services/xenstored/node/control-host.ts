// Where CONTROL's commands reach files: the trace, the file it goes to, a report. Privileged clients name files, as they do
// with the daemon; what is no plain file, or cannot be written, answers an error. The trace is bounded: it ends by itself.
//
// A line is the daemon's, with a connection's name where that prints an address:
//   io: IN socket-1 (d0) 20240131 12:00:00 WRITE (/a/b value )
//   obj: CREATE watch socket-1 /a token
//   acc: d5 met its quota of 10 transactions (1)
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { errorMessage } from '../../../lib/core/errors.js';
import { STORE_TRACE_BYTES_MAX } from '../../../lib/core/limits.js';
import type { Log } from '../../../lib/core/log.js';
import { type XsMessage, xsName } from '../../../lib/layout/xs-wire.js';
import { type ControlHost, LOG_SWITCHES, type LogSwitch, type StoreTrace } from '../control-host.js';
import { fail } from '../failure.js';

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = constants;
/** What the daemon puts where it opens its trace. */
const OPENED = '\n***\n';

/** Opens a plain file to append to it. The daemon's EBADF has no name on the wire: EINVAL is what clients see of it. */
function openPlain(path: string): number {
  let fd: number;
  try {
    // Without O_NONBLOCK xenstored, and all its clients with it, would wait for the other end of a FIFO.
    fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch {
    return fail('EINVAL');
  }
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  return fail('EINVAL');
}

/** YYYYMMDD hh:mm:ss, local, as the daemon has it. */
function now(): string {
  const date = new Date();
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export interface ControlFiles {
  readonly log: Log;
  /** Where the trace goes until CONTROL logfile names another. */
  readonly traceFile: string;
  /** Bytes after which a trace ends by itself. */
  readonly bytesMax?: number;
}

export class FileTrace implements ControlHost, StoreTrace {
  readonly #log: Log;
  readonly #bytesMax: number;
  readonly #switches = new Set<LogSwitch>(LOG_SWITCHES);
  #path: string;
  /** Undefined while the trace is off. */
  #fd: number | undefined;
  #bytes = 0;

  constructor({ log, traceFile, bytesMax = STORE_TRACE_BYTES_MAX }: ControlFiles) {
    this.#log = log;
    this.#path = traceFile;
    this.#bytesMax = bytesMax;
  }

  // --- CONTROL -------------------------------------------------------------------------------------------------------

  log(on: boolean): void {
    this.close();
    if (!on) return;
    this.#fd = openPlain(this.#path);
    this.#bytes = 0;
    this.#write(OPENED);
  }

  logSwitch(name: LogSwitch, on: boolean): void {
    if (on) this.#switches.add(name);
    else this.#switches.delete(name);
  }

  logSwitches(): ReadonlySet<LogSwitch> {
    return this.#switches;
  }

  /** A file that cannot be opened changes nothing. */
  logFile(named: string): void {
    const path = resolve('/', named);
    closeSync(openPlain(path));
    this.#path = path;
    this.log(true);
  }

  print(text: string): void {
    this.#log.info({ control: text }, 'control print');
  }

  memoryReport(named: string | undefined, report: string): void {
    const to = openPlain(named === undefined ? this.#path : resolve('/', named));
    try {
      writeSync(to, report);
    } catch {
      fail('EINVAL');
    } finally {
      closeSync(to);
    }
  }

  // --- the trace -----------------------------------------------------------------------------------------------------

  traces(what: LogSwitch): boolean {
    return this.#fd !== undefined && this.#switches.has(what);
  }

  message(way: 'IN' | 'OUT', from: { readonly name: string; readonly domid: number }, message: XsMessage): void {
    const text = message.payload.replaceAll('\0', ' ');
    this.#write(`io: ${way} ${from.name} (d${from.domid}) ${now()} ${xsName(message.type)} (${text})\n`);
  }

  line(what: LogSwitch, text: string): void {
    this.#write(`${what}: ${text}\n`);
  }

  /** The world's failure, and the bound, end the trace and nothing else. */
  #write(text: string): void {
    if (this.#fd === undefined) return;
    try {
      this.#bytes += writeSync(this.#fd, text, null, 'latin1');
    } catch (error) {
      this.#end(`cannot write the trace: ${errorMessage(error)}`);
      return;
    }
    if (this.#bytes >= this.#bytesMax) this.#end(`the trace has ${this.#bytes} bytes, which is as long as it may be`);
  }

  #end(why: string): void {
    this.close();
    this.#log.warn({ trace: this.#path }, why);
  }

  close(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}
