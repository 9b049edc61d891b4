// The store's client over the bus: xenstore messages wrapped as Xenstore.request calls, events as XenstoreEvents.
import { latin1Bytes, latin1Text } from '../core/bytes.js';
import { PeerDiedError } from '../core/errors.js';
import type { History } from '../core/history.js';
import type { StoreMessage } from '../core/proto-types.js';
import type { BusClient } from '../core/service.js';
import type { XsMessage } from '../layout/xs-wire.js';
import type { StoreChannel } from './channel.js';
import { ChannelStoreClient } from './client.js';
import { ReconnectingChannel } from './reconnecting-channel.js';

export function toBusMessage(message: XsMessage): StoreMessage {
  const { type, reqId, txId, payload } = message;
  return { type, req_id: reqId, tx_id: txId, payload: latin1Bytes(payload) };
}

export function fromBusMessage(message: StoreMessage): XsMessage {
  return {
    type: message.type,
    reqId: message.req_id,
    txId: message.tx_id,
    payload: latin1Text(message.payload),
  };
}

/** A channel over a connection to xenstored. The connection stays its caller's: close() here only stops listening. */
export function busStoreChannel(client: BusClient): StoreChannel {
  const xenstore = client.remote('Xenstore');
  let deliver: (message: XsMessage) => void = () => {};
  let lost: (error: Error) => void = () => {};
  let open = true;
  let failure: Error | undefined;
  const fail = (error: Error): void => {
    if (!open) return;
    open = false;
    failure = error;
    lost(error);
  };
  client.on('XenstoreEvents', 'watch_event', (event) => {
    if (open) deliver(fromBusMessage(event));
  });
  client.onLost(() => fail(new PeerDiedError('xenstored')));
  return {
    send(message) {
      xenstore.request(toBusMessage(message)).then(
        (reply) => {
          if (open) deliver(fromBusMessage(reply));
        },
        (error: Error) => fail(error),
      );
    },
    onMessage(action) {
      deliver = action;
    },
    onLost(action) {
      lost = action;
      // The server may have ended before anybody asked.
      if (failure !== undefined) action(failure);
    },
    close() {
      open = false;
    },
  };
}

export function busStoreClient(client: BusClient, history?: History): ChannelStoreClient {
  return new ChannelStoreClient(busStoreChannel(client), history);
}

/**
 * A client that outlives xenstored. `connect` is called for every life of the server and must resolve with a connection
 * that its caller does not end this process for (`onLost: 'keep'`); watches and requests go on, open transactions EAGAIN.
 */
export function lastingStoreClient(connect: () => Promise<BusClient>, history?: History): ChannelStoreClient {
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
  return new ChannelStoreClient(new ReconnectingChannel(next), history);
}
