// The live page of `xenwire up --dashboard` and `xenwire chaos --dashboard`: a process of its own, so that it takes nothing of its
// parent's time. Ends with us, by its standard input. Leaves the page to dashboard/.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError, errorMessage, UserError } from '../lib/core/errors.js';
import { EXIT } from '../lib/node/process/cli.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { withDeadline } from '../lib/node/process/wait.js';

const PROGRAM = join(PACKAGE_ROOT, 'dist', 'bin', 'dashboard.js');

export class PageProcess {
  /** Its link, with the token. Rejects with its last words when it cannot serve: a UserError where they are one. */
  readonly url: Promise<string>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #stopMs: number;

  /** `campaign`: it shows what tell() is given (chaos/report/campaign-view.ts), not the lab of `runDir`. */
  constructor(runDir: string, port: number, { campaign = false }: { campaign?: boolean } = {}) {
    const args = ['--run-dir', runDir, '--port', String(port), campaign ? '--campaign' : '--supervised'];
    // A group of its own: Ctrl-C is for us to act on, in order.
    const child = spawn(process.execPath, ['--enable-source-maps', PROGRAM, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child = child;
    this.#stopMs = DEADLINE_MS[campaign ? 'campaignPageStop' : 'processStop'];
    child.stdin.on('error', () => {}); // it has ended, which 'close' tells
    this.#exited = once(child, 'close');
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-WORDS_MAX);
    });
    this.url = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve);
      void this.#exited.then(() => {
        const sentence = words.trim().replace(/^xenwire: /, '') || 'the page has ended';
        reject(child.exitCode === EXIT.USAGE ? new UserError(sentence) : new Error(sentence));
      });
    });
    this.url.catch(() => {}); // the caller looks when it wants to
  }

  /** A line for its standard input. */
  tell(what: object): void {
    this.#child.stdin?.write(`${JSON.stringify(what)}\n`);
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    try {
      await withDeadline(this.#exited, this.#stopMs, 'the end of the page');
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
/** As dashboard/server.ts. */
const LOOPBACK = '127.0.0.1';
/** What is kept of its standard error. */
const WORDS_MAX = 4096;

/** Throws UserError when a page could not be served there: before anything is started for it. `port` 0: any. */
export async function requirePort(port: number): Promise<void> {
  const server = createServer().listen(port, LOOPBACK);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new UserError(`cannot serve the page on port ${port}: ${errorMessage(error)}`);
  }
  server.close();
  await once(server, 'close');
}
