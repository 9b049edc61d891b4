// The options that say what a guest is made of: its configuration and its picture. Read and checked before anything starts.
import { join, resolve } from 'node:path';
import { UserError } from '../../lib/core/errors.js';
import type { Picture } from '../../lib/core/picture.js';
import { readGivenFile } from '../../lib/node/files/given.js';
import { readPng } from '../../lib/node/files/png.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { type GuestConfig, parseGuestConfig } from '../../toolstack/guest-config.js';

export const DEFAULT_CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
export const DEFAULT_IMAGE = join(PACKAGE_ROOT, 'examples', 'test-card.png');

/** Far above any configuration of one guest. */
const CONFIG_BYTES_MAX = 1 << 20;

/** Reads a configuration file; its warnings go to standard error. Throws UserError. */
export function readConfig(path: string): GuestConfig {
  const text = readGivenFile(path, 'the configuration', CONFIG_BYTES_MAX).toString('latin1');
  return parseGuestConfig(text, path, (sentence) => process.stderr.write(`xenwire: warning: ${sentence}\n`));
}

export interface GivenImage {
  /** Absolute. */
  readonly path: string;
  readonly picture: Picture;
}

/** An image with its pixels, so that a file which is none is found out before anything starts. Throws UserError. */
export function readImage(path: string): GivenImage {
  const absolute = resolve(path);
  const picture = readPng(absolute);
  if (picture.width === 0 || picture.height === 0) throw new UserError(`${path} is an empty picture`);
  return { path: absolute, picture };
}
