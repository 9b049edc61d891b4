// A secret in the memory of a guest, which no later guest may find in its own: a domain starts with empty pages. Planted and looked
// for in the middle of the file that is a domain's memory, where no guest of a case has anything: it draws a small picture, and takes
// the lowest pages that are free.
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const SECRET = randomBytes(32);
/** Half-way, at a page. */
const placeIn = (bytes: number): number => Math.floor(bytes / 2 / 4096) * 4096;

/** Runs `act` on the memory of a domain; undefined where it has gone. */
function inMemory<T>(runDir: string, domid: number, act: (fd: number, place: number) => T): T | undefined {
  let fd: number;
  try {
    fd = openSync(join(runDir, 'shm', `dom${domid}.ram`), 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return act(fd, placeIn(fstatSync(fd).size));
  } finally {
    closeSync(fd);
  }
}

/** Of a guest that is to be removed. False where its memory has gone already. */
export function plantSecret(runDir: string, domid: number): boolean {
  return inMemory(runDir, domid, (fd, place) => writeSync(fd, SECRET, 0, SECRET.length, place) > 0) ?? false;
}

/** Of a guest that was just made: whether it has what an earlier one had. */
export function hasSecret(runDir: string, domid: number): boolean {
  const found = Buffer.alloc(SECRET.length);
  const read = inMemory(runDir, domid, (fd, place) => readSync(fd, found, 0, found.length, place));
  return read === SECRET.length && found.equals(SECRET);
}
