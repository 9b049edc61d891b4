// The store on a unix socket, as unmodified Xen programs use it: xs_wire messages in chunks of any size. Every client is
// dom0, as it is with the daemon. Leaves what messages mean to the store.
//
// No client makes another wait: requests are done a bounded number at a time, in turn; a client that does not read its
// replies is not read from, and one that lets events pile up past a bound is dropped.
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { errorMessage, ProtocolError, UserError } from '../../../lib/core/errors.js';
import {
  SOCKET_PATH_BYTES_MAX,
  STORE_OUTBOX_BYTES_MAX,
  STORE_OUTBOX_BYTES_PAUSE,
  STORE_REQUESTS_PER_TURN,
  STORE_SOCKETS_MAX,
} from '../../../lib/core/limits.js';
import type { Log } from '../../../lib/core/log.js';
import { XSD_SOCKMSG, type XsMessage } from '../../../lib/layout/xs-wire.js';
import { sendNow } from '../../../lib/node/libc.js';
import { type DecodeText, MessageReader, writeHeader } from '../../../lib/xenstore/framing.js';
import type { Connection } from '../connection.js';
import type { Store } from '../store.js';
import { SocketSpin, type SpinClient } from './socket-spin.js';

const HEADER = XSD_SOCKMSG.size;

/** Chunks of a socket are Buffers. */
const decodeText: DecodeText = (bytes, start, end) => asBuffer(bytes).toString('latin1', start, end);

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Most replies fit, and are gone when the next is encoded. */
const scratch = Buffer.allocUnsafeSlow(65536);
const scratchView = new DataView(scratch.buffer);

/** Messages one behind the other, as they go over the wire; valid until the next call. */
function encodeAll(messages: readonly XsMessage[]): Buffer {
  let size = 0;
  for (const { payload } of messages) size += HEADER + payload.length;
  const small = size <= scratch.length;
  const bytes = small ? scratch.subarray(0, size) : Buffer.allocUnsafeSlow(size);
  const view = small ? scratchView : new DataView(bytes.buffer);
  let at = 0;
  for (const message of messages) {
    writeHeader(view, at, message);
    bytes.write(message.payload, at + HEADER, 'latin1');
    at += HEADER + message.payload.length;
  }
  return bytes;
}

export interface SocketTransportOptions {
  readonly store: Store;
  readonly path: string;
  readonly log: Log;
  /** Something came: poll for a while. */
  readonly onActivity: () => void;
  /** Before anything leaves: what it acknowledges must be written. */
  readonly beforeSend: () => void;
  /** Requests were done: connections of other transports may have something to send. */
  readonly afterRequests: () => void;
}

/** The descriptor of a socket, -1 where this version of Node does not tell: then the event loop does all. */
function descriptorOf(socket: Socket): number {
  const { fd } = (socket as unknown as { _handle?: { fd?: unknown } })._handle ?? {};
  return typeof fd === 'number' ? fd : -1;
}

class SocketClient implements SpinClient {
  readonly socket: Socket;
  fd: number;
  readonly #transport: SocketTransport;
  readonly #connection: Connection;
  readonly #reader = new MessageReader(decodeText);
  /** Requests read and not done. */
  readonly #requests: XsMessage[] = [];
  #canWrite = true;
  #ended = false;

