// A client's channel straight into a store in this process, messages in order and on a later turn, as a transport has it.
import type { XsMessage } from '../lib/layout/xs-wire.js';
import type { StoreChannel } from '../lib/xenstore/channel.js';
import type { Store } from '../services/xenstored/store.js';

export interface LocalChannel extends StoreChannel {
  /** The transport breaks. */
  breakDown(error: Error): void;
  readonly sent: XsMessage[];
}

export function localChannel(store: Store, name = 'client'): LocalChannel {
  let deliver: (message: XsMessage) => void = () => {};
  let lost: (error: Error) => void = () => {};
  let open = true;
  const sent: XsMessage[] = [];
  const connection = store.connectPrivileged({
    name,
    onOutput: (from) =>
      setImmediate(() => {
        for (const message of from.outbox.take()) if (open) deliver(message);
      }),
    onDropped: () => {},
  });
  return {
    sent,
    send(message) {
      sent.push(message);
      store.receive(connection, message);
    },
    onMessage: (action) => {
      deliver = action;
    },
    onLost: (action) => {
      lost = action;
    },
    close() {
      open = false;
      store.close(connection);
    },
    breakDown(error) {
      open = false;
      store.close(connection);
      lost(error);
    },
  };
}
