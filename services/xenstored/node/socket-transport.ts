// The store on a unix socket, as unmodified Xen programs use it: xs_wire messages in chunks of any size. Every client is
// dom0, as it is with the daemon. Listens, and shares turns out between clients; leaves each of them to socket-client.ts.
//
// A program that replaces this one in its process (live-update.ts) goes on with the listening socket and the clients'.
//
// No client makes another wait: requests are done a bounded number at a time, in turn; a client that does not read its
// replies is not read from, and one that lets events pile up past a bound is dropped.
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, Socket } from 'node:net';
import { errorMessage, UserError } from '../../../lib/core/errors.js';
import { SOCKET_PATH_BYTES_MAX, STORE_SOCKETS_MAX } from '../../../lib/core/limits.js';
import type { Log } from '../../../lib/core/log.js';
import { setInherited } from '../../../lib/node/files/libc.js';
import type { Store } from '../store.js';
import { descriptorOf, SocketClient, type SocketHost } from './socket-client.js';
import { SocketSpin } from './socket-spin.js';

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

/** Removes the socket that a dead process left; throws UserError for one that a living process serves, and for anything else. */
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
  readonly #options: SocketTransportOptions;
  readonly #host: SocketHost;
  readonly #spin: SocketSpin;
  /** With something to send; no Set, which makes itself smaller, and larger again, with each request. */
  readonly #dirty: SocketClient[] = [];
  readonly #clients = new Set<SocketClient>();
  readonly #later = new Set<SocketClient>();
  readonly #server: Server;
  #count = 0;
  #scheduled = false;
  /** Not made by us: the file does not go with the server. */
  #adopted = false;

  constructor(options: SocketTransportOptions) {
    this.#options = options;
    this.#spin = new SocketSpin(options.onActivity);
    this.#host = {
      store: options.store,
      log: options.log,
      onActivity: options.onActivity,
      hasOutput: (client) => {
        if (client.isDirty) return;
        client.isDirty = true;
        this.#dirty.push(client);
      },
      flush: () => this.flush(),
      later: (client) => this.#giveTurn(client),
      heard: (client) => this.#spin.heard(client),
      forget: (client) => this.#forget(client),
    };
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = STORE_SOCKETS_MAX;
  }

  /**
   * Listens: on the socket of the program before us where there was one. A socket file that a dead process left is
   * replaced, anything else in its place is not.
   */
  async listen(adopted = -1): Promise<void> {
    const { path } = this.#options;
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
    const client = new SocketClient(new Socket(options), this.#host, `socket-${++this.#count}`);
    this.#clients.add(client);
    return client;
  }

  #accept(socket: Socket): void {
    this.#options.onActivity();
    this.#clients.add(new SocketClient(socket, this.#host, `socket-${++this.#count}`));
  }

  /** Sends what waits for socket clients, and lets other transports do so. */
  flush(): void {
    if (this.#dirty.length > 0) {
      this.#options.beforeSend();
      // Taken out one by one: a client that ends flushes the others itself, and what that answers may make more of them join.
      for (let client = this.#dirty.shift(); client !== undefined; client = this.#dirty.shift()) {
        client.isDirty = false;
        client.flush();
      }
    }
    this.#options.afterRequests();
  }

  #giveTurn(client: SocketClient): void {
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

  #forget(client: SocketClient): void {
    this.#spin.forget(client);
    this.#clients.delete(client);
    this.#later.delete(client);
  }

  async close(): Promise<void> {
    for (const client of [...this.#clients]) client.end();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (this.#adopted) rmSync(this.#options.path, { force: true });
  }
}
