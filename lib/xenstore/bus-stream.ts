// The store's two streams over the bus, as both ends see them: xenstore messages in bus messages, and how far each end may
// be ahead of the other. A socket has the kernel's buffers for that; the bus has none that a sender could look at.
//
// xenstored sends up to a window of bytes that its client has not taken; the client says what it took, some way before the
// window is full. The client sends up to a number of requests that have no reply yet. A well-made client never reaches
// either bound, and what waits for it waits at the end that made it.
import { latin1Bytes, latin1Text } from '../core/bytes.js';
import { STORE_BUS_WINDOW } from '../core/limits.js';
import type { StoreMessage } from '../core/proto-types.js';
import { XSD_SOCKMSG, type XsMessage } from '../layout/xs-wire.js';

/** Taken bytes that a client tells of together. */
export const TAKEN_BYTES_TOLD = STORE_BUS_WINDOW / 4;

/** What a message counts for the window: its bytes on the wire of the other transports. */
export function messageBytes({ payload }: XsMessage): number {
  return XSD_SOCKMSG.size + payload.length;
}

export function toBusMessage({ type, reqId, txId, payload }: XsMessage): StoreMessage {
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
