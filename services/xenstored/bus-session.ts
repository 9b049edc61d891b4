// A client on the bus: requests out of one stream, replies and events into the other, in the order the store has them.
// The client has as much ahead of it as a window holds (lib/xenstore/bus-stream.ts); past that, messages wait in the store
// under the bounds that hold for a client of the socket. Pure: the peer, and how to get another turn, are given.
import type { Peer } from '../../lib/core/bus.js';
import {
  STORE_BUS_REQUESTS_MAX,
  STORE_BUS_WINDOW,
  STORE_OUTBOX_BYTES_MAX,
  STORE_OUTBOX_BYTES_PAUSE,
  STORE_REQUESTS_PER_TURN,
} from '../../lib/core/limits.js';
import type { StoreMessage } from '../../lib/core/proto-types.js';
import { XENSTORE_PAYLOAD_MAX, XS, type XsdError, type XsMessage } from '../../lib/layout/xs-wire.js';
import { fromBusMessage, messageBytes, toBusMessage } from '../../lib/xenstore/bus-stream.js';
import type { Connection } from './connection.js';
import type { Store } from './store.js';

/** What a request is answered that was under way when its domain was released. */
const RELEASED: XsdError = 'EIO';

export interface BusSessionOptions {
  readonly store: Store;
  /** Before anything leaves: what it acknowledges must be written. */
  readonly beforeSend: () => void;
  /** The session has something to send. */
  readonly onOutput: (session: BusSession) => void;
  /** Gives the session another turn() after all others had theirs. */
  readonly later: (session: BusSession) => void;
}

export class BusSession {
  readonly peer: Peer;
  readonly #options: BusSessionOptions;
  #connection: Connection;
  /** Requests without a reply, oldest first. */
  readonly #unanswered: { readonly reqId: number; readonly txId: number }[] = [];
  /** Those of them that the store has not been given. */
  readonly #requests: XsMessage[] = [];
  /** Bytes that the client was sent and has not taken. */
  #ahead = 0;

  constructor(peer: Peer, options: BusSessionOptions) {
    this.peer = peer;
    this.#options = options;
    this.#connection = this.#connect();
  }

  #connect(): Connection {
    const { peer } = this;
    const { store, onOutput } = this.#options;
    const hooks = { name: peer.name, onOutput: () => onOutput(this), onDropped: () => this.#released() };
    return peer.domid === 0 ? store.connectPrivileged(hooks) : store.connectGuest(peer.domid, hooks);
  }

  /** Takes a message of the client's stream. A client that breaks the stream's rules is dropped. */
  receive(body: StoreMessage): void {
    if (body.payload.length > XENSTORE_PAYLOAD_MAX) {
      this.peer.drop(`it announced ${body.payload.length} bytes of payload`);
      return;
    }
    if (this.#unanswered.length === STORE_BUS_REQUESTS_MAX) {
      this.peer.drop(`it has more than ${STORE_BUS_REQUESTS_MAX} requests without a reply`);
      return;
    }
    if (this.#connection.closed) this.#connection = this.#connect();
    const request = fromBusMessage(body);
    const { reqId, txId } = request;
    this.#options.store.points.served(this.peer, request);
    this.#unanswered.push({ reqId, txId });
    this.#requests.push(request);
    this.turn();
  }

  /** The client took so many bytes: as many more may follow. */
  taken(bytes: number): void {
    if (bytes > this.#ahead) {
      this.peer.drop(`it says that it took ${bytes} bytes of ${this.#ahead}`);
      return;
    }
    this.#ahead -= bytes;
    this.flush();
  }

  /** Does some of the requests that wait, and sends what may be sent. */
  turn(): void {
    const { store } = this.#options;
    let done = 0;
    while (done < this.#requests.length && done < STORE_REQUESTS_PER_TURN && this.#mayGoOn()) {
      store.receive(this.#connection, this.#requests[done++] as XsMessage);
    }
    this.#requests.splice(0, done);
    this.flush();
  }

  #mayGoOn(): boolean {
    return !this.#connection.closed && this.#connection.outbox.bytes < STORE_OUTBOX_BYTES_PAUSE;
  }

  /** Sends as much of what waits as the window has room for; the rest waits on, and identical events merge. */
  flush(): void {
    const { beforeSend, later } = this.#options;
    if (this.#connection.outbox.count > 0 && this.#ahead < STORE_BUS_WINDOW) {
      beforeSend();
      for (const { message, done } of this.#connection.outbox.takeUpTo(STORE_BUS_WINDOW - this.#ahead)) {
        this.#send(message);
        done();
      }
    }
    if (this.#connection.outbox.bytes > STORE_OUTBOX_BYTES_MAX) this.peer.drop('it does not read');
    else if (this.#requests.length > 0 && this.#mayGoOn()) later(this);
  }

  #send(message: XsMessage): void {
    this.#ahead += messageBytes(message);
    this.#options.store.points.sending(this.peer, message);
    if (message.type !== XS.XS_WATCH_EVENT) this.#unanswered.shift();
    this.peer.emit('XenstoreEvents', 'message', toBusMessage(message));
  }

  /** The domain was released, and with it what it had asked. Its next request makes a new connection. */
  #released(): void {
    this.#requests.length = 0;
    for (const { reqId, txId } of [...this.#unanswered]) {
      this.#send({ type: XS.XS_ERROR, reqId, txId, payload: `${RELEASED}\0` });
    }
  }

  /** The peer is gone. */
  end(): void {
    this.#requests.length = 0;
    this.#options.store.close(this.#connection);
  }
}
