// Byte stream to xenstore messages and back. Chunks may be of any size and cut anywhere; a length is checked before any
// byte of its payload is kept. Leaves sockets and rings to the transports, and what a message means to its receiver.
import { concatBytes, latin1Bytes, latin1Text } from '../core/bytes.js';
import { ProtocolError } from '../core/errors.js';
import { XENSTORE_PAYLOAD_MAX, XSD_SOCKMSG, type XsMessage } from '../layout/xs-wire.js';

const HEADER = XSD_SOCKMSG.size;
const AT = XSD_SOCKMSG.offset;

/** Turns bytes [start, end) into a byte string; lib/node has a faster one than the default. */
export type DecodeText = (bytes: Uint8Array, start: number, end: number) => string;

const decodeText: DecodeText = (bytes, start, end) => latin1Text(bytes.subarray(start, end));

/** Where a reader stopped: between messages, inside a header, inside a payload, or for good. */
export type ReaderState = 'idle' | 'header' | 'payload' | 'broken';

const NOTHING = new Uint8Array(0);
const NOTHING_VIEW = new DataView(NOTHING.buffer);

/**
 * Collects messages out of chunks. Keeps at most one message's bytes. A header that announces more than the limit
 * throws ProtocolError('payload-too-long') after everything before it was delivered; nothing can follow it.
 */
export class MessageReader {
  readonly #decode: DecodeText;
  /** Room for one message, made with the first that comes in pieces: most clients of a thousand never send one. */
  #kept = NOTHING;
  #keptView = NOTHING_VIEW;
  #keptCount = 0;
  #broken = false;

  constructor(decode: DecodeText = decodeText) {
    this.#decode = decode;
  }

  get state(): ReaderState {
    if (this.#broken) return 'broken';
    if (this.#keptCount === 0) return 'idle';
    return this.#keptCount < HEADER ? 'header' : 'payload';
  }

  /** The bytes of an unfinished message, to go on with in another reader. */
  get rest(): Uint8Array {
    return this.#kept.slice(0, this.#keptCount);
  }

  /** True when the first `count` bytes of a chunk would begin a message and not end it. */
  isFragment(chunk: Uint8Array, count: number): boolean {
    if (this.#keptCount > 0 || this.#broken) return false;
    if (count < HEADER) return true;
    const at = AT.len;
    const length =
      (chunk[at] as number) |
      ((chunk[at + 1] as number) << 8) |
      ((chunk[at + 2] as number) << 16) |
      ((chunk[at + 3] as number) << 24);
    return length >>> 0 <= XENSTORE_PAYLOAD_MAX && count < HEADER + length;
  }

  /** Takes a chunk, which it does not keep, and calls `onMessage` for each message completed, in order. */
  push(chunk: Uint8Array, onMessage: (message: XsMessage) => void): void {
    if (this.#broken) throw tooLong();
    let at = 0;
    if (this.#keptCount > 0) {
      at = this.#fill(chunk, 0, HEADER);
      if (this.#keptCount < HEADER) return;
      const size = HEADER + this.#checkLength(this.#keptView, 0);
      at = this.#fill(chunk, at, size);
      if (this.#keptCount < size) return;
      this.#keptCount = 0;
      onMessage(this.#message(this.#kept, this.#keptView, 0, size));
    }
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    while (chunk.length - at >= HEADER) {
      const end = at + HEADER + this.#checkLength(view, at);
      if (end > chunk.length) break;
      onMessage(this.#message(chunk, view, at, end));
      at = end;
    }
    if (at < chunk.length) this.#fill(chunk, at, HEADER + XENSTORE_PAYLOAD_MAX);
  }

  /** Keeps bytes of the chunk until `upTo` are kept; returns how far in the chunk that went. */
  #fill(chunk: Uint8Array, at: number, upTo: number): number {
    const take = Math.min(upTo - this.#keptCount, chunk.length - at);
    if (take > 0) {
      if (this.#kept === NOTHING) {
        this.#kept = new Uint8Array(HEADER + XENSTORE_PAYLOAD_MAX);
        this.#keptView = new DataView(this.#kept.buffer);
      }
      this.#kept.set(chunk.subarray(at, at + take), this.#keptCount);
      this.#keptCount += take;
    }
    return at + Math.max(take, 0);
  }

  #checkLength(view: DataView, at: number): number {
    const length = view.getUint32(at + AT.len, true);
    if (length > XENSTORE_PAYLOAD_MAX) {
      this.#broken = true;
      throw tooLong();
    }
    return length;
  }

  #message(bytes: Uint8Array, view: DataView, at: number, end: number): XsMessage {
    return {
      type: view.getUint32(at + AT.type, true),
      reqId: view.getUint32(at + AT.req_id, true),
      txId: view.getUint32(at + AT.tx_id, true),
      payload: this.#decode(bytes, at + HEADER, end),
    };
  }
}

function tooLong(): ProtocolError {
  return new ProtocolError('payload-too-long', `a payload of more than ${XENSTORE_PAYLOAD_MAX} bytes was announced`);
}

/** Writes a header at `at` of `view`; `length` is that of the payload that follows. */
export function writeHeader(view: DataView, at: number, message: XsMessage): void {
  view.setUint32(at + AT.type, message.type, true);
  view.setUint32(at + AT.req_id, message.reqId, true);
  view.setUint32(at + AT.tx_id, message.txId, true);
  view.setUint32(at + AT.len, message.payload.length, true);
}

/** Bytes of one message on the wire. */
export function encodeMessage(message: XsMessage): Uint8Array {
  const header = new Uint8Array(HEADER);
  writeHeader(new DataView(header.buffer), 0, message);
  return concatBytes([header, latin1Bytes(message.payload)]);
}
