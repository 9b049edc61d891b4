// One client of the unix socket: bytes in and out, as many requests at a time as are its turn, and what it needs to go on
// in the program that a live update starts. Leaves listening to socket-transport.ts and what messages mean to the store.
import type { Server, Socket } from 'node:net';
import { ProtocolError } from '../../../lib/core/errors.js';
import { STORE_OUTBOX_BYTES_MAX, STORE_OUTBOX_BYTES_PAUSE, STORE_REQUESTS_PER_TURN } from '../../../lib/core/limits.js';
import type { Log } from '../../../lib/core/log.js';
import { XSD_SOCKMSG, type XsMessage } from '../../../lib/layout/xs-wire.js';
import { fixedBytes, sendNow } from '../../../lib/node/files/libc.js';
import { type DecodeText, encodeMessage, MessageReader, writeHeader } from '../../../lib/xenstore/framing.js';
import type { Connection } from '../connection.js';
import type { LiveConnection } from '../live-state.js';
import type { Store } from '../store.js';
import type { SpinClient } from './socket-spin.js';

const HEADER = XSD_SOCKMSG.size;

/** Chunks of a socket are Buffers. */
const decodeText: DecodeText = (bytes, start, end) => asBuffer(bytes).toString('latin1', start, end);

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Most replies fit, and are gone when the next is encoded. */
const scratch = fixedBytes(65536);
const scratchView = new DataView(scratch.bytes.buffer);

/** Writes messages one behind the other, as they go over the wire. */
function encodeInto(bytes: Buffer, view: DataView, messages: readonly XsMessage[]): void {
  let at = 0;
  for (const message of messages) {
    writeHeader(view, at, message);
    bytes.write(message.payload, at + HEADER, 'latin1');
    at += HEADER + message.payload.length;
  }
}

/** What Node does not tell of a socket by its own interface. */
function handleOf(socket: Socket | Server): { readonly fd?: unknown; readonly writeQueueSize?: unknown } {
  return (socket as unknown as { _handle?: object })._handle ?? {};
}

/** The descriptor of a socket, -1 where this version of Node does not tell: then the event loop does all. */
export function descriptorOf(socket: Socket | Server): number {
  const { fd } = handleOf(socket);
  return typeof fd === 'number' ? fd : -1;
}

/** What a client needs of the transport that accepted it. */
export interface SocketHost {
  readonly store: Store;
  readonly log: Log;
  /** Something came: poll for a while. */
  onActivity(): void;
  /** The client has something to send. */
  hasOutput(client: SocketClient): void;
  /** Sends what waits, of all clients. */
  flush(): void;
  /** Gives a client another turn after all others had theirs. */
  later(client: SocketClient): void;
  /** The event loop read from it. */
  heard(client: SocketClient): void;
  /** It ended. */
  forget(client: SocketClient): void;
}

export class SocketClient implements SpinClient {
  readonly socket: Socket;
  fd: number;
  /** The transport's: it is among those with something to send. */
  isDirty = false;
  readonly #host: SocketHost;
  readonly #connection: Connection;
  readonly #reader = new MessageReader(decodeText);
  readonly #onMessage = (message: XsMessage): void => this.#receive(message);
  /** Requests read and not done. */
  readonly #requests: XsMessage[] = [];
  /** Requests done in this turn. */
  #done = 0;
  /** What was begun to be sent and is not gone. Undefined: nothing, the stream can be given more. */
  #unsent: { readonly bytes: Buffer; readonly begun: number } | undefined;
  #ended = false;

