// Looks at busy clients' sockets directly, without a turn of the event loop for each message: a client that waits for its
// reply sends its next request a few microseconds after it. Bounded in time, so that all else in the process goes on;
// gives the core away while nothing comes, and stops at once when somebody else needs it. Leaves idle clients, ends and
// errors to the event loop, which watches the same descriptors.
import { POLLFD_SIZE, POLLIN, pollNow, receiveNow, schedYield } from '../../../lib/node/libc.js';

/** Time since a client's last message after which the event loop is enough for it. */
const BUSY_MS = 1;
/** How long to look for the next message, and how long of that without giving the core away. */
const WINDOW_MS = 0.03;
const EAGER_MS = 0.004;
/** The longest that anything else in this process waits for its turn. */
const TURN_MS = 0.5;
/** A yield that took longer had somebody else running: they need the core more, for a while. */
const YIELD_LONG_MS = 0.05;
const BACK_OFF_MS = 5;
/** Looking at more descriptors one by one costs more than asking for all at once. */
const ONE_BY_ONE_MAX = 2;
const CHUNK_BYTES = 65536;

export interface SpinClient {
  readonly fd: number;
  /** Bytes may be taken from it now. */
  readonly readable: boolean;
  /** Takes bytes, which are the caller's again when it returns. */
  take(bytes: Buffer): void;
}

export class SocketSpin {
  /** Busy clients and when each was last heard. */
  readonly #busy = new Map<SpinClient, number>();
  readonly #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #pollFds = Buffer.alloc(POLLFD_SIZE * 16);
  #backOffUntil = 0;
  #running = false;
  #scheduled = false;

  /** The event loop read from a client: others of its kind may follow at once. */
  heard(client: SpinClient): void {
    if (client.fd < 0) return;
    const now = performance.now();
    this.#busy.set(client, now);
    if (!this.#running && now >= this.#backOffUntil) this.#schedule();
  }

  forget(client: SpinClient): void {
    this.#busy.delete(client);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#spin();
    });
  }

  #spin(): void {
    const start = performance.now();
    for (const [client, last] of this.#busy) if (start - last > BUSY_MS) this.#busy.delete(client);
    this.#running = true;
    let last = start;
    for (;;) {
      const took = this.#look();
      const now = performance.now();
      if (took) last = now;
      else if (this.#busy.size === 0 || now - last > WINDOW_MS) break;
      else if (now - last > EAGER_MS) {
        schedYield();
        const after = performance.now();
        if (after - now > YIELD_LONG_MS) {
          this.#backOffUntil = after + BACK_OFF_MS;
          break;
        }
      }
      if (now - start > TURN_MS) {
        this.#schedule();
        break;
      }
    }
    this.#running = false;
  }

  /** Takes from every busy client what it has; true when one had something. */
  #look(): boolean {
    const clients = [...this.#busy.keys()];
    const ready = clients.length > ONE_BY_ONE_MAX ? this.#ready(clients) : clients;
    let took = false;
    for (const client of ready) {
      if (!client.readable) continue;
      const count = receiveNow(client.fd, this.#chunk);
      if (count > 0) {
        took = true;
        this.#busy.set(client, performance.now());
        client.take(this.#chunk.subarray(0, count));
      } else if (count === 0) this.#busy.delete(client);
    }
    return took;
  }

  #ready(clients: readonly SpinClient[]): SpinClient[] {
    const size = clients.length * POLLFD_SIZE;
    if (this.#pollFds.length < size) this.#pollFds = Buffer.alloc(size * 2);
    clients.forEach((client, index) => {
      this.#pollFds.writeInt32LE(client.fd, index * POLLFD_SIZE);
      this.#pollFds.writeInt32LE(POLLIN, index * POLLFD_SIZE + 4);
    });
    if (pollNow(this.#pollFds, clients.length) <= 0) return [];
    return clients.filter((_, index) => (this.#pollFds.readInt16LE(index * POLLFD_SIZE + 6) & POLLIN) !== 0);
  }
}
