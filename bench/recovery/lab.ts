// A lab with restarts for the bench of recovery, as a user starts it, and this process beside it as a toolstack: whose frames
// are right, who runs, who holds what. Leaves killing and figures to recovery.ts.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { countDescriptors, type DescriptorCounts } from '../../lab/descriptors.js';
import { FrameWatch } from '../../lab/frame-watch.js';
import { firstFrame } from '../../lab/frames.js';
import { openSession, type Session } from '../../lab/session.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { DeadlineError } from '../../lib/core/errors.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { listProcesses, type ProcessEntry } from '../../lib/node/process/run-dir.js';
import { lookAgain, withDeadline } from '../../lib/node/process/wait.js';
import { memoryScratch } from '../../measure/owned/bench.js';
import { serverOf } from '../../toolstack/device.js';
import { listGuests } from '../../toolstack/domain.js';

const LOOK_MS = 5;

export class RecoveryLab {
  readonly runDir: string;
  readonly #parent: string;
  readonly #child: ChildProcess;
  #session: Session | undefined;
  readonly #watches = new Map<number, FrameWatch>();
  #stderr = '';

  private constructor(parent: string, child: ChildProcess) {
    this.#parent = parent;
    this.runDir = join(parent, 'lab');
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
  }

  /** Resolves once every guest draws. `args`: of `xenwire up`, beside the run directory; --animate is among them. */
  static async start(args: readonly string[]): Promise<RecoveryLab> {
    const parent = memoryScratch('xw-bench-');
    const program = join(PACKAGE_ROOT, 'dist', 'bin', 'xenwire.js');
    const child = spawn(process.execPath, [program, 'up', '--run-dir', join(parent, 'lab'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const lab = new RecoveryLab(parent, child);
    try {
      const stays = new Promise<void>((resolve) => {
        createInterface({ input: child.stdout! }).on('line', (line) => {
          if (line.includes('until Ctrl-C')) resolve();
        });
      });
      await withDeadline(stays, DEADLINE_MS.firstFrame, 'first frames');
      await lab.look();
      return lab;
    } catch (error) {
      await lab.end();
      throw error;
    }
  }

  /** Of `xenwire up`. */
  get pid(): number {
    return this.#child.pid!;
  }

  get session(): Session {
    return this.#session!;
  }

  /** Watches the guests that are there now, which draw: at the start, and after one was made anew. Answers how many. */
  async look(): Promise<number> {
    this.#session ??= await this.#open();
    for (const { domid, name, state } of await listGuests(this.#session)) {
      if (this.#watches.has(domid) || state === 'dying') continue;
      // Its directory is made in several steps: what was written into it before would be gone with the next.
      await firstFrame(this.#session, { domid, name });
      const server = await serverOf(this.#session, domid);
      const watch = new FrameWatch(() => this.#session!.connect(server), `${domid}/0`);
      this.#watches.set(domid, watch);
      await watch.start();
      await watch.next(process.hrtime.bigint() - 1_000_000_000n);
    }
    return this.#watches.size;
  }

  /** Rejects with PeerDiedError when the lab has given up, whose last words are in `said`, and does not come. */
  async #open(): Promise<Session> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), DEADLINE_MS.measuredRecovery);
    try {
      return await openSession({ runDir: this.runDir, signal: late.signal });
    } finally {
      clearTimeout(timer); // the session connects by the same signal later
    }
  }

  /** The host is gone, and a new one comes: everything of the old one is forgotten. */
  async forget(): Promise<void> {
    for (const watch of this.#watches.values()) await watch.close();
    this.#watches.clear();
    await this.#session?.close();
    this.#session = undefined;
  }

  /** A domain is gone for good: its screen is watched no more. */
  async drop(domid: number): Promise<void> {
    await this.#watches.get(domid)?.close();
    this.#watches.delete(domid);
  }

  /** When the last of all screens showed a right frame after `ns`; rejects when one does not within `deadlineMs`. */
  async allRight(ns: bigint, deadlineMs: number): Promise<bigint> {
    const frames = await Promise.all([...this.#watches.values()].map((watch) => watch.next(ns, deadlineMs)));
    return frames.reduce((last, frame) => (frame.ns > last ? frame.ns : last), ns);
  }

  /** Of all screens: what the numbers in their frames say. */
  get torn(): number {
    return [...this.#watches.values()].reduce((sum, { viewed }) => sum + viewed.tornCount + viewed.backwardsCount, 0);
  }

  process(name: string): ProcessEntry {
    const found = listProcesses(this.runDir).find((entry) => entry.name === name && entry.state !== 'dead');
    if (found === undefined) throw new Error(`${name} does not run`);
    return found;
  }

  /** Resolves once another process of that name is ready. */
  async replaced({ name, pid }: ProcessEntry, deadlineMs: number): Promise<ProcessEntry> {
    const look = (): ProcessEntry | undefined =>
      listProcesses(this.runDir).find(
        (entry) => entry.name === name && entry.pid !== pid && !['starting', 'dead'].includes(entry.state),
      );
    const found = await lookAgain(async () => look(), LOOK_MS, AbortSignal.timeout(deadlineMs));
    if (found === undefined) throw new DeadlineError(`${name} was not started again within ${deadlineMs} ms`);
    return found;
  }

  descriptors(): DescriptorCounts {
    return countDescriptors(this.runDir);
  }

  /** What the supervisor said of failures. */
  get said(): string {
    return this.#stderr;
  }

  async end(): Promise<void> {
    await this.forget();
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGINT');
      await withDeadline(once(this.#child, 'exit'), DEADLINE_MS.processStop * 2, 'the end of the lab').catch(() => {
        this.#child.kill('SIGKILL');
      });
    }
    rmSync(this.#parent, { recursive: true, force: true });
  }
}
