// What the machine does beside the measurement: processor time that processes took, and neighbours that keep cores busy.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { withDeadline } from '../../lib/node/process/wait.js';

/** Nanoseconds of processor time of all threads of a process; 0 once it has ended. */
export function processorNs(pid: number): number {
  let total = 0;
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      // "time on a core, time waiting for one, slices" in nanoseconds: finer than the ticks of /proc/PID/stat.
      total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]);
    }
  } catch {
    return total; // a thread or the process ended meanwhile
  }
  return total;
}

/** Share of one core that processes take together over a time, in percent. */
export async function processorPercent(pids: readonly number[], overMs: number): Promise<number> {
  const sum = (): number => pids.reduce((total, pid) => total + processorNs(pid), 0);
  const before = sum();
  const start = process.hrtime.bigint();
  await new Promise((resolve) => setTimeout(resolve, overMs)); // the time that is measured over
  return (100 * (sum() - before)) / Number(process.hrtime.bigint() - start);
}

/** Processes that do nothing but run; they end with us, however we end. */
export class Neighbours {
  readonly #children: ChildProcess[];

  private constructor(children: ChildProcess[]) {
    this.#children = children;
  }

  static async start(count: number): Promise<Neighbours> {
    const program = 'const parent = process.ppid; process.stdout.write("."); while (process.ppid === parent);';
    const neighbours = new Neighbours(
      Array.from({ length: count }, () =>
        spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] }),
      ),
    );
    try {
      const started = neighbours.#children.map((child) => once(child.stdout!, 'data'));
      await withDeadline(Promise.all(started), DEADLINE_MS.measuredStart, 'start of busy neighbours');
    } catch (error) {
      await neighbours.stop();
      throw error;
    }
    return neighbours;
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const exited = once(child, 'exit');
        child.kill('SIGKILL');
        await exited;
      }),
    );
  }
}
