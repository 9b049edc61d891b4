// The store over the bus: a peer is a connection; a request's reply is the answer of its call; events are StoreEvents.
// Leaves what messages mean to the store.
//
// Order matters to clients: events caused by a request go before its reply, a new watch's first event after it. A reply
// leaves when the call's handler returns, so what must follow it is sent from the next turn of the event loop, or before
// the next request of the same peer is looked at.
import type { Peer } from '../../../lib/core/bus.js';
import { ErrnoError, ProtocolError } from '../../../lib/core/errors.js';
import type { History } from '../../../lib/core/history.js';
import type { StoreMessage } from '../../../lib/core/proto-types.js';
import type { BusServer } from '../../../lib/core/service.js';
import { XENSTORE_PAYLOAD_MAX, XS, type XsMessage } from '../../../lib/layout/xs-wire.js';
import { fromBusMessage, toBusMessage } from '../../../lib/xenstore/bus-client.js';
import { eventStep, requestStep } from '../../../lib/xenstore/steps.js';
import type { Connection } from '../connection.js';
import type { Store } from '../store.js';

interface LateCall {
  resolve(reply: StoreMessage): void;
  reject(error: Error): void;
}

/** Messages of one peer on their way out. */
class PeerSession {
  readonly connection: Connection;
  readonly #peer: Peer;
  readonly #history: History;
  readonly #beforeSend: () => void;
  #waiting: XsMessage[] = [];
  /** Calls whose reply did not come before their handler had to return, oldest first. */
  readonly #late: LateCall[] = [];
  /** A reply was just handed to the bus and leaves this turn: nothing may overtake it. */
  #replyLeaves = false;

  constructor(peer: Peer, history: History, beforeSend: () => void, connect: (session: PeerSession) => Connection) {
    this.#peer = peer;
    this.#history = history;
    this.#beforeSend = beforeSend;
    this.connection = connect(this);
  }

  /** Handles a call; the reply at once when the store has it and no earlier call waits. */
  request(store: Store, message: XsMessage): StoreMessage | Promise<StoreMessage> {
    if (this.#late.length > 0 || this.#replyLeaves) {
      const late = this.#callLater();
      store.receive(this.connection, message);
      this.flush();
      return late;
    }
    store.receive(this.connection, message);
    this.#collect();
    this.#emitEvents();
    const reply = this.#waiting.shift();
    if (reply === undefined) return this.#callLater();
    this.#holdBack();
    return toBusMessage(reply);
  }

  #callLater(): Promise<StoreMessage> {
    return new Promise((resolve, reject) => this.#late.push({ resolve, reject }));
  }

  /** Sends what may be sent now. */
  flush(): void {
    this.#collect();
    while (!this.#replyLeaves && this.#waiting.length > 0) {
      this.#emitEvents();
      const reply = this.#waiting[0];
      const late = reply === undefined ? undefined : this.#late.shift();
      if (reply === undefined || late === undefined) return;
      this.#waiting.shift();
      late.resolve(toBusMessage(reply));
      this.#holdBack();
    }
  }

  #collect(): void {
    if (this.connection.outboxCount === 0) return;
    this.#beforeSend();
    this.#waiting.push(...this.connection.take());
  }

  #emitEvents(): void {
    while (this.#waiting[0]?.type === XS.XS_WATCH_EVENT) {
      const event = this.#waiting.shift() as XsMessage;
      this.#history.step(`${eventStep(event)} to ${this.#peer.name}`, 0, 0, this.#peer.domid);
      this.#peer.emit('XenstoreEvents', 'watch_event', toBusMessage(event));
    }
  }

  #holdBack(): void {
    this.#replyLeaves = true;
    setImmediate(() => {
      this.#replyLeaves = false;
      this.flush();
    });
  }

  end(): void {
    for (const { reject } of this.#late.splice(0)) reject(new ErrnoError('EIO', 'the domain was released'));
  }
}

export interface BusTransportOptions {
  readonly store: Store;
  readonly server: BusServer;
  readonly history: History;
  /** Before anything leaves: what it acknowledges must be written. */
  readonly beforeSend: () => void;
  /** Requests were done: connections of other transports may have something to send. */
  readonly afterRequests: () => void;
}

/** Serves the Xenstore service; returns what runs when outboxes of its connections may have filled. */
export function serveBus(options: BusTransportOptions): () => void {
  const { store, server, history, beforeSend, afterRequests } = options;
  const sessions = new Map<Peer, PeerSession>();
  const dirty = new Set<PeerSession>();

  const open = (peer: Peer): PeerSession => {
    const session = new PeerSession(peer, history, beforeSend, (made) => {
      const hooks = {
        name: peer.name,
        onOutput: () => dirty.add(made),
        onDropped: () => {
          sessions.delete(peer);
          made.end();
        },
      };
      return peer.domid === 0 ? store.connectPrivileged(hooks) : store.connectGuest(peer.domid, hooks);
    });
    sessions.set(peer, session);
    return session;
  };

  // Connections are made as peers come, not at their first request: events are told in that order.
  server.onPeer((peer) => {
    open(peer);
    peer.onClose(() => {
      const session = sessions.get(peer);
      sessions.delete(peer);
      if (session !== undefined) store.close(session.connection);
    });
  });
  const flush = (): void => {
    for (const session of dirty) {
      dirty.delete(session);
      session.flush();
    }
  };
  server.handle('Xenstore', {
    request(message, peer) {
      if (message.payload.length > XENSTORE_PAYLOAD_MAX) {
        throw new ProtocolError('payload-too-long', `${message.payload.length} bytes of payload`);
      }
      const request = fromBusMessage(message);
      history.step(`serve ${requestStep(request)}`, message.req_id, message.tx_id, peer.domid);
      const session = sessions.get(peer) ?? open(peer);
      const reply = session.request(store, request);
      dirty.delete(session);
      flush();
      afterRequests();
      return reply;
    },
  });
  return flush;
}
