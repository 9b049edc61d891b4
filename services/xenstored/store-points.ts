// Where the store's messages, changes, watches and transactions become trace points, whatever the transport. Leaves what the
// points are to lib/trace/points.ts.
import type { Probe } from '../../lib/core/probe.js';
import { XS, type XsMessage, xsName } from '../../lib/layout/xs-wire.js';
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
      const label = `${xsName(message.type).toLowerCase()} ${name}`;
      this.#probe.at(POINT['store.answer'], label, message.reqId, 0, domid);
    }
  }

  /** A node was written, or removed with what was below it: outside a transaction, or as one is committed. */
  committed(path: string, removed: boolean): void {
    this.#probe.at(POINT['store.commit'], path, removed ? 1 : 0);
  }

  watch(taken: boolean, { domid }: Client, path: string): void {
    this.#probe.at(POINT[taken ? 'watch.take' : 'watch.give'], path, 0, 0, domid);
  }

  transaction(taken: boolean, { domid }: Client, id: number): void {
    this.#probe.at(POINT[taken ? 'transaction.take' : 'transaction.give'], '', id, 0, domid);
  }
}
