// Pictures as PNG files, written whole or not at all.
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { PNG } from 'pngjs';
import { ErrnoError, errorMessage } from '../../../lib/core/errors.js';
import type { Picture } from '../pixels.js';

let serial = 0;

/** Compression runs off this thread, so that guests are served meanwhile. Throws EIO when the file cannot be written. */
export async function writePng(path: string, { width, height, rgba }: Picture): Promise<void> {
  // The first compression level and one filter for all rows: somebody waits for it, nobody keeps it.
  const png = new PNG({ width, height, deflateLevel: 1, filterType: 1, inputHasAlpha: true, colorType: 2 });
  png.data = Buffer.from(rgba.buffer, rgba.byteOffset, rgba.byteLength);
  const fresh = `${path}.${process.pid}.${serial++}`;
  try {
    await pipeline(png.pack(), createWriteStream(fresh, { flags: 'wx' }));
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true });
    throw new ErrnoError('EIO', `cannot write ${path}: ${errorMessage(error)}`, { cause: error });
  }
}
