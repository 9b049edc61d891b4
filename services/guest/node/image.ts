// The picture that a user names: a PNG file, read and decoded within bounds. What is wrong with it is said in one sentence.
import { readFileSync, statSync } from 'node:fs';
import { PNG } from 'pngjs';
import { errorMessage, UserError } from '../../../lib/core/errors.js';
import { IMAGE_FILE_BYTES_MAX } from '../../../lib/core/limits.js';
import type { Picture } from '../workload.js';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Where IHDR has width and height (PNG 11.2.1): behind signature, length and type. */
const IHDR_WIDTH = 16;
const IHDR_HEIGHT = 20;
const IHDR_END = 24;

/** Throws UserError. `pixelsMax` bounds what is decoded: a small file can claim a picture of any size. */
export function readPicture(path: string, pixelsMax: number): Picture {
  let file: Buffer;
  try {
    const { size } = statSync(path);
    if (size > IMAGE_FILE_BYTES_MAX) {
      throw new UserError(`${path} has ${size} bytes; a picture has at most ${IMAGE_FILE_BYTES_MAX}`);
    }
    file = readFileSync(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new UserError(`there is no picture ${path}`);
    throw new UserError(`cannot read the picture ${path}: ${errorMessage(error)}`);
  }
  if (file.length < IHDR_END || !file.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
    throw new UserError(`${path} is no PNG file`);
  }
  const width = file.readUInt32BE(IHDR_WIDTH);
  const height = file.readUInt32BE(IHDR_HEIGHT);
  if (width * height > pixelsMax) {
    throw new UserError(`${path} has ${width}x${height} pixels, which the memory of no domain of this size can hold`);
  }
  try {
    const { data } = PNG.sync.read(file);
    return { width, height, rgba: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  } catch (error) {
    throw new UserError(`${path} is no PNG file that can be read: ${errorMessage(error)}`);
  }
}
