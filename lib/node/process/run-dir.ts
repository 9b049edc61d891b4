// The run directory: where the processes of one lab find each other. Names of everything in it stand here.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setInherited, tryLock, trySharedLock } from '../files/libc.js';
import { retryOnChange } from './wait.js';

const { O_CREAT, O_RDONLY, O_RDWR } = constants;

export const runPaths = {
  bus: (runDir: string, server: string) => join(runDir, 'bus', `${server}.zmq`),
  /** Where programs with the preloaded library find the devices of dom0. */
  devices: (runDir: string) => join(runDir, 'bus', 'devices.sock'),
  /** The preloaded library of dom0 programs, as it was built for this lab. */
  preload: (runDir: string) => join(runDir, 'bus', 'dom0-preload.so'),
  /** Where the backend of others finds the GPU server (xenwire up --backend-command). */
  gpuSocket: (runDir: string) => join(runDir, 'bus', 'gpu.sock'),
  /** The process of a backend of others, by its number, while it runs: what is sent to it and not to the process that runs it. */
  backendPid: (runDir: string) => join(runDir, 'bus', 'vhost-frontend.program'),
  /** Where unmodified Xen programs find the store. */
  store: (runDir: string) => join(runDir, 'xenstored.socket'),
  /** What xenstored keeps of the store. */
  journal: (runDir: string) => join(runDir, 'xenstored.journal'),
  live: (runDir: string, server: string) => join(runDir, 'live', `${server}.sock`),
  lock: (runDir: string, name: string) => join(runDir, 'lock', name),
  proc: (runDir: string, name: string) => join(runDir, 'proc', `${name}.json`),
  log: (runDir: string, name: string) => join(runDir, 'logs', `${name}.ndjson`),
  history: (runDir: string, name: string, incarnation: number) =>
    join(runDir, 'history', `${name}.${incarnation.toString(36)}.ring`),
  gates: (runDir: string, name: string, incarnation: number) =>
    join(runDir, 'gates', `${name}.${incarnation.toString(36)}.gate`),
  dom0Token: (runDir: string) => join(runDir, 'dom0.token'),
  guestToken: (runDir: string, guest: string) => join(runDir, 'guests', `${guest}.token`),
} as const;

/** What a guest's token file holds: the domain that the token proves, and the token. */
export const guestTokenText = (domid: number, token: string): string => `${domid} ${token}\n`;

/** Undefined for a file that is not written to its end yet. */
export function parseGuestToken(text: string): { domid: number; token: string } | undefined {
  const [, domid, token] = /^([0-9]+) (\S+)\n$/.exec(text) ?? [];
  return domid === undefined || token === undefined ? undefined : { domid: Number(domid), token };
}

export function defaultRunDir(): string {
  const given = process.env['XENWIRE_RUN_DIR'];
  if (given !== undefined && given !== '') return resolve(given);
  return join(memoryFolder(), `xenwire-${process.getuid?.() ?? 0}`, 'lab');
}

/** A run directory that does not exist yet, for a process that shares it with no lab. */
export function freshRunDir(): string {
  return join(memoryFolder(), `xenwire-${process.pid}-${randomBytes(4).toString('hex')}`);
}

function memoryFolder(): string {
  try {
    if (statSync('/dev/shm').isDirectory()) return '/dev/shm';
  } catch {
    // no tmpfs there: the temporary folder serves
  }
  return tmpdir();
}

export interface NameLock {
  /** The open file that holds it. */
  readonly fd: number;
  release(): void;
}

/** Takes the name of a process; undefined when a living process has it. The kernel gives it back at our death. */
export function lockName(runDir: string, name: string): NameLock | undefined {
  const fd = openSync(runPaths.lock(runDir, name), O_RDWR | O_CREAT, 0o600);
  if (!tryLock(fd)) {
    closeSync(fd);
    return undefined;
  }
  // The file itself stays: removing a locked file lets two processes hold the same name.
  return { fd, release: () => closeSync(fd) };
}

/**
 * The name as the program before us in this process held it, by its descriptor; undefined when that is something else.
 * The descriptor is ours then, and not handed on by itself.
 */
