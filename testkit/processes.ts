// Real processes for tests: started, watched, ended by pid, with a run directory of their own that goes with the test.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DeadlineError } from '../lib/core/errors.js';
import { withDeadline } from '../lib/node/process/wait.js';

/** What ends with a test: tap's `t`. */
export interface Owner {
  teardown(action: () => void | Promise<void>): void;
}

/** A fresh run directory, removed with the test. */
export function temporaryRunDir(t: Owner): string {
  const dir = mkdtempSync(join(tmpdir(), 'xw-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A process whose lines on standard output are its events. */
export class TestProcess {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  stderr = '';
  #wake: (() => void)[] = [];
  #taken = 0;

  constructor(child: ChildProcess) {
    this.child = child;
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        this.lines.push(line);
        for (const wake of this.#wake.splice(0)) wake();
      });
    }
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      for (const wake of this.#wake.splice(0)) wake();
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** The next line that matches; rejects loudly after `timeoutMs`. */
  async line(pattern: RegExp, timeoutMs = 10_000): Promise<string> {
    const found = async (): Promise<string> => {
      for (;;) {
        while (this.#taken < this.lines.length) {
          const line = this.lines[this.#taken++]!;
          if (pattern.test(line)) return line;
        }
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    };
    try {
      return await withDeadline(found(), timeoutMs, `line ${pattern}`);
    } catch (error) {
      throw new DeadlineError(`${(error as Error).message}; standard error: ${this.stderr}`);
    }
  }

  /** Resolves once standard error, from its start, holds a match: a service logs there. Rejects after `timeoutMs`. */
  async logged(pattern: RegExp, timeoutMs = 10_000): Promise<void> {
    const found = async (): Promise<void> => {
      while (!pattern.test(this.stderr)) await new Promise<void>((resolve) => this.#wake.push(resolve));
    };
    try {
      await withDeadline(found(), timeoutMs, `${pattern} on standard error`);
    } catch (error) {
      throw new DeadlineError(`${(error as Error).message}: ${this.stderr}`);
    }
  }

  say(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  /** Exit status or signal name; rejects when it lives on after `timeoutMs`. */
  async ended(timeoutMs = 10_000): Promise<number | string> {
    const { child } = this;
    if (child.exitCode === null && child.signalCode === null) {
      await withDeadline(once(child, 'exit'), timeoutMs, `end of process ${child.pid}`);
    }
    return child.exitCode ?? child.signalCode ?? 'unknown';
  }
}

/**
 * Starts `node FILE ARGS`; `file` is a URL of a built module. `fds` become its descriptors 3 and up. Ended with the test
 * if it still lives. `shell`: what a shell does before it becomes the process, "ulimit -n 64" say.
 */
export function startNode(
  t: Owner,
  file: URL,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  fds: readonly number[] = [],
  shell?: string,
): TestProcess {
  const node = [process.execPath, fileURLToPath(file), ...args];
  // The shell becomes the process.
  const [program, ...rest] = shell === undefined ? node : ['/bin/sh', '-c', `${shell}; exec "$0" "$@"`, ...node];
  const child = spawn(program!, rest, {
    stdio: ['pipe', 'pipe', 'pipe', ...fds],
    env: { ...process.env, ...env },
  });
  child.stdin?.on('error', () => {}); // it may end before it reads
  const running = new TestProcess(child);
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await running.ended();
    }
  });
  return running;
}
