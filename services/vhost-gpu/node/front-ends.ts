// Front-ends of a unix socket, each served by a process of its own: what a front-end does to memory that it shares (a file
// that shrinks is a SIGBUS) or to descriptors that it sent (a signal that blocks) then harms nobody's session but its own
// (docs/gpu-server.md). Leaves serving to the process, which is this program with `--fd`.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { errorMessage } from '../../../lib/core/errors.js';
import { GPU_FRONT_ENDS_MAX } from '../../../lib/core/limits.js';
import type { Log } from '../../../lib/core/log.js';
import type { Held } from '../../../lib/core/proto-types.js';
import type { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { runPaths } from '../../../lib/node/process/run-dir.js';

/** The descriptor that a process finds its connection at. */
const CONNECTION_FD = 3;

/** Name of the process that serves the front-end in `slot` for the process `listener`. */
export const frontEndProcess = (listener: number, slot: number): string => `gpu-${listener}-${slot}`;

export interface FrontEndsSetup {
  readonly runDir: string;
  /** Options of this program that the processes are given too. */
  readonly options: readonly string[];
  readonly log: Log;
}

export class FrontEnds {
  readonly #setup: FrontEndsSetup;
  /** By slot, from 1 on. A slot's process has the slot's name: log and history of the one before it are replaced. */
  readonly #processes = new Map<number, ChildProcess>();
  #refusedCount = 0;
  #closed = false;

  constructor(setup: FrontEndsSetup) {
    this.#setup = setup;
  }

  /** Has the connection served, or closes it. Takes over `fd`. */
  take(fd: OwnedFd): void {
    const slot = this.#freeSlot();
    try {
      if (slot === undefined || this.#closed) this.refused(`${GPU_FRONT_ENDS_MAX} front-ends are served already`);
      else this.#start(slot, fd);
    } catch (error) {
      this.refused(errorMessage(error));
    } finally {
      fd.close();
    }
  }

  /** A connection could not be served. Logged once until another one is: a front-end may try again and again. */
  refused(reason: string): void {
    if (this.#refusedCount++ === 0) this.#setup.log.warn(`front-end refused: ${reason}`);
  }

  #freeSlot(): number | undefined {
    for (let slot = 1; slot <= GPU_FRONT_ENDS_MAX; slot++) if (!this.#processes.has(slot)) return slot;
    return undefined;
  }

  #start(slot: number, fd: OwnedFd): void {
    const { runDir, options, log } = this.#setup;
    const name = frontEndProcess(process.pid, slot);
    removeTraces(runDir, name);
    const serve = ['--fd', String(CONNECTION_FD), '--front-end', String(slot)];
    // Its standard input is our pipe, whose end tells it of our end.
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...options, ...serve], {
      stdio: ['pipe', 'inherit', 'inherit', fd.fd],
    });
    child.stdin?.on('error', () => {}); // it may end at any time
    this.#processes.set(slot, child);
    const gone = (): void => {
      child.stdin?.destroy();
      this.#processes.delete(slot);
    };
    child.on('spawn', () => {
      if (this.#refusedCount > 1) log.warn(`${this.#refusedCount} front-ends were refused`);
      this.#refusedCount = 0;
      log.info({ frontEnd: name, pid: child.pid }, 'front-end connected');
    });
    child.on('error', (error) => {
      if (child.pid !== undefined) return; // a signal that came too late; its end is told below
      gone();
      this.refused(error.message);
    });
    child.on('exit', (code, signal) => {
      gone();
      const how = signal === null ? `ended with status ${code}` : `was killed by ${signal}`;
      log.info({ frontEnd: name, pid: child.pid }, `front-end gone: its process ${how}`);
    });
  }

  held(): Held[] {
    return [...this.#processes].map(([slot]) => ({ kind: 'process', name: frontEndProcess(process.pid, slot) }));
  }

  /** Ends the processes; resolves once all have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    const ends = [...this.#processes.values()]
      .filter((child) => child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      .map((child) => {
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        return ended;
      });
    await Promise.all(ends);
  }
}

/** Of the slot's last process: histories are named after incarnations, logs are added to, and both would pile up. */
function removeTraces(runDir: string, name: string): void {
  rmSync(runPaths.log(runDir, name), { force: true });
  const dir = dirname(runPaths.history(runDir, name, 0));
  for (const file of readdirSync(dir)) if (file.startsWith(`${name}.`)) rmSync(join(dir, file), { force: true });
}
