// The floors in C, built on the spot where a compiler is there: blocked eventfds, and ZeroMQ's own library.

import { execFile } from 'node:child_process';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { type Figures, parseFigures } from './figures.js';

const run = promisify(execFile);
const COMPILERS = ['cc', 'gcc', 'clang'];

/** Builds the C source at `path` (below the package) into `dir`; undefined without a compiler or the library. */
export async function buildC(
  path: string,
  dir: string,
  libraries: readonly string[] = [],
): Promise<string | undefined> {
  const target = join(dir, basename(path, '.c'));
  const source = join(PACKAGE_ROOT, path);
  for (const compiler of COMPILERS) {
    try {
      await run(compiler, ['-O2', '-o', target, source, ...libraries.map((library) => `-l${library}`)]);
      return target;
    } catch {
      // not installed, or it lacks the library: try the next, report none
    }
  }
  return undefined;
}

export interface EventfdFloor {
  /** Blocked, two processes on two cores, back to back: the "C" of the bars. */
  readonly oneWayNs: Figures;
  readonly sameCoreNs: Figures;
  /** Each round after 3 ms of nothing. */
  readonly afterIdleNs: Figures;
}

/** `cores` counts the processors; with one only, both processes share it. */
export async function eventfdFloor(program: string, cores: number, rounds: number): Promise<EventfdFloor> {
  const other = cores > 1 ? '1' : '0';
  const measure = async (...args: string[]): Promise<Figures> =>
    parseFigures((await run(program, args, { timeout: DEADLINE_MS.floorRun })).stdout);
  return {
    oneWayNs: await measure(String(rounds), '0', other, '0'),
    sameCoreNs: await measure(String(rounds), '0', '0', '0'),
    afterIdleNs: await measure('300', '0', other, '3000'),
  };
}

export async function libzmqFloor(program: string, socketPath: string, rounds: number): Promise<Figures> {
  const { stdout } = await run(program, [String(rounds), `ipc://${socketPath}`], { timeout: DEADLINE_MS.floorRun });
  return parseFigures(stdout);
}
