// What a bare start of Node takes on this machine: the unit in which starts and recoveries are told (docs/start.md).
import { execFileSync } from 'node:child_process';

/** Milliseconds of one `node -e 0`. */
export function nodeStartMs(): number {
  const start = performance.now();
  execFileSync(process.execPath, ['-e', '0']);
  return performance.now() - start;
}
