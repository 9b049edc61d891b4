// What a store client needs of a transport: to send a message and to hear replies and events in the order the server
// sent them. The bus, a unix socket and the ring page each have one.
import type { XsMessage } from '../layout/xs-wire.js';

/** How a guest reaches xenstored: a connection of the bus, or the ring page with its event channel, as in real Xen. */
export const STORE_TRANSPORTS = ['bus', 'ring'] as const;
export type StoreTransport = (typeof STORE_TRANSPORTS)[number];

export interface StoreChannel {
  /** Sends a request; requests are answered in order. */
  send(message: XsMessage): void;
  /** Set once, before the first send. */
  onMessage(action: (message: XsMessage) => void): void;
  /** Runs once when no more messages can come; `error` is what open requests fail with. Not after close(). */
  onLost(action: (error: Error) => void): void;
  close(): void;
}
