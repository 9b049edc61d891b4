// What the sequences of the toolstack work with, and the small store habits that they share.
// Leaves the sequences themselves to device.ts and domain.ts, and connections to node/.

import type { Remote } from '../lib/core/bus.js';
import type { Clock } from '../lib/core/clock.js';
import { DeadlineError, ErrnoError } from '../lib/core/errors.js';
import type { Probe } from '../lib/core/probe.js';
import type { StoreClient, StoreOps } from '../lib/xenstore/api.js';

/** Proofs of identity of the guests, where their processes find them by their names, each with the domain that it proves. */
export interface TokenFiles {
  write(guest: string, domid: number, token: string): void;
  remove(guest: string): void;
}

/** Tells that what is waited for is wanted no longer: an AbortSignal. */
export interface EndSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', action: () => void): void;
  removeEventListener(type: 'abort', action: () => void): void;
}

/** A toolstack speaks as dom0; the session that makes it holds the lab's toolstack lock while a sequence runs. */
export interface Toolstack {
  readonly hypervisor: Pick<
    Remote<'Hypervisor'>,
    | 'domctl_create'
    | 'domctl_destroy'
    | 'domctl_unpause'
    | 'domctl_getdomaininfolist'
    | 'evtchn_alloc_unbound'
    | 'hvm_set_param'
    | 'dm_evtchn_raise'
    | 'domctl_rename'
    | 'dm_remote_shutdown'
    | 'privcmd_map_foreign'
    | 'privcmd_unmap_foreign'
  >;
  readonly store: StoreClient;
  readonly clock: Clock;
  readonly probe: Probe;
  readonly tokens: TokenFiles;
  /** Ends every wait of this toolstack. Left out: only deadlines do. */
  readonly ended?: EndSignal;
  newUuid(): string;
}

function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof ErrnoError && codes.includes(error.code);
}

/** What `promise` gives, or undefined when it is refused with one of these codes. */
export async function unless<T>(promise: Promise<T>, ...codes: readonly string[]): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (isErrno(error, ...codes)) return undefined;
    throw error;
  }
}

/** The value of a node, undefined where there is none. */
export function readNode(ops: StoreOps, path: string): Promise<string | undefined> {
  return unless(ops.read(path), 'ENOENT');
}

/** The names of a node's children, none where there is no such node. */
export async function listNode(ops: StoreOps, path: string): Promise<string[]> {
  return (await unless(ops.directory(path), 'ENOENT')) ?? [];
}

/** Removes a node if it is there. */
export async function removeNode(ops: StoreOps, path: string): Promise<void> {
  await unless(ops.rm(path), 'ENOENT');
}

/** Removes a node, then its parents upward as long as they hold nothing: no value, no child (libxl_xshelp.c). */
export async function removeNodeAndEmptyParents(ops: StoreOps, path: string): Promise<void> {
  await removeNode(ops, path);
  for (let parent = parentOf(path); parent !== ''; parent = parentOf(parent)) {
    const value = await readNode(ops, parent);
    if (value === undefined) continue;
    if (value !== '' || (await listNode(ops, parent)).length > 0) return;
    await removeNode(ops, parent);
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

let watchCount = 0;

/**
 * Waits until `check` gives a value, looking once when the watches on `paths` start and again at each of their events.
 * Rejects with what `check` throws, with DeadlineError after `deadlineMs` (never, without), or with the reason of the toolstack's end. The
 * watches are gone when it settles.
 */
export async function whenStore<T>(
  toolstack: Pick<Toolstack, 'store' | 'clock' | 'ended'>,
  paths: string | readonly string[],
  deadlineMs: number | undefined,
  check: () => Promise<T | undefined>,
): Promise<T> {
  const { store, clock, ended } = toolstack;
  const watched = typeof paths === 'string' ? [paths] : paths;
  const token = `toolstack-${++watchCount}`;
  let wake: () => void = () => {};
  let events = 0;
  let late = false;
  const deadline =
    deadlineMs === undefined
      ? undefined
      : clock.after(deadlineMs, () => {
          late = true;
          wake();
        });
  const onEnd = (): void => wake();
  ended?.addEventListener('abort', onEnd);
  const started: string[] = [];
  try {
    for (const path of watched) {
      await store.watch(path, token, () => {
        events++;
        wake();
      });
      started.push(path);
    }
    for (let seen = -1; ; ) {
      if (ended?.aborted) throw ended.reason;
      if (seen === events) {
        if (late) throw new DeadlineError(`${watched[0]}: nothing within ${deadlineMs} ms`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = () => {};
        continue;
      }
      seen = events;
      const value = await check();
      if (value !== undefined) return value;
    }
  } finally {
    deadline?.cancel();
    ended?.removeEventListener('abort', onEnd);
    // A toolstack that has ended has no connection to ask on, and its watches went with that.
    if (!ended?.aborted) for (const path of started) await unless(store.unwatch(path, token), 'ENOENT');
  }
}
