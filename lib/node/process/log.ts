// Logs: pino, synchronous (a killed process has written what it said), one NDJSON file a process under the run directory,
// and readable lines on the terminal for a process that runs on one.
import { openSync } from 'node:fs';
import { createRequire } from 'node:module';
import pino from 'pino';
import type { Log, LogLevel } from '../../core/log.js';

export interface LogSetup {
  readonly name: string;
  readonly incarnation: number;
  readonly path: string;
  readonly level: LogLevel;
  /** Also on standard error: for a process started by hand. */
  readonly terminal: boolean;
}

export function openLog(setup: LogSetup): Log {
  const file = pino.destination({ dest: openSync(setup.path, 'a', 0o600), sync: true });
  const streams: pino.StreamEntry[] = [{ level: 'debug', stream: file }];
  if (setup.terminal) streams.push({ level: 'debug', stream: terminalStream() });
  return pino(
    { level: setup.level, base: { process: setup.name, incarnation: setup.incarnation } },
    pino.multistream(streams),
  );
}

/** Pretty only where a person reads: loading it costs a start-up 20 ms. */
function terminalStream(): pino.DestinationStream {
  if (!process.stderr.isTTY) return pino.destination({ dest: 2, sync: true });
  const require = createRequire(import.meta.url);
  const pretty = require('pino-pretty') as (options: object) => pino.DestinationStream;
  return pretty({ sync: true, destination: 2, ignore: 'pid,hostname,incarnation', translateTime: 'HH:MM:ss.l' });
}
