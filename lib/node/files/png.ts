// PNG files in and out: the only place that loads pngjs. A file may be anything a user named, so its kind, its bytes and its
// pixels are checked before it is decoded: a small file can claim a picture of any size.
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { inflateSync } from 'node:zlib';
import { PNG } from 'pngjs';
import { ErrnoError, errorMessage, UserError } from '../../core/errors.js';
import { IMAGE_FILE_BYTES_MAX, IMAGE_PIXELS_MAX } from '../../core/limits.js';
import type { Picture } from '../../core/picture.js';
import { readGivenFile } from './given.js';

/** The first bytes of every PNG (PNG specification 5.2). */
const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Where the first chunk, IHDR, has its fields (PNG specification 11.2.2), and where the second chunk begins. */
const IHDR_WIDTH_AT = 16;
const IHDR_HEIGHT_AT = 20;
const IHDR_INTERLACE_AT = 28;
const IHDR_END = 33;
/** A chunk: length, type, data, checksum. */
const CHUNK_DATA_AT = 8;
const CHUNK_OVERHEAD = 12;
/** Bytes of a pixel at the most: four channels of sixteen bits. */
const PIXEL_BYTES_MAX = 8;

function readImageFile(path: string): Buffer {
  const bytes = readGivenFile(path, 'the picture', IMAGE_FILE_BYTES_MAX);
  if (bytes.length < IHDR_END || !bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE))
    throw new UserError(`${path} is not a PNG image`);
  return bytes;
}

function sizeOf(bytes: Buffer): { width: number; height: number } {
  return { width: bytes.readUInt32BE(IHDR_WIDTH_AT), height: bytes.readUInt32BE(IHDR_HEIGHT_AT) };
}

/** Width and height without decoding the pixels. Throws UserError when the file cannot be a PNG. */
export function pngSize(path: string): { width: number; height: number } {
  return sizeOf(readImageFile(path));
}

/** pngjs bounds what it unpacks of a plain picture by its size, but not of an interlaced one. Throws RangeError. */
function checkInterlaced(bytes: Buffer): void {
  const { width, height } = sizeOf(bytes);
  const data: Buffer[] = [];
  for (let at = SIGNATURE.length; at + CHUNK_OVERHEAD <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + CHUNK_DATA_AT);
    if (type === 'IDAT') data.push(bytes.subarray(at + CHUNK_DATA_AT, at + CHUNK_DATA_AT + length));
    at += length + CHUNK_OVERHEAD;
  }
  // Each of the seven passes has a filter byte a row.
  inflateSync(Buffer.concat(data), { maxOutputLength: (width * PIXEL_BYTES_MAX + 7) * height + 1 });
}

/** Throws UserError when the file is missing, no PNG, or of more than `pixelsMax` pixels. */
export function readPng(path: string, pixelsMax = IMAGE_PIXELS_MAX): Picture {
  const bytes = readImageFile(path);
  const { width, height } = sizeOf(bytes);
  if (width * height > pixelsMax)
    throw new UserError(`${path} has ${width}x${height} pixels; at most ${pixelsMax} can be shown`);
  try {
    if (bytes[IHDR_INTERLACE_AT] !== 0) checkInterlaced(bytes);
    const { data } = PNG.sync.read(bytes);
    return { width, height, rgba: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  } catch (error) {
    throw new UserError(`${path} is not a PNG image: ${errorMessage(error)}`);
  }
}

/** The bytes of a PNG of a small picture, at once. */
export function pngOf({ width, height, rgba }: Picture): Uint8Array {
  const png = new PNG({ width, height });
  png.data = Buffer.from(rgba.buffer, rgba.byteOffset, rgba.byteLength);
  return PNG.sync.write(png);
}

let serial = 0;

/**
 * Writes the picture whole or not at all; opaque ones without alpha. It is packed off this thread, so that the process
 * serves its peers meanwhile: `rgba` must not change until this resolves. Rejects with ErrnoError EIO.
 */
export async function writePng(path: string, { width, height, rgba }: Picture): Promise<void> {
  // The first compression level and one filter for all rows: quick rather than small, these files live for one run.
  const colorType = isOpaque(rgba) ? 2 : 6;
  const png = new PNG({ width, height, deflateLevel: 1, filterType: 1, inputHasAlpha: true, colorType });
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

function isOpaque(rgba: Uint8Array): boolean {
  for (let at = 3; at < rgba.length; at += 4) if (rgba[at] !== 255) return false;
  return true;
}
