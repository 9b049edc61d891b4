// Judges what two daemons did in one step: the same, byte by byte and in order, or not. Leaves running steps to run.ts,
// and what is not worth comparing at all to normalise.ts.
//
// Two things are tolerated. A node that a transaction has seen in its parent's list can vanish outside; when the transaction
// then makes it anew, the C daemon adds the name to the list a second time and later stumbles over it (EIO). Ours lists it
// once. A removal that meets a listed child which is not there stops half-way in both (EIO), having touched what it met
// until then. Such a transaction has lost already: neither may commit it, and that is what is compared of it from there on.
//
// And a transaction in which nodes have rights of a domain that is released meanwhile: ours answers EAGAIN, as for any
// other change under its eyes; the daemon commits, or fails with ENOMEM. The stores may be different ones from there on,
// so the script ends.
import { XS } from '../../../lib/layout/xs-wire.js';
import type { WireMessage } from '../../../testkit/store-wire-client.js';
import type { Step } from './script.js';

/** What one client received in a step. */
export interface Received {
  readonly messages: readonly WireMessage[];
  readonly closed: boolean;
}

/** What one daemon did in one step: by client, silent ones left out. */
export type Outcome = ReadonlyMap<number, Received>;

const EIO = 'EIO\0';
const ENOMEM = 'ENOMEM\0';
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

/** `parted`: they did not do the same, on purpose, and nothing later can be compared. */
export type Verdict = 'same' | 'different' | 'parted';

/** Compares step after step of one script; remembers which transactions cannot commit any more. */
export class Comparator {
  /** Transactions that differ, by client. */
  readonly #doomed = new Map<number, Set<number>>();
  /** How many domains had been released when a transaction was started, by client and id. */
  readonly #started = new Map<string, number>();
  #released = 0;

  judge(step: Step, a: Outcome, b: Outcome): Verdict {
    if (step.do !== 'send') this.#doomed.delete(step.conn);
    for (const [conn, { messages }] of a) for (const message of messages) this.#note(conn, message);
    if (this.#same(step, a, b)) return 'same';
    return this.#isLost(step, a, b) ? 'parted' : 'different';
  }

  #same(step: Step, a: Outcome, b: Outcome): boolean {
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

  #note(conn: number, { type, payload }: WireMessage): void {
    if (type === XS.XS_RELEASE) this.#released++;
    if (type === XS.XS_TRANSACTION_START) this.#started.set(`${conn} ${Number.parseInt(payload, 10)}`, this.#released);
  }

  /** Did one commit, and the other refuse because a domain has gone since the start? */
  #isLost(step: Step, a: Outcome, b: Outcome): boolean {
    if (!commits(step)) return false;
    const replies = [a, b].map((outcome) => (outcome.get(step.conn)?.messages ?? []).filter(isReply));
    return (replies[0] ?? []).some((one, index) => {
      const two = replies[1]?.[index];
      if (two === undefined || one.txId !== two.txId || sameMessage(one, two)) return false;
      const refused = [one, two].find(({ payload }) => payload === EAGAIN);
      const other = refused === one ? two : one;
      if (refused === undefined || (other.payload !== ENOMEM && other.type !== XS.XS_TRANSACTION_END)) return false;
      return this.#released > (this.#started.get(`${step.conn} ${one.txId}`) ?? this.#released);
    });
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
    const stumbles = a.type === XS.XS_ERROR && a.payload === EIO;
    if (same && !stumbles) return true;
    if (a.txId === 0 || a.txId !== b.txId || a.reqId !== b.reqId || !(same || isDoubleChild(a, b))) return same;
    this.#doomed.set(conn, new Set([...(doomed ?? []), a.txId]));
    return true;
  }
}

function isReply({ type }: WireMessage): boolean {
  return type !== XS.XS_WATCH_EVENT;
}

/** Does it end transactions, and none of them by throwing it away? */
function commits(step: Step): boolean {
  if (step.do !== 'send') return false;
  const ends = step.requests.filter(({ type }) => type === XS.XS_TRANSACTION_END);
  return ends.length > 0 && ends.every(({ payload }) => payload === 'T\0');
}
