// A supervisor's claim on a run directory: one supervisor at a time, no processes of others in it, nothing of an
// earlier run that was killed. The claim is a locked file beside the directory; the kernel drops it when we die.
import { closeSync, constants, existsSync, fstatSync, openSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { errorMessage, UserError } from '../lib/core/errors.js';
import { makeFolders } from '../lib/node/files/given.js';
import { tryLock } from '../lib/node/files/libc.js';
import { listProcesses } from '../lib/node/process/run-dir.js';
import { forgetRunDir, prepareRunDir, removeHalfRemoved, removeRunDir } from '../lib/node/process/run-dir-life.js';
import { retryOnChange } from '../lib/node/process/wait.js';

export interface Claim {
  /** Absolute, fresh, with all its folders. */
  readonly runDir: string;
  /** Gives the claim back; the directory goes with it unless it is kept. */
  release(options: { keep: boolean }): void;
}

/**
 * Throws UserError when another supervisor or other processes use the directory, or when it holds other things,
 * and the reason of `abort` while it waits. Leaves nothing then.
 */
export async function claimRunDir(path: string, abort?: AbortSignal): Promise<Claim> {
  // Checks its length and whether it can serve before anything is touched.
  const prepared = prepareRunDir(path);
  const { runDir } = prepared;
  const lockPath = `${runDir}.up`;
  const giveBack = (): void => {
    prepared.release();
    forgetRunDir(prepared);
  };
  const { fd, stale } = takeLock(lockPath, runDir, giveBack);
  try {
    prepared.release();
    await noneAlive(runDir, stale, abort);
    await removed(runDir);
    removeHalfRemoved(runDir);
    prepareRunDir(runDir).release();
  } catch (error) {
    rmSync(lockPath, { force: true });
    giveBack();
    closeSync(fd);
    throw error;
  }
  return {
    runDir,
    release({ keep }) {
      if (!keep) removeRunDir(runDir);
      rmSync(lockPath, { force: true });
      closeSync(fd);
      if (!keep) removeIfEmpty(dirname(runDir));
    },
  };
}

/** `stale`: the lock file stood there already, so its last holder was killed. */
function takeLock(lockPath: string, runDir: string, giveBack: () => void): { fd: number; stale: boolean } {
  makeFolders(dirname(lockPath), 0o700);
  for (;;) {
    const stale = existsSync(lockPath);
    let fd: number;
    try {
      fd = openSync(lockPath, constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (error) {
      giveBack();
      throw new UserError(`cannot use ${runDir} as run directory: ${errorMessage(error)}`);
    }
    if (!tryLock(fd)) {
      closeSync(fd);
      throw new UserError(`another xenwire up uses ${runDir}: name another --run-dir, or --attach to it`);
    }
    // Its holder may have removed the file between our opening and our locking it.
    if (statSync(lockPath, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) return { fd, stale };
    closeSync(fd);
  }
}

/** What an earlier run left; a process that is just starting there has its name in a moment, and is in our way then. */
async function removed(runDir: string): Promise<void> {
  const remove = async (): Promise<true | undefined> => {
    await noneAlive(runDir, false, undefined);
    return removeRunDir(runDir) || undefined;
  };
  const signal = AbortSignal.timeout(DEADLINE_MS.nameLook);
  if ((await retryOnChange(join(runDir, 'proc', '*'), remove, signal)) === undefined)
    throw new UserError(`a process is starting in ${runDir}: name another --run-dir`);
}

async function noneAlive(runDir: string, stale: boolean, abort: AbortSignal | undefined): Promise<void> {
  const living = (): string[] =>
    listProcesses(runDir)
      .filter(({ state }) => state !== 'dead')
      .map(({ name }) => name);
  if (stale && living().length > 0) {
    const signal = AbortSignal.any([
      AbortSignal.timeout(DEADLINE_MS.orphansEnd),
      ...(abort === undefined ? [] : [abort]),
    ]);
    await retryOnChange(join(runDir, 'proc', '*'), () => (living().length === 0 ? true : undefined), signal);
    abort?.throwIfAborted();
  }
  const names = living();
  if (names.length === 0) return;
  throw new UserError(
    `${names.join(', ')} ${names.length === 1 ? 'runs' : 'run'} in ${runDir}: name another --run-dir, or --attach to ${names.length === 1 ? 'it' : 'them'}`,
  );
}

/** The default run directory lies in a folder of the user's own, which goes with it. */
function removeIfEmpty(dir: string): void {
  if (!/\/xenwire-\d+$/.test(dir)) return;
  try {
    rmdirSync(dir);
  } catch {
    // another lab is in it
  }
}
