// One client of the store, whatever its transport: whose rights it has, what it holds (watches, transactions), what it
// asked and is not answered yet, and what waits to be sent to it. The transport takes messages out when it can send.
import type { DomId } from '../../lib/core/ids.js';
import { STORE_EVENT_SECONDS_MAX } from '../../lib/core/limits.js';
import { XENSTORE_PAYLOAD_MAX, XS, XSD_SOCKMSG, type XsdError, type XsMessage } from '../../lib/layout/xs-wire.js';
import type { Domain } from './domains.js';
import { domainPath } from './path.js';
import type { Subject } from './perms.js';
import type { Transaction } from './transaction.js';
import type { Watch } from './watch.js';

/** Time as those who wait for something see it. */
export interface Clock {
  /** Seconds since some moment, with their fraction; never goes back. */
  seconds(): number;
  /** Calls back once, that many seconds from now; returns how to take that back. */
  later(seconds: number, action: () => void): () => void;
}

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
  /** By which events of a guest are dropped that it does not begin to take in time. */
  readonly clock?: Clock | undefined;
  /** Called when there is something to take. */
  readonly onOutput: (connection: Connection) => void;
  /** The store ended the connection: its domain was released or died. Nothing it asked will be answered any more. */
  readonly onDropped: (connection: Connection) => void;
}

/** Why no request is taken from a connection just now. */
export type Stall = 'introduce' | 'question' | 'live-update' | 'bounds';

/**
 * A guest's request as the quota of outstanding ones counts it: until its reply, and every event that it caused, has been
 * consumed.
 */
export class Outstanding {
  #open = 0;
  readonly #onDone: () => void;
  constructor(onDone: () => void) {
    this.#onDone = onDone;
  }
  add(): void {
    this.#open++;
  }
  done(): void {
    if (--this.#open === 0) this.#onDone();
  }
}

/** A message on its way out; done() once the client has it. */
export interface Outgoing {
  readonly message: XsMessage;
  /** On the connection's clock; undefined: it waits as long as it takes. */
  readonly expiresAt?: number | undefined;
  done(): void;
}

const NOBODY_COUNTS = (): void => {};

export class Connection implements Subject {
  readonly name: string;
  readonly domid: number;
  readonly privileged: boolean;
  readonly domain: Domain | undefined;
  readonly home: string;
  /** Connections are served, and told of events, in the order they were made. */
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
  #outbox: Outgoing[] = [];
  #outboxBytes = 0;
  readonly #queuedEvents = new Set<string>();
  readonly #clock: Clock | undefined;
  readonly #admits: ((bytes: number) => boolean) | undefined;
  #cancelExpiry: (() => void) | undefined;
  readonly #onOutput: (connection: Connection) => void;
  readonly onDropped: (connection: Connection) => void;

  constructor(options: ConnectionOptions, seq: number) {
    this.name = options.name;
    this.domid = options.domid;
    this.privileged = options.privileged;
    this.domain = options.domain;
    this.outlivesProgram = options.outlivesProgram ?? false;
    this.home = domainPath(options.domid);
    this.seq = seq;
    this.#clock = options.privileged ? undefined : options.clock;
    this.#admits = options.admits;
    this.#onOutput = options.onOutput;
    this.onDropped = options.onDropped;
  }

  get targetDomid(): number | undefined {
    return this.domain?.targetDomid;
  }

  /** `cause`: the guest's request that it answers. */
  reply(message: XsMessage, cause?: Outstanding): void {
    this.#queue(message, cause);
  }

