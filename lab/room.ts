// Whether this machine has room for a lab, asked before anything starts: memory of the file system that the run directory is
// in, as far as guests have pages from the start (lib/core/guest-ram.ts), and open files.
import { readFileSync, statfsSync } from 'node:fs';
import { UserError } from '../lib/core/errors.js';
import { ramBackedAtStart, ramFileSize } from '../lib/core/guest-ram.js';

/** Measured: rings, bells, exit and shared pages, logs and screens. The first figure is for the five processes themselves. */
const LAB_MIB = 24;
const GUEST_EXTRA_MIB = 5;
/** Measured: 47 of `up` itself, the most of all processes, and 3 a guest in the hypervisor; with some to spare. */
const LAB_FILES = 64;
const GUEST_FILES = 4;

const MIB = 1 << 20;

const backedMib = (memoryMib: number): number =>
  ramBackedAtStart(ramFileSize(memoryMib * MIB)).reduce((sum, { size }) => sum + size / MIB, 0);

/** Throws UserError when a lab with guests of that memory, one MiB figure each, would not fit into `runDir`. */
export function requireRoom(runDir: string, guestsMib: readonly number[], options: { wholeLab: boolean }): void {
  const { bavail, bsize } = statfsSync(runDir);
  const free = Math.floor((bavail * bsize) / MIB);
  const guests = guestsMib.reduce((sum, memory) => sum + backedMib(memory) + GUEST_EXTRA_MIB, 0);
  const needed = guests + (options.wholeLab ? LAB_MIB : 0);
  if (needed > free) {
    const what = guestsMib.length === 1 ? 'a guest' : `${guestsMib.length} guests`;
    throw new UserError(
      `${runDir} needs ${needed} MiB for ${what} and has ${free} MiB free: give guests less memory, or name another --run-dir`,
    );
  }
}

/** Throws UserError when the processes of a lab may not open as many files as that many guests need. */
export function requireFiles(guests: number, limits = readFileSync('/proc/self/limits', 'utf8')): void {
  const limit = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  const needed = LAB_FILES + guests * GUEST_FILES;
  if (needed > limit) {
    throw new UserError(
      `a process may open ${limit} files here, and ${needed} are needed for ${guests} guests: raise it with ulimit -n ${needed}`,
    );
  }
}
