// Waiting for events of the file system and of time, each with a deadline that fails loudly. No fixed sleeps.
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { DEADLINE_MS } from '../../core/deadlines.js';
import { DeadlineError } from '../../core/errors.js';

/** Rejects with DeadlineError when `promise` has not settled within `timeoutMs`. */
export async function withDeadline<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`${what}: nothing within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Looks again when inotify is not to be had, or missed something (network file systems). */
const FALLBACK_MS = 100;

/**
 * Runs `attempt` now and again whenever something changes in the folder of `path`, until it gives a value. Ends early
 * with undefined when `signal` aborts.
 */
export async function retryOnChange<T>(
  path: string,
  attempt: () => Promise<T | undefined> | T | undefined,
  signal?: AbortSignal,
): Promise<T | undefined> {
  let wake: () => void = () => {};
  let changed = false;
  let watcher: FSWatcher | undefined;
  const name = basename(path);
  try {
    watcher = watch(dirname(path), (_event, file) => {
      if (file !== null && file !== name) return;
      changed = true;
      wake();
    });
    watcher.on('error', () => {});
  } catch {
    // the folder is not there yet: the timer looks again
  }
  const onAbort = () => wake();
  signal?.addEventListener('abort', onAbort);
  try {
    for (;;) {
      changed = false;
      const value = await attempt();
      if (value !== undefined) return value;
      if (signal?.aborted) return undefined;
      if (changed) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, FALLBACK_MS);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (signal?.aborted) return undefined;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    watcher?.close();
  }
}

/**
 * Runs `attempt` now and every `everyMs` until it gives a value: for what no event tells. Undefined when `signal` aborts.
 */
export async function lookAgain<T>(
  attempt: () => Promise<T | undefined>,
  everyMs: number,
  signal: AbortSignal,
): Promise<T | undefined> {
  for (;;) {
    const value = await attempt();
    if (value !== undefined) return value;
    if (signal.aborted) return undefined;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, everyMs);
      signal.addEventListener('abort', wake);
    });
  }
}

/**
 * Runs `say` when `work` takes longer than a person wants to see nothing; what it gives is given on.
 */
export async function saidIfSlow<T>(work: Promise<T>, say: () => void): Promise<T> {
  const timer = setTimeout(say, DEADLINE_MS.silence);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves once the file exists; false when aborted first. */
export async function fileExists(path: string, signal?: AbortSignal): Promise<boolean> {
  return (await retryOnChange(path, () => (existsSync(path) ? true : undefined), signal)) ?? false;
}
