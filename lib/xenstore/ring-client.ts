// The store's client on a guest's ring page: a channel whose other end is xenstored's. Leaves the page and the event
// channel to the guest, which calls `poll` when that channel fires.
import { concatBytes } from '../core/bytes.js';
import { ProtocolError } from '../core/errors.js';
import { XENSTORE_ERROR_NONE } from '../layout/xs-ring.js';
import type { XsMessage } from '../layout/xs-wire.js';
import type { StoreChannel } from './channel.js';
import { encodeMessage, MessageReader } from './framing.js';
import { type RingEnd, RingIndexError } from './ring-stream.js';

export interface RingStoreChannel extends StoreChannel {
  /** Looks at the ring: takes what came, sends what waits for room. Call it at every event of the store's port. */
  poll(): void;
}

/** `notify` signals xenstored: after every chunk written, and after every chunk read, which may have made it room. */
export function ringStoreChannel(ring: RingEnd, notify: () => void): RingStoreChannel {
  const reader = new MessageReader();
  let deliver: (message: XsMessage) => void = () => {};
  let lost: (error: Error) => void = () => {};
  let waiting: Uint8Array = new Uint8Array(0);
  let open = true;

  const fail = (error: Error): void => {
    if (!open) return;
    open = false;
    lost(error);
  };
  /** A server that breaks the transport, or says that this end did, ends the channel. What else is thrown is a bug here. */
  const guarded = (action: () => void): void => {
    try {
      if (open) action();
      if (open && ring.error !== XENSTORE_ERROR_NONE) {
        fail(new ProtocolError('ring-error', `xenstored ended the ring with error ${ring.error}`));
      }
    } catch (error) {
      if (error instanceof ProtocolError) fail(error);
      else if (error instanceof RingIndexError) fail(new ProtocolError('ring-index', error.message, { cause: error }));
      else throw error;
    }
  };
  const write = (): void => {
    while (waiting.length > 0) {
      const count = ring.write(waiting);
      if (count === 0) return;
      waiting = waiting.subarray(count);
      notify();
    }
  };
  const read = (): void => {
    for (let chunk = ring.read(); chunk.length > 0 && open; chunk = ring.read()) {
      notify();
      // From a server that took another's place, and knows nothing of what was asked there.
      if (ring.error !== XENSTORE_ERROR_NONE && ring.offersReconnect) return;
      reader.push(chunk, deliver);
    }
  };
  return {
    send(message) {
      waiting = waiting.length === 0 ? encodeMessage(message) : concatBytes([waiting, encodeMessage(message)]);
      guarded(write);
    },
    poll() {
      guarded(() => {
        write();
        read();
      });
    },
    onMessage(action) {
      deliver = action;
    },
    onLost(action) {
      lost = action;
    },
    close() {
      open = false;
    },
  };
}
