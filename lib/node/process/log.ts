// Logs: pino, synchronous (a killed process has written what it said), one NDJSON file a process under the run directory,
// and readable lines on the terminal for a process that runs on one.
import { openSync, writeSync } from 'node:fs';
import pino from 'pino';
import { passOver } from '../../core/errors.js';
import type { Log, LogLevel } from '../../core/log.js';
import { colour } from './output.js';

export interface LogSetup {
  readonly name: string;
  readonly incarnation: number;
  readonly path: string;
  readonly level: LogLevel;
  /** Also on standard error: for a process started by hand. */
  readonly terminal: boolean;
}

/** What is kept of records that could not be written; later ones are dropped until there is room. */
const UNWRITTEN_BYTES_MAX = 1 << 16;

export function openLog(setup: LogSetup): Log {
  const file = pino.destination({ dest: openSync(setup.path, 'a', 0o600), sync: true, maxLength: UNWRITTEN_BYTES_MAX });
  // No room is no reason to end: what could not be written is tried again with the next record.
  file.on('error', passOver);
  const streams: pino.StreamEntry[] = [{ level: 'debug', stream: file }];
  if (setup.terminal) streams.push({ level: 'debug', stream: terminalStream() });
  return pino(
    { level: setup.level, base: { process: setup.name, incarnation: setup.incarnation } },
    pino.multistream(streams),
  );
}

/** A person reads one line an event; a program that reads our standard error gets what the file gets. */
function terminalStream(): pino.DestinationStream {
  if (!process.stderr.isTTY) return pino.destination({ dest: 2, sync: true });
  return { write: (record) => void writeSync(2, `${logLine(JSON.parse(record), process.stderr)}\n`) };
}

const LEVELS: Readonly<Record<number, 'dim' | 'yellow' | 'red'>> = { 20: 'dim', 40: 'yellow', 50: 'red' };
/** What every record has, and no line needs: the process is the one that the person has started. */
const LEFT_OUT = ['level', 'time', 'process', 'incarnation', 'msg', 'pid', 'hostname'];

/** `12:34:56.789 vhost-frontend: state device=backend/virtio-mmio/1/0 from=InitWait to=Connected`: a record as one line. */
export function logLine(record: Record<string, unknown>, stream: { isTTY?: boolean }): string {
  const time = new Date(Number(record['time'])).toISOString().slice(11, 23);
  const fields = Object.entries(record)
    .filter(([name]) => !LEFT_OUT.includes(name))
    .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  // A stack has lines of its own; a line of ours is one.
  const text = `${record['process']}: ${record['msg']}${fields.join('')}`.replace(/\s*\n\s*/g, ' | ');
  const level = LEVELS[Number(record['level'])];
  return `${colour('dim', time, stream)} ${level === undefined ? text : colour(level, text, stream)}`;
}
