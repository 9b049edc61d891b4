// The store over the bus: every peer is a client, in a session of its own. Shares turns out between sessions; leaves what a
// stream may hold to bus-session.ts.
import type { Peer } from '../../../lib/core/bus.js';
import type { BusServer } from '../../../lib/core/service.js';
import { BusSession, type BusSessionOptions } from '../bus-session.js';
import type { Store } from '../store.js';

export interface BusTransportOptions {
  readonly store: Store;
  readonly server: BusServer;
  /** Before anything leaves: what it acknowledges must be written. */
  readonly beforeSend: () => void;
  /** Requests were done: connections of other transports may have something to send. */
  readonly afterRequests: () => void;
}

/** Serves the stream of every peer; returns what runs when outboxes of its connections may have filled. */
export function serveBus({ store, server, beforeSend, afterRequests }: BusTransportOptions): () => void {
  const sessions = new Map<Peer, BusSession>();
  const dirty = new Set<BusSession>();
  const waiting = new Set<BusSession>();
  let scheduled = false;

  const flush = (): void => {
    for (const session of dirty) {
      dirty.delete(session);
      session.flush();
    }
  };
  /** After requests of one were done, others may have something to hear. */
  const tellOthers = (session: BusSession): void => {
    dirty.delete(session);
    flush();
    afterRequests();
  };
  const options: BusSessionOptions = {
    store,
    beforeSend,
    onOutput: (session) => dirty.add(session),
    later: (session) => {
      waiting.add(session);
      if (scheduled) return;
      scheduled = true;
      setImmediate(() => {
        scheduled = false;
        const turns = [...waiting];
        waiting.clear();
        for (const next of turns) {
          next.turn();
          tellOthers(next);
        }
      });
    },
  };
  // Connections are made as peers come, not at their first request: events are told in that order.
  server.onPeer((peer) => {
    const session = new BusSession(peer, options);
    sessions.set(peer, session);
    peer.onClose(() => {
      sessions.delete(peer);
      session.end();
      dirty.delete(session);
      waiting.delete(session);
    });
  });
  server.on('XenstoreEvents', 'message', (body, peer) => {
    const session = sessions.get(peer);
    if (session === undefined) return;
    session.receive(body);
    tellOthers(session);
  });
  server.on('XenstoreEvents', 'taken', ({ bytes }, peer) => {
    sessions.get(peer)?.taken(bytes);
  });
  return flush;
}