  /**
   * Queues a watch event unless the same one (path and token) still waits; those of special nodes always count. One that
   * is too long for a message, or too much to be held for its guest, is not sent.
   */
  event(path: string, token: string, cause?: Outstanding): boolean {
    const payload = `${path}\0${token}\0`;
    if (payload.length > XENSTORE_PAYLOAD_MAX) return false;
    const merges = path.charCodeAt(0) !== 0x40;
    if (merges && this.#queuedEvents.has(payload)) return false;
    if (this.#admits?.(XSD_SOCKMSG.size + payload.length) === false) return false;
    if (merges) this.#queuedEvents.add(payload);
    this.#queueEvent(payload, cause);
    return true;
  }

  /** Queues what the program before us had queued. */
  carry(message: XsMessage): void {
    if (message.type === XS.XS_WATCH_EVENT) this.#queueEvent(message.payload, undefined);
    else this.#queue(message, undefined);
  }

  #queueEvent(payload: string, cause: Outstanding | undefined): void {
    const expiresAt = this.#clock === undefined ? undefined : this.#clock.seconds() + STORE_EVENT_SECONDS_MAX;
    this.#queue({ type: XS.XS_WATCH_EVENT, reqId: 0, txId: 0, payload }, cause, expiresAt);
    this.#awaitExpiry();
  }

  /** Drops events when their time has come: a guest that takes nothing must not hold what they hold for ever. */
  #awaitExpiry(): void {
    const clock = this.#clock;
    if (clock === undefined || this.closed || this.#cancelExpiry !== undefined) return;
    const next = this.#outbox.find(({ expiresAt }) => expiresAt !== undefined)?.expiresAt;
    if (next === undefined) return;
    this.#cancelExpiry = clock.later(Math.max(0, next - clock.seconds()), () => {
      this.#cancelExpiry = undefined;
      this.#dropExpired(clock.seconds());
      this.#awaitExpiry();
    });
  }

  #dropExpired(now: number): void {
    const isExpired = ({ expiresAt }: Outgoing): boolean => expiresAt !== undefined && expiresAt <= now;
    const expired = this.#outbox.filter(isExpired);
    if (expired.length === 0) return;
    this.#outbox = this.#outbox.filter((outgoing) => !isExpired(outgoing));
    for (const { message, done } of expired) {
      this.#left(message);
      done();
    }
    // What counted against its quotas counts no more: it may be served again.
    this.#onOutput(this);
  }

  /** The client is gone for good. */
  end(): void {
    this.closed = true;
    this.#cancelExpiry?.();
    this.#cancelExpiry = undefined;
  }

  #queue(message: XsMessage, cause: Outstanding | undefined, expiresAt?: number): void {
    if (this.closed) return;
    cause?.add();
    this.#outbox.push({ message, expiresAt, done: this.#charge(message, cause) });
    this.#outboxBytes += message.payload.length;
    this.#onOutput(this);
  }

  /** A guest's waiting messages count as its memory. Returns what to do once it has this one. */
  #charge({ payload }: XsMessage, cause: Outstanding | undefined): () => void {
    const account = this.domain?.account;
    if (account === undefined) return cause === undefined ? NOBODY_COUNTS : () => cause.done();
    const bytes = XSD_SOCKMSG.size + payload.length;
    account.add('memory', bytes);
    return () => {
      account.add('memory', -bytes);
      cause?.done();
    };
  }

  /** Something that it waited for may have come: its transport looks at it again. */
  nudge(): void {
    this.#onOutput(this);
  }

  get outboxCount(): number {
    return this.#outbox.length;
  }
  /** Payload bytes that wait. */
  get outboxBytes(): number {
    return this.#outboxBytes;
  }

  /** What waits, which goes on waiting. */
  get waiting(): XsMessage[] {
    return this.#outbox.map(({ message }) => message);
  }

  /** Hands all waiting messages over, in order; from here on they count as sent and consumed. */
  take(): XsMessage[] {
    return this.takeAll().map((outgoing) => {
      outgoing.done();
      return outgoing.message;
    });
  }

  /** As take(), for a transport that tells of each message when its client has it. */
  takeAll(): Outgoing[] {
    const messages = this.#outbox;
    this.#outbox = [];
    this.#outboxBytes = 0;
    // Clearing makes a new table, even of an empty set.
    if (this.#queuedEvents.size > 0) this.#queuedEvents.clear();
    return messages;
  }

  /** The oldest waiting messages, as many as come to so many bytes with their headers; at least one. */
  takeUpTo(bytes: number): Outgoing[] {
    let count = 0;
    for (let room = bytes; count < this.#outbox.length && room > 0; count++) {
      room -= XSD_SOCKMSG.size + (this.#outbox[count] as Outgoing).message.payload.length;
    }
    if (count === this.#outbox.length) return this.takeAll();
    const taken = this.#outbox.splice(0, count);
    for (const { message } of taken) this.#left(message);
    return taken;
  }

  #left({ type, payload }: XsMessage): void {
    this.#outboxBytes -= payload.length;
    if (type === XS.XS_WATCH_EVENT) this.#queuedEvents.delete(payload);
  }

  /** The oldest waiting message; those behind it still merge with identical events. */
  takeFirst(): Outgoing | undefined {
    const first = this.#outbox.shift();
    if (first !== undefined) this.#left(first.message);
    return first;
  }
}
