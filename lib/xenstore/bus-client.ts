// The store's client over the bus: a channel on a connection to xenstored. Leaves the form of the streams to bus-stream.ts
// and what messages mean to client.ts.
import { PeerDiedError } from '../core/errors.js';
import { STORE_BUS_REQUESTS_MAX } from '../core/limits.js';
import type { Probe } from '../core/probe.js';
import type { BusClient } from '../core/service.js';
import { XS, type XsMessage } from '../layout/xs-wire.js';
import { fromBusMessage, messageBytes, TAKEN_BYTES_TOLD, toBusMessage } from './bus-stream.js';
import type { StoreChannel } from './channel.js';
import { ChannelStoreClient } from './client.js';
import { ReconnectingChannel } from './reconnecting-channel.js';

/** A channel over a connection to xenstored. The connection stays its caller's: close() here only stops listening. */
export function busStoreChannel(client: BusClient): StoreChannel {
  let deliver: (message: XsMessage) => void = () => {};
  let lost: (error: Error) => void = () => {};
  let open = true;
  let failure: Error | undefined;
  /** Requests that wait for a reply to one before them. */
  const waiting: XsMessage[] = [];
  let unanswered = 0;
  let taken = 0;

  const ask = (request: XsMessage): void => {
    unanswered++;
    client.emit('XenstoreEvents', 'message', toBusMessage(request));
  };
  const count = (message: XsMessage): void => {
    taken += messageBytes(message);
    if (taken >= TAKEN_BYTES_TOLD) {
      client.emit('XenstoreEvents', 'taken', { bytes: taken });
      taken = 0;
    }
    if (message.type === XS.XS_WATCH_EVENT) return;
    unanswered--;
    const next = waiting.shift();
    if (next !== undefined) ask(next);
  };
  client.on('XenstoreEvents', 'message', (body) => {
    if (!open) return;
    const message = fromBusMessage(body);
    count(message);
    deliver(message);
  });
  client.onLost(() => {
    if (!open) return;
    open = false;
    failure = new PeerDiedError('xenstored');
    lost(failure);
  });
  return {
    send(request) {
      if (!open) return;
      if (unanswered < STORE_BUS_REQUESTS_MAX) ask(request);
      else waiting.push(request);
    },
    onMessage(action) {
      deliver = action;
    },
    onLost(action) {
      lost = action;
      // xenstored may have ended before this channel had a user.
      if (failure !== undefined) action(failure);
    },
    close() {
      open = false;
    },
  };
}

export function busStoreClient(client: BusClient, probe?: Probe): ChannelStoreClient {
  return new ChannelStoreClient(busStoreChannel(client), probe);
}

/**
 * A client that outlives xenstored. `connect` is called for every life of the server and must resolve with a connection
 * that its caller does not end this process for (`onLost: 'keep'`); watches and requests go on, open transactions EAGAIN.
 */
export function lastingStoreClient(connect: () => Promise<BusClient>, probe?: Probe): ChannelStoreClient {
  const next = async (): Promise<StoreChannel> => {
    const client = await connect();
    const channel = busStoreChannel(client);
    return {
      ...channel,
      close() {
        channel.close();
        void client.close();
      },
    };
  };
  return new ChannelStoreClient(new ReconnectingChannel(next), probe);
}
