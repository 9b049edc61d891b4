// Bytes and text: xenstore and tokens treat strings as bytes, so each char code 0..255 stands for one byte (latin1).
// Leaves UTF-8 to lib/node, where text for people is written.
import { assert } from './errors.js';

/** The bytes of a string whose char codes are all below 256. */
export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    assert(code < 256, 'latin1Bytes takes byte strings only');
    bytes[i] = code;
  }
  return bytes;
}

const CHUNK = 4096;

/** The byte string of some bytes; never fails, whatever they are. */
export function latin1Text(bytes: Uint8Array): string {
  if (bytes.length <= CHUNK) return String.fromCharCode(...bytes);
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return text;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
