// One case that is replayed from the page: `xenwire replay` as a process of its own, whose lab the page looks at. The lab is kept until
// the page shows another one or ends: what led to the verdict can be scrolled back.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { claimRunDir } from '../lab/claim.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError } from '../lib/core/errors.js';
import { EXIT } from '../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { withDeadline } from '../lib/node/process/wait.js';

/** A replay tells some twenty lines. */
const LINES_MAX = 200;

export type ReplayState = 'runs' | 'passed' | 'failed' | 'stopped';

export class ReplayRun {
  readonly case: string;
  readonly runDir: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #lines: string[] = [];
  #state: ReplayState = 'runs';
  #stopped = false;

  constructor(text: string, runDir: string, options: readonly string[]) {
    this.case = text;
    this.runDir = runDir;
    const program = join(PACKAGE_ROOT, 'dist', 'bin', 'xenwire.js');
    const child = spawn(process.execPath, [program, 'replay', text, '--keep', '--run-dir', runDir, ...options], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines = [...this.#lines, line].slice(-LINES_MAX);
      });
    this.#exited = once(child, 'close').then(([code]) => {
      this.#state = this.#stopped ? 'stopped' : code === EXIT.OK ? 'passed' : 'failed';
    });
  }

  get state(): ReplayState {
    return this.#state;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** Resolves once it has ended. */
  async stop(): Promise<void> {
    if (this.#state !== 'runs') return;
    this.#stopped = true;
    this.#child.kill('SIGTERM');
    try {
      await withDeadline(this.#exited, DEADLINE_MS.processStop, 'the end of a replay');
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
      this.#child.kill('SIGKILL');
      await this.#exited;
    }
  }

  /** Ends it, and its lab goes: the files that it kept, and processes that it did not come to end. */
  async close(): Promise<void> {
    await this.stop();
    if (existsSync(this.runDir)) (await claimRunDir(this.runDir)).release({ keep: false });
  }
}
