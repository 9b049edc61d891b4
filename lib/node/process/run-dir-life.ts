// The life of a run directory: made by the first process that starts in it, removed with the lab, or by a start that failed while no other
// process has begun to use it. The marker's lock says that one is just beginning, the locks of names (run-dir.ts) that one runs.
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DEADLINE_MS } from '../../core/deadlines.js';
import { errorMessage, UserError } from '../../core/errors.js';
import { SOCKET_PATH_BYTES_MAX } from '../../core/limits.js';
import { makeFolders } from '../files/given.js';
import { tryLock, trySharedLock } from '../files/libc.js';

const { O_CREAT, O_RDWR } = constants;
/** Never changed: waiting for it is a pause. */
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

const SUBDIRS = [
  'bell',
  'bus',
  'dumps',
  'frames',
  'gates',
  'guests',
  'history',
  'live',
  'lock',
  'logs',
  'proc',
  'shm',
] as const;
/** Stands in every run directory, made before anything else in it. */
const MARKER = '.xenwire-run-dir';
/** What is behind the name of a run directory, and a dot, while the process of that pid removes it. */
const ASIDE = /^[0-9]+\.removed$/;
/** The longest socket name below a run directory: `/live/<32>.sock`, of a guest (PROCESS_NAME of service.ts). */
const LONGEST_SOCKET_NAME = 43;

export interface PreparedRunDir {
  /** Absolute. */
  readonly runDir: string;
  /** The topmost folder that was made for it; undefined when the run directory was there. A start that fails removes it. */
  readonly made: string | undefined;
  /**
   * Until this is called no other process removes the directory: to be called once the caller holds the name of a process in it, or has
   * given up.
   */
  release(): void;
}

/** Makes the folders that are missing, mode 0700. Throws UserError when the path cannot serve, and leaves nothing then. */
export function prepareRunDir(path: string): PreparedRunDir {
  const runDir = resolve(path);
  const longest = Buffer.byteLength(runDir) + LONGEST_SOCKET_NAME;
  if (longest > SOCKET_PATH_BYTES_MAX) {
    const most = SOCKET_PATH_BYTES_MAX - LONGEST_SOCKET_NAME;
    throw new UserError(
      `run directory ${runDir} is too long for the sockets in it: ${Buffer.byteLength(runDir)} bytes, at most ${most}`,
    );
  }
  let made: string | undefined;
  let marker: number | undefined;
  try {
    for (const end = performance.now() + DEADLINE_MS.runDirGone; marker === undefined; ) {
      made = makeFolders(runDir, 0o700) ?? made;
      marker = lockMarker(runDir);
      // A start that failed is removing the directory: there will be none in a moment.
      if (marker !== undefined) break;
      if (performance.now() > end) throw new Error('another process is removing it');
      Atomics.wait(PAUSE, 0, 0, 1);
    }
    for (const name of SUBDIRS) makeFolders(join(runDir, name), 0o700);
  } catch (error) {
    if (marker !== undefined) closeSync(marker);
    if (made !== undefined) removeMade(runDir, made);
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot use ${runDir} as run directory: ${errorMessage(error)}`);
  }
  const fd = marker;
  let held = true;
  return {
    runDir,
    made,
    release() {
      if (held) closeSync(fd);
      held = false;
    },
  };
}

/** The marker, with a lock that others may have too; undefined when the directory has gone, or goes. Throws UserError for another's folder. */
function lockMarker(runDir: string): number | undefined {
  let fd: number;
  try {
    if (!isRunDir(runDir)) {
      const known: readonly string[] = [MARKER, ...SUBDIRS];
      const other = readdirSync(runDir).find((name) => !known.includes(name));
      if (other !== undefined)
        throw new UserError(`${runDir} holds other things (${other}): name a new or empty folder`);
    }
    fd = openSync(join(runDir, MARKER), O_RDWR | O_CREAT, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (trySharedLock(fd) && isMarker(runDir, fd)) return fd;
  closeSync(fd);
  return undefined;
}

/** Whether an open marker is still the one of the directory. */
function isMarker(runDir: string, fd: number): boolean {
  return statSync(join(runDir, MARKER), { throwIfNoEntry: false })?.ino === fstatSync(fd).ino;
}

/**
 * Removes a run directory as a whole, unless a process is just starting in it or `mayGo` says no, which is asked while none can begin.
 * True when it is not there any more.
 */
export function removeRunDir(runDir: string, mayGo: () => boolean = () => true): boolean {
  let fd: number;
  try {
    fd = openSync(join(runDir, MARKER), O_RDWR);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  try {
    if (!tryLock(fd) || !isMarker(runDir, fd) || !mayGo()) return false;
    // Gone in one step: who comes now makes a new one.
    const aside = `${runDir}.${process.pid}.removed`;
    renameSync(runDir, aside);
    rmSync(aside, { recursive: true, force: true });
    return true;
  } finally {
    closeSync(fd);
  }
}

/** Removes the rest of a run directory whose remover was killed at it; the caller is the only one who may remove this directory now. */
export function removeHalfRemoved(runDir: string): void {
  const prefix = `${basename(runDir)}.`;
  for (const name of readdirSync(dirname(runDir))) {
    if (name.startsWith(prefix) && ASIDE.test(name.slice(prefix.length)))
      rmSync(join(dirname(runDir), name), { recursive: true, force: true });
  }
}

/** Removes what prepareRunDir made for a start that failed, unless another process has begun to use it. The caller has released it. */
export function forgetRunDir({ runDir, made }: PreparedRunDir, name?: string): void {
  if (made !== undefined) removeMade(runDir, made, name);
}

/** `name`: of the process whose lock is no reason to keep it. */
function removeMade(runDir: string, made: string, name?: string): void {
  const unused = (): boolean =>
    !existsSync(join(runDir, 'lock')) || readdirSync(join(runDir, 'lock')).every((file) => file === name);
  if (!removeRunDir(runDir, unused)) return;
  for (let folder = runDir; folder.startsWith(made); folder = dirname(folder)) {
    try {
      rmdirSync(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return; // another process uses it
    }
  }
}

/** Whether a folder was made as a run directory: only such a one is ever removed as a whole. */
export function isRunDir(path: string): boolean {
  return existsSync(join(path, MARKER));
}
