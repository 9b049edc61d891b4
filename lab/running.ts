// Whether a lab runs in a directory, for commands that need one: the same sentence and status everywhere.
import { UserError } from '../lib/core/errors.js';
import { isRunning } from '../lib/node/process/run-dir.js';

const NEEDED = ['hypervisor', 'xenstored'] as const;

/** Throws UserError when what every lab has does not run there. */
export function requireLab(runDir: string): void {
  const missing = NEEDED.filter((server) => !isRunning(runDir, server));
  if (missing.length === NEEDED.length) {
    throw new UserError(`no lab runs in ${runDir}: start one with xenwire up, or name its --run-dir`);
  }
  if (missing[0] !== undefined) {
    throw new UserError(`no ${missing[0]} runs in ${runDir}: start one with xenwire ${missing[0]} --run-dir ${runDir}`);
  }
}
