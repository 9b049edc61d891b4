// The options that say what a guest is made of: its configuration and its picture. Read and checked before anything starts.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { errorMessage, UserError } from '../../lib/core/errors.js';
import { pngSize } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { type GuestConfig, parseGuestConfig } from '../../toolstack/guest-config.js';

export const DEFAULT_CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
export const DEFAULT_IMAGE = join(PACKAGE_ROOT, 'examples', 'test-card.png');

/** Far above any configuration that somebody wrote. */
const CONFIG_BYTES_MAX = 1 << 20;

/** Reads a configuration file; its warnings go to standard error. Throws UserError. */
export function readConfig(path: string): GuestConfig {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (error) {
    throw new UserError(`cannot read the configuration ${path}: ${errorMessage(error)}`);
  }
  if (text.length > CONFIG_BYTES_MAX) throw new UserError(`${path} is too large for a configuration`);
  return parseGuestConfig(text, path, (sentence) => process.stderr.write(`xenwire: warning: ${sentence}\n`));
}

/** The absolute path of an image that is one, as far as its header tells. Throws UserError. */
export function checkedImage(path: string): string {
  const absolute = resolve(path);
  const { width, height } = pngSize(absolute);
  if (width === 0 || height === 0) throw new UserError(`${path} is an empty picture`);
  return absolute;
}
