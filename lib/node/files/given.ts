// Files and folders that a user names: read within a bound, made where they are missing. What is no plain file (a device,
// a pipe, a folder) is refused before anything is read from it, since such a thing may never end or never begin.
import { accessSync, closeSync, constants, fstatSync, mkdirSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errorMessage, UserError } from '../../core/errors.js';

/** The whole file. `what` names it in sentences: "the image". Throws UserError, also past `bytesMax`. */
export function readGivenFile(path: string, what: `the ${string}`, bytesMax: number): Buffer {
  let fd: number;
  try {
    // Without O_NONBLOCK the opening of a pipe waits for who writes into it.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new UserError(`there is no ${what.replace(/^the /, '')} ${path}`);
    }
    throw new UserError(`cannot read ${what} ${path}: ${errorMessage(error)}`);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new UserError(`cannot read ${what} ${path}: it is no plain file`);
    return readBounded(fd, path, what, bytesMax);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read ${what} ${path}: ${errorMessage(error)}`);
  } finally {
    closeSync(fd);
  }
}

/** By what comes, not by the size that the file claims: those of /proc claim none. */
function readBounded(fd: number, path: string, what: `the ${string}`, bytesMax: number): Buffer {
  const parts: Buffer[] = [];
  let total = 0;
  for (;;) {
    const part = Buffer.allocUnsafe(64 * 1024);
    const count = readSync(fd, part);
    if (count === 0) return Buffer.concat(parts);
    total += count;
    if (total > bytesMax) throw new UserError(`${path} is too large for ${what}: at most ${bytesMax} bytes`);
    parts.push(part.subarray(0, count));
  }
}

/**
 * Makes a folder and those above it that are missing; returns the topmost that it made. Throws what the system answered,
 * and has made nothing then. `mkdir(recursive)` of Node does not return where a file system refuses with ENOENT, as /proc does.
 */
export function makeFolders(path: string, mode = 0o777): string | undefined {
  const missing: string[] = [];
  let folder = resolve(path);
  while (statSync(folder, { throwIfNoEntry: false }) === undefined) {
    missing.push(folder);
    folder = dirname(folder);
  }
  const top = missing.at(-1);
  for (const each of missing.reverse()) {
    try {
      mkdirSync(each, { mode });
    } catch (error) {
      // Another process may have made it meanwhile.
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      if (top !== undefined && top !== each) rmSync(top, { recursive: true, force: true });
      throw error;
    }
  }
  if (!statSync(path).isDirectory()) mkdirSync(path); // says EEXIST: a file is there
  return top;
}

/** The absolute path of a folder that is there or was made now, and can be written to. Throws UserError. */
export function writableFolder(path: string, purpose: string): string {
  const folder = resolve(path);
  try {
    makeFolders(folder);
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new UserError(`cannot write ${purpose} to ${path}: ${errorMessage(error)}`);
  }
  return folder;
}
