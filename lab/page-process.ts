// The live page of `xenwire up --dashboard`: a process of its own, so that it takes nothing of the supervisor's time. Ends with us, by
// its standard input. Leaves the page to dashboard/.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError } from '../lib/core/errors.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { withDeadline } from '../lib/node/process/wait.js';

const PROGRAM = join(PACKAGE_ROOT, 'dist', 'bin', 'dashboard.js');

export class PageProcess {
  /** Its link, with the token. Rejects with its last words when it cannot serve. */
  readonly url: Promise<string>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(runDir: string, port: number) {
    const args = ['--run-dir', runDir, '--port', String(port), '--supervised'];
    // A group of its own: Ctrl-C is for us to act on, in order.
    const child = spawn(process.execPath, ['--enable-source-maps', PROGRAM, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child = child;
    child.stdin.on('error', () => {}); // it has ended, which 'close' tells
    this.#exited = once(child, 'close');
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-WORDS_MAX);
    });
    this.url = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      void this.#exited.then(() => reject(new Error(words.trim().replace(/^xenwire: /, '') || 'the page has ended')));
    });
    this.url.catch(() => {}); // the caller looks when it wants to
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    try {
      await withDeadline(this.#exited, DEADLINE_MS.processStop, 'the end of the page');
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
      this.kill();
      await this.#exited;
    }
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
/** What is kept of its standard error. */
const WORDS_MAX = 4096;
