// PNG files in and out. What a user names is checked before it is decoded: a size limit, then whether it is a PNG.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { PNG } from 'pngjs';
import { errorMessage, UserError } from '../../core/errors.js';
import { IMAGE_FILE_BYTES_MAX } from '../../core/limits.js';
import type { Picture } from '../../core/picture.js';

/** The first bytes of every PNG (PNG specification 5.2). */
const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const IHDR_WIDTH_AT = 16;
const IHDR_HEIGHT_AT = 20;

function readImageFile(path: string): Buffer {
  let bytes: Buffer;
  try {
    const { size } = statSync(path);
    if (size > IMAGE_FILE_BYTES_MAX) {
      throw new UserError(`${path} has ${size} bytes; an image has at most ${IMAGE_FILE_BYTES_MAX}`);
    }
    bytes = readFileSync(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read the image ${path}: ${errorMessage(error)}`);
  }
  if (bytes.length < IHDR_HEIGHT_AT + 4 || !bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
    throw new UserError(`${path} is not a PNG image`);
  }
  return bytes;
}

/** Width and height without decoding the pixels. Throws UserError when the file cannot be a PNG. */
export function pngSize(path: string): { width: number; height: number } {
  const bytes = readImageFile(path);
  return { width: bytes.readUInt32BE(IHDR_WIDTH_AT), height: bytes.readUInt32BE(IHDR_HEIGHT_AT) };
}

/** Throws UserError when the file is missing, too large, or no PNG. */
export function readPng(path: string): Picture {
  const bytes = readImageFile(path);
  try {
    const { width, height, data } = PNG.sync.read(bytes);
    return { width, height, rgba: data };
  } catch (error) {
    throw new UserError(`${path} is not a PNG image: ${errorMessage(error)}`);
  }
}

/** Quick rather than small: these files live for one run. */
export function writePng(path: string, { width, height, rgba }: Picture): void {
  const image = new PNG({ width, height });
  image.data = Buffer.from(rgba.buffer, rgba.byteOffset, rgba.length);
  writeFileSync(path, PNG.sync.write(image, { deflateLevel: 1, filterType: 0 }));
}
