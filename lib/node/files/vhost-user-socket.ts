// vhost-user messages on a unix socket: header, payload, and descriptors that ride with the header's first byte
// (vhost-user.rst, "Communication"). One end of a connection, front-end or back-end. Leaves what messages mean to
// lib/vhost-user, and what descriptors are for to the device.
import { ProtocolError } from '../../core/errors.js';
import { VHOST_USER_MESSAGES_PER_TURN } from '../../core/limits.js';
import { VHOST_USER_HDR } from '../../layout/vhost-user.js';
import { checkHeader, type RawMessage } from '../../vhost-user/messages.js';
import type { OwnedFd } from './owned-fd.js';
import { FdSocket } from './unix-fds.js';

export interface VhostUserSocketEvents {
  /** One message, in order. Its descriptors belong to the receiver. A ProtocolError ends the connection. */
  onMessage(message: RawMessage<OwnedFd>): void;
  /** Once: the peer closed, or broke the framing, or onMessage threw. Not after close(). */
  onEnd(reason: string): void;
}

interface Outgoing {
  readonly bytes: Uint8Array;
  /** Copies, closed once they left. */
  readonly fds: OwnedFd[];
  sent: number;
}

/** Messages that wait for the peer to read; replies are small, so a peer that does not read them is stuck or hostile. */
const OUTGOING_MAX = 64;

/** A message is a header and its payload. */
const READS_PER_TURN = 2 * VHOST_USER_MESSAGES_PER_TURN;

export class VhostUserSocket {
  readonly #socket: FdSocket;
  readonly #events: VhostUserSocketEvents;
  readonly #header = new Uint8Array(VHOST_USER_HDR.size);
  #payload: Uint8Array | undefined;
  #filled = 0;
  #fds: OwnedFd[] = [];
  readonly #outgoing: Outgoing[] = [];
  #closed = false;
  #paused = false;
  #later: NodeJS.Immediate | undefined;

  /** Takes over `fd`. */
  constructor(fd: OwnedFd, events: VhostUserSocketEvents) {
    this.#events = events;
    this.#socket = new FdSocket(fd, { onReady: () => this.#onReady() });
  }

  /** Sends a message with the descriptors' copies; the caller keeps its own. */
  send({ request, flags, payload, handles }: RawMessage<OwnedFd>): void {
    if (this.#closed) return;
    const whole = new Uint8Array(VHOST_USER_HDR.size + payload.length);
    VHOST_USER_HDR.encode({ request, flags, size: payload.length }, whole);
    whole.set(payload, VHOST_USER_HDR.size);
    if (this.#outgoing.length >= OUTGOING_MAX) {
      this.#end('the peer does not read');
      return;
    }
    this.#outgoing.push({ bytes: whole, fds: handles.map((handle) => handle.duplicate()), sent: 0 });
    this.#flush();
  }

  /** No message is delivered, nor read, until resume(). */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#readLater();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearImmediate(this.#later);
    for (const fd of this.#fds.splice(0)) fd.close();
    for (const { fds } of this.#outgoing.splice(0)) for (const fd of fds) fd.close();
    this.#socket.close();
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#events.onEnd(reason);
  }

  #flush(): void {
    for (let next = this.#outgoing[0]; next !== undefined; next = this.#outgoing[0]) {
      const count = this.#socket.write(
        next.bytes.subarray(next.sent),
        next.fds.map(({ fd }) => fd),
      );
      if (count === 'end') {
        this.#end('the peer ended');
        return;
      }
      if (count > 0) for (const fd of next.fds.splice(0)) fd.close();
      next.sent += count;
      if (next.sent < next.bytes.length) return; // SIGIO tells when there is room
      this.#outgoing.shift();
    }
  }

  #onReady(): void {
    if (this.#closed) return;
    this.#flush();
    try {
      for (let count = 0; !this.#closed && !this.#paused && this.#readSome(); count++) {
        if (count < READS_PER_TURN) continue;
        this.#readLater();
        return;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#end(error.message);
    }
  }

  /** The sender does not rest; others have their turn first. */
  #readLater(): void {
    this.#later ??= setImmediate(() => {
      this.#later = undefined;
      this.#onReady();
    });
  }

  /** One read of what the message still lacks, never of the next one: its descriptors would be taken for ours. */
  #readSome(): boolean {
    const target = this.#payload ?? this.#header;
    if (this.#filled < target.length) {
      const got = this.#socket.read(target.subarray(this.#filled));
      if (got === undefined) return false;
      if (got === 'end') {
        this.#end('the peer ended');
        return false;
      }
      this.#takeFds(got.fds);
      this.#filled += got.count;
      if (this.#filled < target.length) return true;
    }
    if (this.#payload === undefined) {
      const { size, ...header } = VHOST_USER_HDR.decode(this.#header);
      checkHeader({ ...header, size });
      this.#payload = new Uint8Array(size);
      this.#filled = 0;
      if (size > 0) return true;
    }
    this.#deliver(this.#payload);
    return true;
  }

  #takeFds(fds: OwnedFd[]): void {
    const first = this.#payload === undefined && this.#filled === 0;
    if (fds.length > 0 && !first) {
      for (const fd of fds) fd.close();
      throw new ProtocolError('handles', 'descriptors came after the first byte of a message');
    }
    this.#fds.push(...fds);
  }

  #deliver(payload: Uint8Array): void {
    const { request, flags } = VHOST_USER_HDR.decode(this.#header);
    this.#payload = undefined;
    this.#filled = 0;
    this.#events.onMessage({ request, flags, payload, handles: this.#fds.splice(0) });
  }
}
