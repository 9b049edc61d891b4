// The store on a unix socket, as unmodified Xen programs use it: xs_wire messages in chunks of any size. Every client is
// dom0, as it is with the daemon. Leaves what messages mean to the store.
//
// A program that replaces this one in its process (live-update.ts) goes on with the listening socket and the clients'.
//
// No client makes another wait: requests are done a bounded number at a time, in turn; a client that does not read its
// replies is not read from, and one that lets events pile up past a bound is dropped.
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, Socket } from 'node:net';
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
import { sendNow, setInherited } from '../../../lib/node/libc.js';
import { type DecodeText, encodeMessage, MessageReader, writeHeader } from '../../../lib/xenstore/framing.js';
import type { Connection } from '../connection.js';
import type { LiveConnection } from '../live-state.js';
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

/** What Node does not tell of a socket by its own interface. */
function handleOf(socket: Socket | Server): { readonly fd?: unknown; readonly writeQueueSize?: unknown } {
  return (socket as unknown as { _handle?: object })._handle ?? {};
}

/** The descriptor of a socket, -1 where this version of Node does not tell: then the event loop does all. */
function descriptorOf(socket: Socket | Server): number {
  const { fd } = handleOf(socket);
  return typeof fd === 'number' ? fd : -1;
}

export class SocketClient implements SpinClient {
  readonly socket: Socket;
  fd: number;
  readonly #transport: SocketTransport;
  readonly #connection: Connection;
  readonly #reader = new MessageReader(decodeText);
  /** Requests read and not done. */
  readonly #requests: XsMessage[] = [];
  /** What was begun to be sent and is not gone. Undefined: nothing, the stream can be given more. */
  #unsent: { readonly bytes: Buffer; readonly begun: number } | undefined;
  #ended = false;

  constructor(socket: Socket, transport: SocketTransport, name: string) {
    this.socket = socket;
    this.fd = descriptorOf(socket);
    this.#transport = transport;
    this.#connection = transport.options.store.connectPrivileged({
      name,
      outlivesProgram: this.fd >= 0,
      onOutput: () => transport.dirty.add(this),
      onDropped: () => this.end(),
    });
    socket.on('data', (chunk) => {
      this.take(chunk);
      transport.spin.heard(this);
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
    if (this.#unsent !== undefined) {
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

  /**
   * The first `begun` bytes end a message of which the rest has left before. Goes past the stream when nothing waits in
   * it: half of what a request costs is the stream's.
   */
  #write(bytes: Buffer, begun = 0): void {
    const direct = this.fd >= 0 && this.socket.writableLength === 0;
    const sent = direct ? Math.max(0, sendNow(this.fd, bytes, bytes.length)) : 0;
    if (sent === bytes.length) return;
    // A copy: the stream keeps what it cannot send now. It also finds out about errors. One at a time, so that at any
    // moment it is known how much of it has left.
    const copy = Buffer.from(bytes);
    this.#unsent = { bytes: copy, begun };
    this.socket.write(copy.subarray(sent), () => {
      this.#unsent = undefined;
      this.flush();
      this.turn();
    });
  }

  get connection(): Connection {
    return this.#connection;
  }

  /** All that another program needs to go on with this client; nothing changes here. Undefined: it just ended. */
  state(): Pick<LiveConnection, 'wire' | 'input' | 'output' | 'begun'> | undefined {
    // What a paused stream had read already.
    const read = this.socket.read() as Buffer | null;
    if (read !== null) {
      try {
        this.#reader.push(read, (message) => this.#requests.push(message));
      } catch {
        this.end();
      }
    }
    if (this.#ended) return undefined;
    const { inbox, waiting } = this.#connection;
    const unsent = this.#unsentNow();
    return {
      wire: { kind: 'socket', fd: this.fd },
      input: Buffer.concat([...inbox.map(encodeMessage), ...this.#requests.map(encodeMessage), this.#reader.rest]),
      output: Buffer.concat([unsent.bytes, ...waiting.map(encodeMessage)]),
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
    new MessageReader(decodeText).push(output.subarray(begun), (message) => this.#connection.reply(message));
    this.socket.resume();
    if (input.length > 0) this.take(Buffer.from(input));
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
  /** Not made by us: the file does not go with the server. */
  #adopted = false;

  constructor(options: SocketTransportOptions) {
    this.options = options;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = STORE_SOCKETS_MAX;
  }

  /**
   * Listens: on the socket of the program before us where there was one. A socket file that a dead process left is
   * replaced, anything else in its place is not.
   */
  async listen(adopted = -1): Promise<void> {
    const { path } = this.options;
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
      throw new UserError(`socket path ${path} is too long: at most ${SOCKET_PATH_BYTES_MAX} bytes`);
    }
    this.#adopted = adopted >= 0;
    if (this.#adopted) setInherited(adopted, false);
    else await makeWay(path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => {
        reject(new UserError(`cannot listen on ${path}: ${errorMessage(error)}`));
      });
      const where = this.#adopted ? { fd: adopted } : { path };
      this.#server.listen({ ...where, backlog: STORE_SOCKETS_MAX }, resolve);
    });
    if (!this.#adopted) chmodSync(path, 0o600);
  }

  /** The listening socket, for the program after us. */
  get fd(): number {
    return descriptorOf(this.#server);
  }
  get clients(): Iterable<SocketClient> {
    return this.#clients;
  }

  /** A client of the program before us. It is not read from before resume(). */
  adopt(fd: number): SocketClient {
    setInherited(fd, false);
    const options = { fd, readable: true, writable: true, pauseOnCreate: true };
    const client = new SocketClient(new Socket(options), this, `socket-${++this.#count}`);
    this.#clients.add(client);
    return client;
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
    if (this.#adopted) rmSync(this.options.path, { force: true });
  }
}
