// One process of a lab under a supervisor: started from built code, ended by the supervisor or found to have ended.
// Its standard input is our pipe, whose end is its end too, so that nothing survives a supervisor that was killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError, UserError } from '../lib/core/errors.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { withDeadline } from '../lib/node/process/wait.js';

/** Built beside the command line: programs of others in the place of services. */
const STAND_INS = {
  backend: join(PACKAGE_ROOT, 'dist', 'bin', 'backend.js'),
  store: join(PACKAGE_ROOT, 'dist', 'bin', 'store.js'),
} as const;
type StandIn = keyof typeof STAND_INS;

export type Program = 'hypervisor' | 'xenstored' | 'vhost-gpu' | 'vhost-frontend' | 'guest';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Its last words on standard error, one line; of one that was declared dead, why. */
  readonly reason: string;
}

const DECLARED_DEAD = 'it did not answer';

/** What is kept of a process's standard error. */
const STDERR_BYTES_MAX = 8192;

/** The built main file of a service. Throws UserError when the project was not built. */
export function builtProgram(program: Program): string {
  const path = join(PACKAGE_ROOT, 'dist', 'services', program, 'main.js');
  if (!existsSync(path)) throw new UserError(`${program} is not built: run npm run build`);
  return path;
}

export class LabProcess {
  /** For people: "hypervisor", "guest gpu-guest". */
  readonly label: string;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  #exit: Exit | undefined;
  #stopping = false;
  /** Resolves once it has said that it is ready, in a lab with restarts; never for one that ends before. */
  readonly ready: Promise<void>;
  #nowReady!: () => void;
  #wasReady = false;
  /** Questions since its last answer. */
  #missed = 0;
  #declaredDead: string | undefined;
  readonly #child: ChildProcess;

  constructor(program: Program | StandIn, label: string, args: readonly string[]) {
    this.label = label;
    this.ready = new Promise((resolve) => {
      this.#nowReady = resolve;
    });
    this.#child = spawn(
      process.execPath,
      [program === 'backend' || program === 'store' ? STAND_INS[program] : builtProgram(program), ...args],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
        // A session of its own: what a terminal or a process manager sends to our group is for us to act on, in order.
        detached: true,
        env: { ...process.env, XENWIRE_SUPERVISED: String(process.pid) },
      },
    );
    this.pid = this.#child.pid ?? 0;
    let text = '';
    this.#child.stdin?.on('error', () => {}); // it ended: 'close' follows
    // Its standard output carries answers and nothing else.
    this.#child.stdout?.on('data', () => {
      this.#missed = 0;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-STDERR_BYTES_MAX);
    });
    this.exited = new Promise((resolve) => {
      const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#exit = { code, signal, reason: this.#declaredDead ?? lastWords(text) };
        resolve(this.#exit);
      };
      this.#child.on('error', (error) => {
        text += error.message;
        ended(null, null);
      });
      // 'close' and not 'exit': standard error has been read to its end by then.
      this.#child.on('close', ended);
    });
  }

  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** Whether we asked it to end: only other ends are failures. */
  get stopping(): boolean {
    return this.#stopping;
  }

  get wasReady(): boolean {
    return this.#wasReady;
  }

  nowReady(): void {
    this.#wasReady = true;
    this.#nowReady();
  }

  /** Asks for an answer; returns how many questions in a row it owes one for. */
  ask(): number {
    // While it starts it may load for long; and one that is ending owes nothing.
    if (!this.#wasReady || this.#stopping || this.#exit !== undefined) return 0;
    this.#child.stdin?.write('\n');
    return this.#missed++;
  }

  /** Kills it because it does not answer; its end says so. */
  declareDead(afterMs: number): void {
    this.#declaredDead ??= `${DECLARED_DEAD} for ${afterMs / 1000} s`;
    this.#child.kill('SIGKILL');
  }

  /** From now on its end is expected, or, `expected` being false, is not any more. */
  expectEnd(expected = true): void {
    this.#stopping = expected;
  }

  /** Ends it at once, by force. */
  kill(): void {
    this.#stopping = true;
    if (this.#exit === undefined) this.#child.kill('SIGKILL');
  }

  /**
   * The domain that it ran is gone: it ends by itself, and says how. One that does not was still waiting for its domain,
   * and would take the next one of that name: it is asked to end.
   */
  async endWithDomain(): Promise<void> {
    try {
      await withDeadline(this.exited, DEADLINE_MS.causeOfEnd, `the end of ${this.label}`);
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
      await this.stop(DEADLINE_MS.processStop);
    }
  }

  /** Asks it to end in order; kills it after the deadline. True when it ended by itself with status 0. */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#stopping = true;
    if (this.#exit === undefined) this.#child.kill('SIGTERM');
    try {
      const { code } = await withDeadline(this.exited, deadlineMs, `the end of ${this.label}`);
      return code === 0;
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
      this.#child.kill('SIGKILL');
      await this.exited;
      return false;
    }
  }
}

function lastWords(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !/^\s+at /.test(line));
  return lines.find((line) => /Error: |ends: /.test(line)) ?? lines.at(-1) ?? '';
}

/** How a process ended, as the end of a sentence that begins with its name. */
export function howItEnded({ code, signal, reason }: Exit): string {
  if (signal !== null && reason.startsWith(DECLARED_DEAD)) return `was killed: ${reason}`;
  if (signal !== null) return `was killed by ${signal}`;
  const words = reason.replace(/^\S+ ends: /, '');
  return `ended with status ${code}${words === '' ? '' : `: ${words}`}`;
}
