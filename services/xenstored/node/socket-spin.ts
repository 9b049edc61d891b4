// Looks at busy clients' sockets directly, without a turn of the event loop for each message: a client that waits for its
// reply sends its next request a few microseconds after it. Bounded in time, so that all else in the process goes on;
// gives the core away while nothing comes, and stops when somebody else needs it. Leaves idle clients, ends and errors
// to the event loop, which watches the same descriptors.
//
// A request is looked at where it is and taken off the socket only once it is answered. Taking it off frees room in the
// socket, and Linux tells so to whoever sleeps on the other end, a reader too (af_unix.c: unix_write_space): the client
// would wake for nothing, go to sleep again, and be woken once more by the reply. Nor is the beginning of a request
// taken: libxenstore hands over header and payload in two calls, a microsecond apart. One that stays alone is taken by
// the event loop.
import {
  type FixedBytes,
  fixedBytes,
  POLLFD_SIZE,
  POLLIN,
  peekNow,
  pollNow,
  receiveNow,
  schedYield,
} from '../../../lib/node/files/libc.js';

/** Time since a client's last message after which the event loop is enough for it. */
const BUSY_MS = 1;
/** How long to look for the next message, and how long of that without giving the core away. */
const WINDOW_MS = 0.1;
const EAGER_MS = 0.01;
/** The longest that anything else in this process waits for its turn. */
const TURN_MS = 1;
/** A yield that took longer and after which no client has anything had somebody else run: they need the core more. */
const YIELD_LONG_MS = 0.05;
/** How long the event loop does all after such a yield, and after a row of them: now and then it is the host's doing. */
const BACK_OFF_MS = 0.5;
const BACK_OFF_MS_MAX = 8;
/** Looking at more descriptors one by one costs more than asking for all at once. */
const ONE_BY_ONE_MAX = 2;
const CHUNK_BYTES = 65536;

export interface SpinClient {
  /** Negative once it is closed. */
  readonly fd: number;
  /** Bytes may be taken from it now. */
  readonly readable: boolean;
  /** The first `count` bytes are of no use without those that follow. */
  isFragment(bytes: Buffer, count: number): boolean;
  /** Takes bytes, which are the caller's again when it returns. */
  take(bytes: Buffer): void;
}

interface BusyClient {
  readonly client: SpinClient;
  heardMs: number;
}

export class SocketSpin {
  readonly #onActivity: () => void;
  readonly #busy: BusyClient[] = [];
  readonly #chunk = fixedBytes(CHUNK_BYTES);
  #pollFds: FixedBytes = fixedBytes(POLLFD_SIZE * 16);
  /** The table to poll lists exactly the busy clients, in their order. */
  #pollFdsCurrent = false;
  #backOffMs = BACK_OFF_MS;
  #backOffUntilMs = 0;
  #running = false;
  #scheduled = false;

  /** `onActivity`: something came, the event loop should go on being turned for a while. */
  constructor(onActivity: () => void) {
    this.#onActivity = onActivity;
  }

  /** The event loop read from a client: others of its kind may follow at once. */
  heard(client: SpinClient): void {
    if (client.fd < 0) return;
    const now = performance.now();
    const known = this.#busy.find((busy) => busy.client === client);
    if (known !== undefined) known.heardMs = now;
    else {
      this.#busy.push({ client, heardMs: now });
      this.#pollFdsCurrent = false;
    }
    if (!this.#running && now >= this.#backOffUntilMs) this.#schedule();
  }

  forget(client: SpinClient): void {
    const index = this.#busy.findIndex((busy) => busy.client === client);
    if (index >= 0) this.#drop(index);
  }

  #drop(index: number): void {
    this.#busy.splice(index, 1);
    this.#pollFdsCurrent = false;
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
    const startMs = performance.now();
    for (let index = this.#busy.length - 1; index >= 0; index--) {
      if (startMs - (this.#busy[index] as BusyClient).heardMs > BUSY_MS) this.#drop(index);
    }
    this.#running = true;
    let nowMs = startMs;
    let lastMs = startMs;
    while (this.#busy.length > 0) {
      const took = this.#look(nowMs);
      nowMs = performance.now();
      if (took) lastMs = nowMs;
      else if (nowMs - lastMs > WINDOW_MS) break;
      else if (nowMs - lastMs > EAGER_MS) {
        schedYield();
        const afterMs = performance.now();
        // Not when it was our clients who ran.
        if (afterMs - nowMs > YIELD_LONG_MS && !this.#look(afterMs)) {
          this.#backOffUntilMs = afterMs + this.#backOffMs;
          this.#backOffMs = Math.min(this.#backOffMs * 2, BACK_OFF_MS_MAX);
          break;
        }
      }
      if (nowMs - startMs > TURN_MS) {
        this.#backOffMs = BACK_OFF_MS;
        this.#schedule();
        break;
      }
    }
    this.#running = false;
    if (lastMs > startMs) this.#onActivity();
  }

  /** Takes from every busy client what it has; true when one had something. */
  #look(nowMs: number): boolean {
    const one = this.#busy.length <= ONE_BY_ONE_MAX;
    if (!one && !this.#anyReady()) return false;
    let took = false;
    // From the last one on: clients that end leave the list meanwhile, and others keep their places.
    for (let index = this.#busy.length - 1; index >= 0; index--) {
      const busy = this.#busy[index];
      if (busy === undefined) continue;
      if ((one || this.#isReady(index)) && this.#takeFrom(busy, nowMs)) took = true;
    }
    return took;
  }

  #takeFrom(busy: BusyClient, nowMs: number): boolean {
    const { client } = busy;
    if (!client.readable) return false;
    const count = peekNow(client.fd, this.#chunk);
    if (count <= 0) {
      if (count === 0) this.forget(client);
      return false;
    }
    if (client.isFragment(this.#chunk.bytes, count)) return false;
    busy.heardMs = nowMs;
    client.take(this.#chunk.bytes.subarray(0, count));
    if (client.fd >= 0) receiveNow(client.fd, this.#chunk, count);
    return true;
  }

  #anyReady(): boolean {
    if (!this.#pollFdsCurrent) this.#listPollFds();
    return pollNow(this.#pollFds, this.#busy.length) > 0;
  }

  #listPollFds(): void {
    const size = this.#busy.length * POLLFD_SIZE;
    if (this.#pollFds.bytes.length < size) this.#pollFds = fixedBytes(size * 2);
    this.#busy.forEach(({ client }, index) => {
      this.#pollFds.bytes.writeInt32LE(client.fd, index * POLLFD_SIZE);
      this.#pollFds.bytes.writeInt32LE(POLLIN, index * POLLFD_SIZE + 4);
    });
    this.#pollFdsCurrent = true;
  }

  /** As the last poll said. Once a client has left the list, the table does not fit it: the next look asks anew. */
  #isReady(index: number): boolean {
    return this.#pollFdsCurrent && (this.#pollFds.bytes.readInt16LE(index * POLLFD_SIZE + 6) & POLLIN) !== 0;
  }
}
