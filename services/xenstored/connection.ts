// One client of the store, whatever its transport: whose rights it has, what it holds (watches, transactions), and what it
// asked and is not answered yet. Leaves what waits to be sent to outbox.ts.
import type { DomId } from '../../lib/core/ids.js';
import type { XsdError, XsMessage } from '../../lib/layout/xs-wire.js';
import type { StoreTrace } from './control-host.js';
import type { Domain } from './domains.js';
import type { HostTime } from './host-time.js';
import { Outbox } from './outbox.js';
import { domainPath } from './path.js';
import type { RingChange } from './ring-kept.js';
import type { Transaction } from './transaction.js';
import type { Watch, Watcher } from './watch.js';

export interface ConnectionOptions {
  /** For logs and audits: "socket-3", "guest-1". */
  readonly name: string;
  readonly domid: DomId | number;
  readonly privileged: boolean;
  /** The guest's record; a socket has none and so no quota. */
  readonly domain: Domain | undefined;
  /** May so many bytes more be held for the guest? Missing: always. */
  readonly admits?: ((bytes: number) => boolean) | undefined;
  /** Its transport goes over to the program that a live update starts. */
  readonly outlivesProgram?: boolean;
  /** Told of what the connection holds, for a transport that goes on after the process is killed. */
  readonly keep?: ((change: RingChange) => void) | undefined;
  /** By which events of a guest are dropped that it does not begin to take in time. */
  readonly time?: HostTime | undefined;
  /** Called when there is something to take. */
  readonly onOutput: (connection: Connection) => void;
  /** The store ended the connection: its domain was released or died. Nothing it asked will be answered any more. */
  readonly onDropped: (connection: Connection) => void;
}

/** What the store itself gives every connection. */
export interface ConnectionPlace {
  /** Connections are served, and told of events, in the order they were made. */
  readonly seq: number;
  /** Requests that waited may be done now. */
  readonly onReady: (connection: Connection) => void;
  readonly trace: StoreTrace;
}

/** Why no request is taken from a connection just now. */
export type Stall = 'introduce' | 'question' | 'live-update' | 'bounds';

export class Connection implements Watcher {
  readonly name: string;
  readonly domid: number;
  readonly privileged: boolean;
  readonly domain: Domain | undefined;
  readonly home: string;
  readonly seq: number;
  readonly watches = new Map<string, Watch>();
  readonly transactions = new Map<number, Transaction>();
  nextTransactionId = 1;
  /** Since when it has had a transaction open without a pause, in the seconds of the host; undefined: it has none. */
  transactionsSince: number | undefined;
  readonly outlivesProgram: boolean;
  /** Requests received and not taken yet, oldest first. */
  readonly inbox: XsMessage[] = [];
  stall: Stall | undefined;
  /** What the host answered for the request under way: which domains exist, whether one could be introduced. */
  readonly domainAnswers = new Map<number, { readonly uniqueId: string } | null>();
  readonly introduceAnswers = new Map<number, XsdError | 'ok'>();
  closed = false;
  readonly outbox: Outbox;
  readonly onDropped: (connection: Connection) => void;
  readonly keep: ((change: RingChange) => void) | undefined;
  readonly #onOutput: (connection: Connection) => void;
  readonly #onReady: (connection: Connection) => void;

  constructor(options: ConnectionOptions, place: ConnectionPlace) {
    this.name = options.name;
    this.domid = options.domid;
    this.privileged = options.privileged;
    this.domain = options.domain;
    this.outlivesProgram = options.outlivesProgram ?? false;
    this.home = domainPath(options.domid);
    this.seq = place.seq;
    this.onDropped = options.onDropped;
    this.keep = options.keep;
    this.#onOutput = options.onOutput;
    this.#onReady = place.onReady;
    this.outbox = new Outbox({
      account: options.domain?.account,
      time: options.privileged ? undefined : options.time,
      admits: options.admits,
      keep: options.keep,
      onOutput: () => options.onOutput(this),
      onLeaving: (message) => {
        if (place.trace.traces('io')) place.trace.message('OUT', this, message);
      },
    });
  }

  get targetDomid(): number | undefined {
    return this.domain?.targetDomid;
  }

  /** What it waited for has come: its requests go on, unless it waits for something else. */
  goOn(stall: Stall): void {
    if (this.stall === stall) this.stall = undefined;
    this.#onReady(this);
  }

  /** Something that it waited for may have come: its transport looks at it again. */
  nudge(): void {
    this.#onOutput(this);
  }

  /** The client is gone for good. */
  end(): void {
    this.closed = true;
    this.outbox.end();
  }
}
