// The preloaded library of dom0 programs (native/, docs/dom0-programs.md): as `npm run build` has made it, or built with the
// machine's C compiler when it is first needed in a run directory; and the environment that makes a program use it.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../lib/core/errors.js';
import { PACKAGE_ROOT } from '../lib/node/process/package-root.js';
import { runPaths } from '../lib/node/process/run-dir.js';

const SOURCES = join(PACKAGE_ROOT, 'native');
/** Made by scripts/build.mjs where there is a compiler; not part of the package, as it is for the machine that built it. */
const BUILT = join(PACKAGE_ROOT, 'dist', 'native', 'dom0-preload.so');
/** Of native/build.sh, and of the shell. */
const NO_COMPILER = 127;

/** Path of the library, which stays in the run directory when it is built there. Throws UserError without a compiler, or when it refuses. */
export function preloadLibrary(runDir: string): string {
  if (isCurrent(BUILT)) return BUILT;
  const target = runPaths.preload(runDir);
  if (existsSync(target)) return target;
  const fresh = `${target}.${process.pid}`;
  try {
    execFileSync(join(SOURCES, 'build.sh'), [fresh], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    const { status, stderr } = error as { status?: number | null; stderr?: Buffer };
    if (status === NO_COMPILER)
      throw new UserError('a dom0 program needs a C compiler to be run: none of cc, gcc, clang is installed');
    const [first] = String(stderr ?? error)
      .trim()
      .split('\n');
    throw new UserError(`the C compiler cannot build ${SOURCES}: ${first}`);
  }
  renameSync(fresh, target); // another command may build it at the same time
  return target;
}

/** Whether the library is there, and newer than what it is made of. */
function isCurrent(library: string): boolean {
  const made = statSync(library, { throwIfNoEntry: false })?.mtimeMs;
  if (made === undefined) return false;
  return readdirSync(SOURCES).every((name) => statSync(join(SOURCES, name)).mtimeMs <= made);
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
