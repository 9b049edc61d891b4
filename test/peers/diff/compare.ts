// Judges what two daemons did in one step: the same, byte by byte and in order, or not. Leaves running steps to run.ts,
// and what is not worth comparing at all to normalise.ts.
//
// One thing is tolerated. A node that a transaction has seen in its parent's list can vanish outside; when the transaction
// then makes it anew, the C daemon adds the name to the list a second time and later stumbles over it (EIO). Ours lists it
// once. Such a transaction has lost already: neither may commit it, and that is what is compared of it from there on.
import { XS } from '../../../lib/layout/xs-wire.js';
import type { WireMessage } from '../fixtures/wire-client.js';
import type { Step } from './script.js';

/** What one client received in a step. */
export interface Received {
  readonly messages: readonly WireMessage[];
  readonly closed: boolean;
}

/** What one daemon did in one step: by client, silent ones left out. */
export type Outcome = ReadonlyMap<number, Received>;

const EIO = 'EIO\0';
const EAGAIN = 'EAGAIN\0';

function sameMessage(a: WireMessage, b: WireMessage): boolean {
  return a.type === b.type && a.reqId === b.reqId && a.txId === b.txId && a.payload === b.payload;
}

/** Could the two differ because one lists a child twice? */
function isDoubleChild(a: WireMessage, b: WireMessage): boolean {
  if (a.type === XS.XS_ERROR || b.type === XS.XS_ERROR) {
    const [error, other] = a.type === XS.XS_ERROR ? [a, b] : [b, a];
    return error.payload === EIO && other.type === XS.XS_RM;
  }
  return a.type === b.type && (a.type === XS.XS_DIRECTORY || a.type === XS.XS_DIRECTORY_PART);
}

/** Compares step after step of one script; remembers which transactions cannot commit any more. */
export class Comparator {
  /** By client, transaction ids. */
  readonly #doomed = new Map<number, Set<number>>();

  same(step: Step, a: Outcome, b: Outcome): boolean {
    if (step.do !== 'send') this.#doomed.delete(step.conn);
    if (a.size !== b.size) return false;
    for (const [conn, one] of a) {
      const two = b.get(conn);
      if (two === undefined || one.closed !== two.closed || one.messages.length !== two.messages.length) return false;
      for (const [index, message] of one.messages.entries()) {
        if (!this.#agree(step, conn, message, two.messages[index] as WireMessage)) return false;
      }
    }
    return true;
  }

  #agree(step: Step, conn: number, a: WireMessage, b: WireMessage): boolean {
    const same = sameMessage(a, b);
    const doomed = this.#doomed.get(conn);
    if (doomed?.has(a.txId)) {
      if (a.reqId !== b.reqId || a.txId !== b.txId) return false;
      const ends = [a, b].some(({ type, payload }) => type === XS.XS_TRANSACTION_END || payload === EAGAIN);
      if (!ends) return true;
      doomed.delete(a.txId);
      return same && (a.payload === EAGAIN || !commits(step));
    }
    if (same) return true;
    if (a.txId === 0 || a.txId !== b.txId || a.reqId !== b.reqId || !isDoubleChild(a, b)) return false;
    this.#doomed.set(conn, new Set([...(doomed ?? []), a.txId]));
    return true;
  }
}

/** Does it end a transaction that is not to be thrown away? */
function commits(step: Step): boolean {
  return (
    step.do === 'send' && step.requests.some(({ type, payload }) => type === XS.XS_TRANSACTION_END && payload === 'T\0')
  );
}
