// The store's client on a guest's ring page, past the end of xenstored: a server that took a dead one's place says so in the
// page; then the streams are begun anew, as the ring's reconnection has it, and what was asked is asked again. Leaves what
// that means for watches and transactions to reconnecting-channel.ts, the ring to ring-client.ts.
import { ProtocolError } from '../core/errors.js';
import { ReconnectingChannel } from './reconnecting-channel.js';
import { type RingStoreChannel, ringStoreChannel } from './ring-client.js';
import type { RingEnd } from './ring-stream.js';

/** As ringStoreChannel; lost only when the ring broke and the server makes no new connection. */
export function lastingRingChannel(ring: RingEnd, notify: () => void): RingStoreChannel {
  let current: RingStoreChannel | undefined;
  /** Runs once the server has made the connection that we asked for. */
  let connected: (() => void) | undefined;

  const connect = async (): Promise<RingStoreChannel> => {
    if (current !== undefined) {
      if (!ring.offersReconnect) throw new ProtocolError('ring-error', `the ring ended with error ${ring.error}`);
      const made = new Promise<void>((resolve) => {
        connected = resolve;
      });
      // From here on the page is the server's, until it says that we are connected.
      ring.askReconnect();
      notify();
      await made;
    }
    current = ringStoreChannel(ring, notify);
    return current;
  };
  const channel = new ReconnectingChannel(connect);
  return {
    send: (message) => channel.send(message),
    poll() {
      if (connected === undefined) current?.poll();
      else if (!ring.wantsReconnect) {
        connected();
        connected = undefined;
      }
    },
    onMessage: (action) => channel.onMessage(action),
    onLost: (action) => channel.onLost(action),
    close: () => channel.close(),
  };
}