  constructor(socket: Socket, host: SocketHost, name: string) {
    this.socket = socket;
    this.fd = descriptorOf(socket);
    this.#host = host;
    this.#connection = host.store.connectPrivileged({
      name,
      outlivesProgram: this.fd >= 0,
      onOutput: () => host.hasOutput(this),
      onDropped: () => this.end(),
    });
    socket.on('data', (chunk: Buffer) => {
      host.onActivity();
      this.take(chunk);
      host.heard(this);
    });
    socket.on('error', () => this.end());
    socket.on('close', () => this.end());
  }

  get connection(): Connection {
    return this.#connection;
  }
  get readable(): boolean {
    return !this.#ended && !this.socket.isPaused();
  }

  isFragment(chunk: Buffer, count: number): boolean {
    return this.#reader.isFragment(chunk, count);
  }

  take(chunk: Buffer): void {
    this.#done = 0;
    try {
      this.#reader.push(chunk, this.#onMessage);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // What came before it is still answered, as far as the socket takes it at once.
      this.#host.log.warn({ client: this.#connection.name, error: error.message }, 'dropped a client');
      this.#go();
      this.end();
      return;
    }
    this.#go();
  }

  #receive(message: XsMessage): void {
    this.#host.store.points.served(this.#connection, message);
    if (this.#requests.length === 0 && this.#mayGoOn()) {
      this.#done++;
      this.#host.store.receive(this.#connection, message);
    } else this.#requests.push(message);
  }

  /** Does some of the requests that wait. */
  turn(): void {
    this.#done = 0;
    this.#go();
  }

  #go(): void {
    if (this.#requests.length > 0) {
      let taken = 0;
      while (taken < this.#requests.length && this.#mayGoOn()) {
        this.#done++;
        this.#host.store.receive(this.#connection, this.#requests[taken++] as XsMessage);
      }
      this.#requests.splice(0, taken);
    }
    this.#host.flush();
    if (this.#ended) return;
    if (this.#requests.length === 0) {
      if (this.socket.isPaused()) this.socket.resume();
      return;
    }
    if (!this.socket.isPaused()) this.socket.pause();
    this.#done = 0;
    if (this.#mayGoOn()) this.#host.later(this);
  }

  /**
   * Not past its turn, not while replies wait for a client that does not read, nor while the store itself has requests
   * waiting.
   */
  #mayGoOn(): boolean {
    if (this.#ended || this.#done >= STORE_REQUESTS_PER_TURN || this.#connection.inbox.length > 0) return false;
    return this.#connection.outbox.bytes + this.socket.writableLength < STORE_OUTBOX_BYTES_PAUSE;
  }

  /** Sends what waits, unless the socket is full: then it waits on, and identical events merge. */
  flush(): void {
    if (this.#ended || this.#connection.outbox.count === 0) return;
    if (this.#unsent !== undefined) {
      if (this.#connection.outbox.bytes > STORE_OUTBOX_BYTES_MAX) {
        this.#host.log.warn({ client: this.#connection.name }, 'dropped a client that does not read');
        this.end();
      }
      return;
    }
    this.#send(this.#connection.outbox.take());
    // A request that had waited inside the store may have been answered.
    if (this.#requests.length > 0) this.#host.later(this);
  }

  /**
   * Goes past the stream when nothing waits in it: half of what a request costs is the stream's.
   */
  #send(messages: readonly XsMessage[]): void {
    let size = 0;
    for (const message of messages) {
      this.#host.store.points.sending(this.#connection, message);
      size += HEADER + message.payload.length;
    }
    if (size > scratch.bytes.length) {
      const bytes = Buffer.allocUnsafeSlow(size);
      encodeInto(bytes, new DataView(bytes.buffer), messages);
      this.#write(bytes, 0);
      return;
    }
    encodeInto(scratch.bytes, scratchView, messages);
    const direct = this.fd >= 0 && this.socket.writableLength === 0;
    const sent = direct ? Math.max(0, sendNow(this.fd, scratch, size)) : 0;
    // A copy: the stream keeps what it cannot send now.
    if (sent < size) this.#write(Buffer.from(scratch.bytes.subarray(0, size)), 0, sent);
  }

  /**
   * Hands bytes that stay as they are to the stream, which also finds out about errors; the first `sent` have left
   * already. One at a time, so that at any moment it is known how much has left. The first `begun` bytes end a message of
   * which the rest left before.
   */
  #write(bytes: Buffer, begun: number, sent = 0): void {
    this.#unsent = { bytes, begun };
    this.socket.write(bytes.subarray(sent), () => {
      this.#unsent = undefined;
      this.flush();
      this.turn();
    });
  }

  /** All that another program needs to go on with this client; nothing changes here. Undefined: it just ended. */
  state(): Pick<LiveConnection, 'wire' | 'input' | 'output' | 'begun'> | undefined {
    // What a paused stream had read already.
    const read = this.socket.read() as Buffer | null;
    if (read !== null) {
      try {
        this.#reader.push(read, (message) => this.#requests.push(message));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.end();
      }
    }
    if (this.#ended) return undefined;
    const { inbox, outbox } = this.#connection;
    const unsent = this.#unsentNow();
    return {
      wire: { kind: 'socket', fd: this.fd },
      input: Buffer.concat([...inbox.map(encodeMessage), ...this.#requests.map(encodeMessage), this.#reader.rest]),
      output: Buffer.concat([unsent.bytes, ...outbox.waiting.map(encodeMessage)]),
      begun: unsent.begun,
    };
  }

  /** What the kernel has not taken, and how much of it ends a message of which it has some. */
  #unsentNow(): { bytes: Buffer; begun: number } {
    if (this.#unsent === undefined) return { bytes: Buffer.alloc(0), begun: 0 };
    const { bytes, begun } = this.#unsent;
    const sent = bytes.length - Number(handleOf(this.socket).writeQueueSize);
    let end = begun;
    while (end < sent) end += HEADER + bytes.readUInt32LE(end + XSD_SOCKMSG.offset.len);
    return { bytes: bytes.subarray(sent), begun: end - sent };
  }

  /** Goes on where the program before us stopped. */
  resume({ input, output, begun }: LiveConnection): void {
    if (begun > 0) this.#write(Buffer.from(output.subarray(0, begun)), begun);
    new MessageReader(decodeText).push(output.subarray(begun), (message) => this.#connection.outbox.reply(message));
    this.socket.resume();
    if (input.length > 0) this.take(Buffer.from(input));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    // The number may soon be that of another file.
    this.fd = -1;
    this.#host.forget(this);
    this.#host.store.close(this.#connection);
    this.socket.destroy();
    this.#host.flush();
  }
}
