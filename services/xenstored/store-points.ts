// Where the store's messages, changes, watches and transactions become trace points, whatever the transport. Leaves what the
// points are to lib/trace/points.ts.
import type { Probe } from '../../lib/core/probe.js';
import { XS, type XsMessage, xsLabel } from '../../lib/layout/xs-wire.js';
import { POINT } from '../../lib/trace/points.js';
import { eventLabel, requestLabel } from '../../lib/xenstore/labels.js';
import type { Connection } from './connection.js';

/** Whose message it is. */
type Client = Pick<Connection, 'name' | 'domid'>;

export class StorePoints {
  readonly #probe: Probe;

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** A request has come. */
  served({ name, domid }: Client, request: XsMessage): void {
    this.#probe.at(POINT['store.serve'], `${requestLabel(request)} ${name}`, request.reqId, request.txId, domid);
  }

  /** A reply or an event is about to be sent; what it acknowledges is written. */
  sending({ name, domid }: Client, message: XsMessage): void {
    if (message.type === XS.XS_WATCH_EVENT) {
      this.#probe.at(POINT['store.tell'], `${eventLabel(message)} ${name}`, 0, 0, domid);
    } else {
      const label = `${xsLabel(message.type)} ${name}`;
      this.#probe.at(POINT['store.answer'], label, message.reqId, 0, domid);
    }
  }

  /** A node was written (its `value`), or removed with what was below it: outside a transaction, or as one is committed. */
  committed(path: string, value: string | undefined): void {
    this.#probe.at(
      POINT['store.commit'],
      path,
      value === undefined ? 1 : 0,
      value === undefined ? 0 : shortNumber(value),
    );
  }

  watch(taken: boolean, { domid }: Client, path: string): void {
    this.#probe.at(POINT[taken ? 'watch.take' : 'watch.give'], path, 0, 0, domid);
  }

  transaction(taken: boolean, { domid }: Client, id: number): void {
    this.#probe.at(POINT[taken ? 'transaction.take' : 'transaction.give'], '', id, 0, domid);
  }
}

const NINE = 0x39;
const ZERO = 0x30;
/** Of a number that a record tells: states, domains and ports have no more. */
const DIGITS_MAX = 9;

/** The number that a value is in decimal digits; 0 for any other. Called for every change: no text is made. */
function shortNumber(value: string): number {
  if (value.length > DIGITS_MAX) return 0;
  let number = 0;
  for (let index = 0; index < value.length; index++) {
    const digit = value.charCodeAt(index);
    if (digit < ZERO || digit > NINE) return 0;
    number = number * 10 + digit - ZERO;
  }
  return number;
}
