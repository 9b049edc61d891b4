// Where this package lies: bundled code runs from dist/, tests from build/, both below it.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function find(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'proto', 'bus.proto'))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error('the package has lost its proto/ folder');
    dir = parent;
  }
  return dir;
}

/** Absolute path of the folder with package.json and proto/. */
export const PACKAGE_ROOT = find();
