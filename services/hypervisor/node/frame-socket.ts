// One connection of a program with the preloaded library: frames until it is an open file, then bytes as the program reads and
// writes them. Leaves what frames mean to dev-connection.ts.
import { ProtocolError } from '../../../lib/core/errors.js';
import { DEV_BACKLOG_BYTES_MAX } from '../../../lib/core/limits.js';
import { DEV_FRAME_HEADER, DEV_FRAME_PAYLOAD_MAX } from '../../../lib/layout/ours/dev-wire.js';
import type { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { FdSocket } from '../../../lib/node/files/unix-fds.js';

export interface Frame {
  readonly kind: number;
  /** Signed. */
  readonly result: number;
  readonly a: bigint;
  readonly b: bigint;
  readonly c: bigint;
  readonly d: bigint;
  readonly e: bigint;
  readonly payload: Uint8Array;
  /** The receiver's. */
  readonly fds: readonly OwnedFd[];
}

export interface FrameSocketEvents {
  onFrame(frame: Frame): void;
  /** Bytes of an open file, once streams() was called. */
  onBytes(bytes: Uint8Array): void;
  /** Once; not after close(). */
  onEnd(): void;
}

const CHUNK = 4096;
/** Reads in one turn of the event loop, so that one program that does not rest keeps no other waiting. */
const READS_PER_TURN = 64;

export class FrameSocket {
  readonly #socket: FdSocket;
  readonly #events: FrameSocketEvents;
  readonly #header = new Uint8Array(DEV_FRAME_HEADER.size);
  #payload: Uint8Array | undefined;
  #filled = 0;
  #fds: OwnedFd[] = [];
  #streams = false;
  readonly #outgoing: { bytes: Uint8Array; fd: OwnedFd | undefined }[] = [];
  #backlog = 0;
  #closed = false;
  #later: NodeJS.Immediate | undefined;

  /** Takes over `fd`. */
  constructor(fd: OwnedFd, events: FrameSocketEvents) {
    this.#events = events;
    this.#socket = new FdSocket(fd, { onReady: () => this.poll() });
  }

  /** From now on the other end is an open file. */
  streams(): void {
    this.#streams = true;
  }

  /** Sends a frame; `fd` is closed once it has left. */
  sendFrame(fields: Partial<Omit<Frame, 'fds'>> & { kind: number }, fd?: OwnedFd): void {
    const payload = fields.payload ?? new Uint8Array(0);
    const bytes = new Uint8Array(DEV_FRAME_HEADER.size + payload.length);
    const { kind, result = 0, a = 0n, b = 0n, c = 0n, d = 0n, e = 0n } = fields;
    const length = BigInt(payload.length);
    DEV_FRAME_HEADER.encode({ kind, result: result >>> 0, length, a, b, c, d, e, f: 0n }, bytes);
    bytes.set(payload, DEV_FRAME_HEADER.size);
    this.send(bytes, fd);
  }

  send(bytes: Uint8Array, fd?: OwnedFd): void {
    if (this.#closed) {
      fd?.close();
      return;
    }
    this.#outgoing.push({ bytes, fd });
    this.#backlog += bytes.length;
    this.#flush();
    if (this.#backlog > DEV_BACKLOG_BYTES_MAX) this.#end();
  }

  /** Takes what has come. */
  poll(): void {
    this.#flush();
    try {
      for (let count = 0; !this.#closed && this.#readSome(); count++) {
        if (count < READS_PER_TURN) continue;
        this.#later ??= setImmediate(() => {
          this.#later = undefined;
          this.poll();
        });
        return;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#end();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearImmediate(this.#later);
    for (const fd of this.#fds.splice(0)) fd.close();
    for (const { fd } of this.#outgoing.splice(0)) fd?.close();
    this.#socket.close();
  }

  #end(): void {
    if (this.#closed) return;
    this.close();
    this.#events.onEnd();
  }

  #flush(): void {
    for (let next = this.#outgoing[0]; next !== undefined && !this.#closed; next = this.#outgoing[0]) {
      const count = this.#socket.write(next.bytes, next.fd === undefined ? [] : [next.fd.fd]);
      if (count === 'end') {
        this.#end();
        return;
      }
      if (count === 0) return; // SIGIO tells when there is room
      next.fd?.close();
      next.fd = undefined;
      this.#backlog -= count;
      next.bytes = next.bytes.subarray(count);
      if (next.bytes.length === 0) this.#outgoing.shift();
    }
  }

  #readSome(): boolean {
    const target = this.#streams ? new Uint8Array(CHUNK) : (this.#payload ?? this.#header).subarray(this.#filled);
    const got = this.#socket.read(target);
    if (got === undefined) return false;
    if (got === 'end') {
      this.#end();
      return false;
    }
    this.#fds.push(...got.fds);
    if (this.#streams) {
      for (const fd of this.#fds.splice(0)) fd.close();
      this.#events.onBytes(target.subarray(0, got.count));
      return true;
    }
    this.#filled += got.count;
    if (this.#filled < (this.#payload ?? this.#header).length) return true;
    this.#filled = 0;
    if (this.#payload === undefined) {
      const { length } = DEV_FRAME_HEADER.decode(this.#header);
      if (length > DEV_FRAME_PAYLOAD_MAX) throw new ProtocolError('size', `a payload of ${length} bytes`);
      this.#payload = new Uint8Array(Number(length));
      if (length > 0n) return true;
    }
    const payload = this.#payload;
    this.#payload = undefined;
    const { kind, result, a, b, c, d, e } = DEV_FRAME_HEADER.decode(this.#header);
    this.#events.onFrame({ kind, result: result | 0, a, b, c, d, e, payload, fds: this.#fds.splice(0) });
    return true;
  }
}
