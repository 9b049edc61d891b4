// The store's client over the bus: xenstore messages wrapped as Xenstore.request calls, events as XenstoreEvents.
import { latin1Bytes, latin1Text } from '../core/bytes.js';
import { PeerDiedError } from '../core/errors.js';
import type { History } from '../core/history.js';
import type { StoreMessage } from '../core/proto-types.js';
import type { BusClient } from '../core/service.js';
import type { XsMessage } from '../layout/xs-wire.js';
import type { StoreChannel } from './channel.js';
import { ChannelStoreClient } from './client.js';

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
  const fail = (error: Error): void => {
    if (!open) return;
    open = false;
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
    },
    close() {
      open = false;
    },
  };
}

export function busStoreClient(client: BusClient, history?: History): ChannelStoreClient {
  return new ChannelStoreClient(busStoreChannel(client), history);
}
