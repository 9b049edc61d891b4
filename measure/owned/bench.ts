// Runs a bench in a process of its own and owns what it makes: its files, in two folders that are removed, and its processes, which
// are ended, when the bench is over, was interrupted, or died. A bench measures in loops that look at no signal, and starts labs,
// daemons and compilers: one place that gives all of it back, from outside, needs no care in any of them (docs/bars.md).
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Interruption } from '../../lab/interruption.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { parentDeathSignal } from '../../lib/node/files/libc.js';
import { type Command, EXIT, runCommand } from '../../lib/node/process/cli.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import { livingOf } from './processes.js';

/** A folder in memory, given to the process that measures; a bench that finds it set is owned already. */
const MEMORY_VARIABLE = 'XENWIRE_BENCH_MEMORY';
const MEMORY_DIR = '/dev/shm';
const LOOK_MS = 20;
const SIGTERM = 15;

/** A fresh folder in memory, where the machine has such a file system. Its maker removes it; a bench's owner does too. */
export function memoryScratch(prefix: string): string {
  const given = process.env[MEMORY_VARIABLE];
  return mkdtempSync(join(given ?? (existsSync(MEMORY_DIR) ? MEMORY_DIR : tmpdir()), prefix));
}

/** Runs the bench by the arguments of this process and sets its exit status: the bench's own, or EXIT.FAILED once interrupted. */
export async function runBench(program: Command): Promise<void> {
  // --help makes nothing.
  const isOwned = process.env[MEMORY_VARIABLE] !== undefined || process.argv.includes('--help');
  if (isOwned) parentDeathSignal(SIGTERM);
  const status = isOwned ? await runCommand(program, process.argv.slice(2)) : await own();
  if (status !== EXIT.OK) process.exitCode = status;
}

async function own(): Promise<number> {
  const interruption = new Interruption();
  const name = `xwb-${process.pid}-`;
  const files = mkdtempSync(join(tmpdir(), name));
  const memory = existsSync(MEMORY_DIR) ? mkdtempSync(join(MEMORY_DIR, name)) : files;
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true, // a group of its own, by which all of it is ended
    stdio: 'inherit',
    env: { ...process.env, TMPDIR: files, [MEMORY_VARIABLE]: memory },
  });
  interruption.onSecond(() => signalAll(child.pid!, memory, 'SIGKILL'));
  try {
    const ended = once(child, 'exit');
    await Promise.race([ended, interruption.happened]);
    await endAll(child, memory);
    await ended;
  } finally {
    for (const folder of new Set([files, memory])) rmSync(folder, { recursive: true, force: true });
  }
  if (interruption.signal.aborted) {
    process.stderr.write('interrupted\n');
    return EXIT.FAILED;
  }
  if (child.signalCode !== null) process.stderr.write(`the bench ended by ${child.signalCode}\n`);
  return child.exitCode ?? EXIT.FAILED;
}

/** Resolves once nothing lives of the bench: asked to end in order first, killed when it does not. */
async function endAll({ pid }: ChildProcess, mark: string): Promise<void> {
  const gone = async (): Promise<true | undefined> => (livingOf(pid!, mark).length === 0 ? true : undefined);
  signalAll(pid!, mark, 'SIGTERM');
  if ((await lookAgain(gone, LOOK_MS, AbortSignal.timeout(DEADLINE_MS.processStop * 2))) === true) return;
  signalAll(pid!, mark, 'SIGKILL');
  if ((await lookAgain(gone, LOOK_MS, AbortSignal.timeout(DEADLINE_MS.processStop))) === undefined)
    process.stderr.write(`still there after SIGKILL: processes ${livingOf(pid!, mark).join(', ')}\n`);
}

/** Services of a lab end by their supervisor, in order: SIGTERM is for the bench's own group. */
function signalAll(group: number, mark: string, signal: 'SIGTERM' | 'SIGKILL'): void {
  const pids = signal === 'SIGKILL' ? livingOf(group, mark) : [-group];
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
