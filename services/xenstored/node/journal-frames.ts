// Frames of the store's file: {length, checksum, records}, each record with its length in front, filled up with zeros to a
// multiple of four bytes. The file goes on with zeros behind the last frame. Frames are put there by copying into a
// mapping: once stored, the bytes are the kernel's and outlive the process, as if they had been handed over in a call
// that costs several times as much. Leaves to journal-file.ts what records say and when the file is written anew.
import { ftruncateSync, writeSync } from 'node:fs';
import { STORE_JOURNAL_WINDOW } from '../../../lib/core/limits.js';
import { allocateFile, mapFile, PAGE_SIZE, type RawMapping } from '../../../lib/node/files/libc.js';

const FRAME_HEADER = 8;
const LENGTH = 4;
const WORD = 4;

const roundUp = (value: number, to: number): number => Math.ceil(value / to) * to;

/**
 * FNV-1a over words: finds a frame that was cut or damaged; the run directory is its owner's alone, so no frame is forged. Any change within
 * one word changes it.
 */
function checksum(words: Int32Array, from: number, to: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ (words[at] as number), 0x01000193);
  return hash;
}

/** Records of one frame to be. */
export class FrameBuffer {
  #bytes = Buffer.allocUnsafeSlow(1 << 16);
  #words = new Int32Array(this.#bytes.buffer);
  #end = FRAME_HEADER;

  add(record: string): void {
    const need = this.#end + LENGTH + record.length;
    if (need + WORD > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(roundUp(Math.max(need + WORD, this.#bytes.length * 2), WORD));
      this.#bytes.copy(larger, 0, 0, this.#end);
      this.#bytes = larger;
      this.#words = new Int32Array(larger.buffer);
    }
    this.#bytes.writeUInt32LE(record.length, this.#end);
    this.#bytes.write(record, this.#end + LENGTH, 'latin1');
    this.#end = need;
  }

  get empty(): boolean {
    return this.#end === FRAME_HEADER;
  }

  /** The whole frame, valid until the next record; the buffer is empty from here on. */
  take(): Buffer {
    const size = roundUp(this.#end, WORD);
    this.#bytes.fill(0, this.#end, size);
    this.#words[0] = size - FRAME_HEADER;
    this.#words[1] = checksum(this.#words, FRAME_HEADER / WORD, size / WORD);
    this.#end = FRAME_HEADER;
    return this.#bytes.subarray(0, size);
  }

  /** Writes the frame to the end of a file opened for appending; returns its bytes. */
  write(fd: number): number {
    if (this.empty) return 0;
    const frame = this.take();
    for (let at = 0; at < frame.length; ) at += writeSync(fd, frame, at, frame.length - at);
    return frame.length;
  }
}

/** A file of frames that grows at its end, through a window of memory. */
export class FrameFile {
  readonly #fd: number;
  /** Bytes of frames. */
  #size: number;
  #window: RawMapping | undefined;
  #bytes = new Uint8Array(0);
  #words = new Int32Array(0);
  /** Where the window begins in the file. */
  #base = 0;

  /** `size`: where the last good frame ends; what stands behind it is cut off. */
  constructor(fd: number, size: number) {
    this.#fd = fd;
    this.#size = size;
    ftruncateSync(fd, size);
  }

  get size(): number {
    return this.#size;
  }

  /** Puts a frame behind the others. Throws LibcError when there is no room for it; then nothing has changed. */
  append(frame: Buffer): void {
    let at = this.#size - this.#base;
    if (at + frame.length > this.#bytes.length) {
      this.#moveWindow(frame.length);
      at = this.#size - this.#base;
    }
    // The length goes last: a frame that a killed process left unfinished has none.
    this.#bytes.set(frame.subarray(WORD), at + WORD);
    Atomics.store(this.#words, at / WORD, frame.length - FRAME_HEADER);
    this.#size += frame.length;
  }

  #moveWindow(need: number): void {
    const base = this.#size - (this.#size % PAGE_SIZE);
    const length = roundUp(this.#size - base + Math.max(need, STORE_JOURNAL_WINDOW), PAGE_SIZE);
    allocateFile(this.#fd, length, base);
    const window = mapFile(this.#fd, length, true, base);
    this.#unmap();
    this.#window = window;
    this.#base = base;
    this.#bytes = new Uint8Array(window.buffer);
    this.#words = new Int32Array(window.buffer);
  }

  #unmap(): void {
    this.#bytes = new Uint8Array(0);
    this.#words = new Int32Array(0);
    this.#window?.unmap();
    this.#window = undefined;
  }

  /** Lets go of the memory and of the room behind the last frame; the descriptor stays its owner's. */
  close(): void {
    this.#unmap();
    ftruncateSync(this.#fd, this.#size);
  }
}

/** The records of each good frame and where it ends; stops before the first that is cut or damaged. */
export function* readFrames(file: Uint8Array): Generator<{ readonly records: string[]; readonly end: number }> {
  // A copy begins on a word, wherever the file's bytes did.
  const bytes = Buffer.from(new Uint8Array(file).buffer);
  const words = new Int32Array(bytes.buffer, 0, Math.floor(bytes.length / WORD));
  for (let at = 0; bytes.length - at >= FRAME_HEADER; ) {
    const length = bytes.readUInt32LE(at);
    const end = at + FRAME_HEADER + length;
    if (length === 0 || length % WORD !== 0 || end > bytes.length) return;
    if (checksum(words, (at + FRAME_HEADER) / WORD, end / WORD) !== bytes.readInt32LE(at + LENGTH)) return;
    yield { records: recordsOf(bytes.subarray(at + FRAME_HEADER, end)), end };
    at = end;
  }
}

/** True when nothing but room for further frames stands behind `end`. */
export function onlyZerosBehind(file: Uint8Array, end: number): boolean {
  return file.subarray(end).every((byte) => byte === 0);
}

function recordsOf(bytes: Buffer): string[] {
  const records: string[] = [];
  for (let at = 0; at + LENGTH <= bytes.length; ) {
    const end = at + LENGTH + bytes.readUInt32LE(at);
    records.push(bytes.toString('latin1', at + LENGTH, end));
    at = end;
  }
  return records;
}