export function inheritName(runDir: string, name: string, fd: number): NameLock | undefined {
  const file = statSync(runPaths.lock(runDir, name), { throwIfNoEntry: false });
  const held = fstatSync(fd);
  if (file === undefined || held.ino !== file.ino || held.dev !== file.dev || !tryLock(fd)) return undefined;
  setInherited(fd, false);
  return { fd, release: () => closeSync(fd) };
}

/**
 * Takes the name of a process as lockName does, but waits for `waitMs`: a command that only looks holds it for a moment, and
 * the process that had it before may still be ending.
 */
export async function takeName(runDir: string, name: string, waitMs: number): Promise<NameLock | undefined> {
  const path = runPaths.lock(runDir, name);
  return retryOnChange(path, () => lockName(runDir, name), AbortSignal.timeout(waitMs));
}

/** One line of `xenwire ps`. */
export interface ProcessEntry {
  readonly name: string;
  readonly pid: number;
  readonly incarnation: number;
  readonly state: string;
}

export function writeProcessEntry(runDir: string, entry: ProcessEntry): void {
  const path = runPaths.proc(runDir, entry.name);
  writeFileSync(`${path}.new`, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function removeProcessEntry(runDir: string, name: string): void {
  rmSync(runPaths.proc(runDir, name), { force: true });
}

/** Removes doorbells, gates and sockets of earlier lives of a process that were killed; the caller holds the name's lock. */
export function removeStalePages(runDir: string, name: string): void {
  // They are named by process, then a dot, which no name of a process has.
  for (const folder of ['bell', 'bus', 'gates', 'live']) {
    for (const file of readdirSync(join(runDir, folder)))
      if (file.startsWith(`${name}.`)) rmSync(join(runDir, folder, file), { force: true });
  }
}

/** Removes what a process left that was killed, for who started it: its entry, doorbells, gates and sockets. */
export function removeDead(runDir: string, pid: number): void {
  const dead = listProcesses(runDir).find((entry) => entry.pid === pid && entry.state === 'dead');
  // Its successor may have the name by now, and removes them itself.
  const lock = dead === undefined ? undefined : lockName(runDir, dead.name);
  if (dead === undefined || lock === undefined) return;
  removeStalePages(runDir, dead.name);
  removeProcessEntry(runDir, dead.name);
  lock.release();
}

/**
 * Removes what a hypervisor that was killed left behind: the shared files of its host, dom0's token and those of its
 * guests. The caller holds the hypervisor's name, and has not served a client yet: one that is early waits for the new
 * token instead of proving itself by the old one. The dead host's processes may have these files mapped still; they keep
 * the memory, and nothing of it reaches the new host.
 */
export function removeStaleHost(runDir: string): void {
  rmSync(runPaths.dom0Token(runDir), { force: true });
  for (const folder of ['shm', 'guests'])
    for (const name of readdirSync(join(runDir, folder))) rmSync(join(runDir, folder, name), { force: true });
}

/** Whether a living process holds the name: its lock says so, also from another pid namespace. */
export function isRunning(runDir: string, name: string): boolean {
  let fd: number;
  try {
    fd = openSync(runPaths.lock(runDir, name), O_RDONLY);
  } catch {
    return false;
  }
  // A shared lock: who looks at the same moment must not take us for the holder.
  const free = trySharedLock(fd);
  closeSync(fd);
  return !free;
}

/** What a process says that waits for a server for long. */
export function waitingFor(server: string, runDir: string): string {
  return `waiting for ${server} in ${runDir}: start it with xenwire ${server}, or a whole lab with xenwire up`;
}

/** The registered processes; those that ended without a word have state "dead". */
export function listProcesses(runDir: string): ProcessEntry[] {
  let names: string[];
  try {
    names = readdirSync(join(runDir, 'proc')).filter((file) => file.endsWith('.json'));
  } catch {
    return [];
  }
  return names.sort().flatMap((file) => {
    try {
      const entry = JSON.parse(readFileSync(join(runDir, 'proc', file), 'utf8')) as ProcessEntry;
      return [isRunning(runDir, entry.name) ? entry : { ...entry, state: 'dead' }];
    } catch {
      return []; // removed between listing and reading
    }
  });
}