  constructor(socket: Socket, transport: SocketTransport, name: string) {
    this.socket = socket;
    this.fd = descriptorOf(socket);
    this.#transport = transport;
    this.#connection = transport.options.store.connectPrivileged({
      name,
      onOutput: () => transport.dirty.add(this),
      onDropped: () => this.end(),
    });
    socket.on('data', (chunk) => {
      this.take(chunk);
      transport.spin.heard(this);
    });
    socket.on('drain', () => {
      this.#canWrite = true;
      this.flush();
      this.turn();
    });
    socket.on('error', () => this.end());
    socket.on('close', () => this.end());
  }

  get readable(): boolean {
    return !this.#ended && !this.socket.isPaused();
  }

  take(chunk: Buffer): void {
    this.#transport.options.onActivity();
    try {
      this.#reader.push(chunk, (message) => this.#requests.push(message));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // What came before it is still answered, as far as the socket takes it at once.
      this.#transport.options.log.warn({ client: this.#connection.name, error: error.message }, 'dropped a client');
      this.turn();
      this.end();
      return;
    }
    this.turn();
  }

  /** Does some of the requests read. */
  turn(): void {
    const { store } = this.#transport.options;
    let done = 0;
    while (done < STORE_REQUESTS_PER_TURN && this.#mayGoOn()) {
      store.receive(this.#connection, this.#requests[done++] as XsMessage);
      if (done === this.#requests.length) break;
    }
    this.#requests.splice(0, done);
    this.#transport.flush();
    if (this.#ended) return;
    if (this.#requests.length === 0) {
      if (this.socket.isPaused()) this.socket.resume();
      return;
    }
    if (!this.socket.isPaused()) this.socket.pause();
    if (this.#mayGoOn()) this.#transport.later(this);
  }

  /** Not while replies wait for a client that does not read, nor while the store itself has requests waiting. */
  #mayGoOn(): boolean {
    if (this.#ended || this.#requests.length === 0 || this.#connection.inbox.length > 0) return false;
    return this.#connection.outboxBytes + this.socket.writableLength < STORE_OUTBOX_BYTES_PAUSE;
  }

  /** Sends what waits, unless the socket is full: then it waits on, and identical events merge. */
  flush(): void {
    if (this.#ended || this.#connection.outboxCount === 0) return;
    if (!this.#canWrite) {
      if (this.#connection.outboxBytes > STORE_OUTBOX_BYTES_MAX) {
        this.#transport.options.log.warn({ client: this.#connection.name }, 'dropped a client that does not read');
        this.end();
      }
      return;
    }
    this.#write(encodeAll(this.#connection.take()));
    // A request that had waited inside the store may have been answered.
    if (this.#requests.length > 0) this.#transport.later(this);
  }

  /** Past the stream when nothing waits in it: half of what a request costs is the stream's. */
  #write(bytes: Buffer): void {
    const direct = this.fd >= 0 && this.socket.writableLength === 0;
    const sent = direct ? Math.max(0, sendNow(this.fd, bytes, bytes.length)) : 0;
    // A copy: the stream keeps what it cannot send now. It also finds out about errors.
    if (sent < bytes.length) this.#canWrite = this.socket.write(Buffer.from(bytes.subarray(sent)));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    // The number may soon be somebody else's.
    this.fd = -1;
    this.#transport.spin.forget(this);
    this.#transport.forget(this);
    this.#transport.options.store.close(this.#connection);
    this.socket.destroy();
    this.#transport.flush();
  }
}

/** Removes the socket that a dead process left; throws UserError for one that somebody serves, and for anything else. */
async function makeWay(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) throw new UserError(`${path} is there and is no socket`);
  const served = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => resolve(true));
    probe.once('error', () => resolve(false));
    probe.once('close', () => resolve(false));
    probe.once('connect', () => probe.destroy());
  });
  if (served) throw new UserError(`${path} is served by another process`);
  rmSync(path, { force: true });
}

export class SocketTransport {
  readonly options: SocketTransportOptions;
  readonly dirty = new Set<SocketClient>();
  readonly spin = new SocketSpin();
  readonly #clients = new Set<SocketClient>();
  readonly #later = new Set<SocketClient>();
  readonly #server: Server;
  #count = 0;
  #scheduled = false;

  private constructor(options: SocketTransportOptions) {
    this.options = options;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = STORE_SOCKETS_MAX;
  }

  /** Listens; a socket file that a dead process left is replaced, anything else in its place is not. */
  static async listen(options: SocketTransportOptions): Promise<SocketTransport> {
    const transport = new SocketTransport(options);
    const { path } = options;
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
      throw new UserError(`socket path ${path} is too long: at most ${SOCKET_PATH_BYTES_MAX} bytes`);
    }
    await makeWay(path);
    await new Promise<void>((resolve, reject) => {
      transport.#server.once('error', (error) => {
        reject(new UserError(`cannot listen on ${path}: ${errorMessage(error)}`));
      });
      transport.#server.listen({ path, backlog: STORE_SOCKETS_MAX }, resolve);
    });
    chmodSync(path, 0o600);
    return transport;
  }

  #accept(socket: Socket): void {
    this.options.onActivity();
    this.#clients.add(new SocketClient(socket, this, `socket-${++this.#count}`));
  }

  /** Sends what waits for socket clients, and lets other transports do so. */
  flush(): void {
    if (this.dirty.size > 0) {
      this.options.beforeSend();
      for (const client of this.dirty) {
        this.dirty.delete(client);
        client.flush();
      }
    }
    this.options.afterRequests();
  }

  /** Gives a client another turn after all others had theirs. */
  later(client: SocketClient): void {
    this.#later.add(client);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const clients = [...this.#later];
      this.#later.clear();
      for (const next of clients) next.turn();
    });
  }

  forget(client: SocketClient): void {
    this.#clients.delete(client);
    this.#later.delete(client);
    this.dirty.delete(client);
  }

  async close(): Promise<void> {
    for (const client of [...this.#clients]) client.end();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
