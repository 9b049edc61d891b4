// The preloaded library of dom0 programs (native/, docs/dom0-programs.md): built with the machine's C compiler when it is first
// needed in a run directory, and the environment that makes a program use it.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../lib/core/errors.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { runPaths } from '../lib/node/process/run-dir.js';

const SOURCES = join(PACKAGE_ROOT, 'native');
const COMPILERS = ['cc', 'gcc', 'clang'];
const FLAGS = ['-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread'];

/** Path of the library, which stays in the run directory. Throws UserError without a compiler, or when it refuses. */
export function preloadLibrary(runDir: string): string {
  const target = runPaths.preload(runDir);
  if (existsSync(target)) return target;
  const sources = readdirSync(SOURCES).filter((name) => name.endsWith('.c'));
  const fresh = `${target}.${process.pid}`;
  for (const compiler of COMPILERS) {
    try {
      execFileSync(compiler, [...FLAGS, '-o', fresh, ...sources, '-ldl'], {
        cwd: SOURCES,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      const { stderr } = error as { stderr?: Buffer };
      throw new UserError(
        `${compiler} cannot build ${SOURCES}: ${
          String(stderr ?? error)
            .trim()
            .split('\n')[0]
        }`,
      );
    }
    renameSync(fresh, target); // another command may build it at the same time
    return target;
  }
  throw new UserError(`a dom0 program needs a C compiler to be run: none of ${COMPILERS.join(', ')} is installed`);
}

/** What a dom0 program finds the lab's devices and store by. `token`: path of the file that proves its domain. */
export function dom0Environment(runDir: string, token: string = runPaths.dom0Token(runDir)): Record<string, string> {
  const before = process.env['LD_PRELOAD'];
  const library = preloadLibrary(runDir);
  return {
    LD_PRELOAD: before === undefined || before === '' ? library : `${library}:${before}`,
    XENWIRE_DEVICES: runPaths.devices(runDir),
    XENWIRE_TOKEN_FILE: token,
    XENSTORED_PATH: runPaths.store(runDir),
    // The library asks the kernel to end the program with this process.
    XENWIRE_DIES_WITH: String(process.pid),
  };
}
