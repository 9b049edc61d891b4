// What waits to be sent to one client: replies and watch events in the store's order. Events merge while they wait, expire
// where their client is a guest, and everything is charged to its domain until the client has it. Leaves bytes to the
// transports, which take messages out when they can send.
import { STORE_EVENT_SECONDS_MAX } from '../../lib/core/limits.js';
import { XENSTORE_PAYLOAD_MAX, XS, XSD_SOCKMSG, type XsMessage } from '../../lib/layout/xs-wire.js';
import type { HostTime } from './host-time.js';
import type { Account } from './quota.js';
import { isReply, type RingChange } from './ring-kept.js';

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
  /** What the connection's keeper knows it by; 0 where there is none. */
  readonly id: number;
  /** On the connection's clock; undefined: it waits as long as it takes. */
  readonly expiresAt?: number | undefined;
  done(): void;
}

const NOT_COUNTED = (): void => {};

export interface OutboxOptions {
  /** Of the client's domain; undefined: nothing is charged. */
  readonly account: Account | undefined;
  /** By which events are dropped that the client does not begin to take in time; undefined: none is. */
  readonly time: HostTime | undefined;
  /** May so many bytes more be held for the client? */
  readonly admits: ((bytes: number) => boolean) | undefined;
  /** Told of what waits, where that outlives the process. */
  readonly keep: ((change: RingChange) => void) | undefined;
  /** Called when there is something to take. */
  readonly onOutput: () => void;
  /** Called with each message that is taken to be sent. */
  readonly onLeaving: (message: XsMessage) => void;
}

export class Outbox {
  readonly #options: OutboxOptions;
  #messages: Outgoing[] = [];
  #bytes = 0;
  /** Payloads of the events that wait: the same one again says nothing more. */
  readonly #queuedEvents = new Set<string>();
  #cancelExpiry: (() => void) | undefined;
  #closed = false;
  #lastId = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** `cause`: the guest's request that it answers. */
  reply(message: XsMessage, cause?: Outstanding): void {
    this.#add(message, cause);
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
    if (this.#options.admits?.(XSD_SOCKMSG.size + payload.length) === false) return false;
    if (merges) this.#queuedEvents.add(payload);
    this.#addEvent(payload, cause);
    return true;
  }

  /** Queues what the program before us had queued: its requests are gone. */
  carry(message: XsMessage): void {
    if (message.type === XS.XS_WATCH_EVENT) this.#addEvent(message.payload, undefined);
    else this.#add(message, undefined, undefined, false);
  }

  /** Tells the keeper of all that waits, as if none of it had been told. */
  keepAgain(): void {
    for (const { id, message } of this.#messages) this.#options.keep?.({ kind: 'queued', id, message, answers: false });
  }

  #addEvent(payload: string, cause: Outstanding | undefined): void {
    const { time } = this.#options;
    const expiresAt = time === undefined ? undefined : time.seconds() + STORE_EVENT_SECONDS_MAX;
    this.#add({ type: XS.XS_WATCH_EVENT, reqId: 0, txId: 0, payload }, cause, expiresAt);
    this.#awaitExpiry();
  }

  /** Drops events when their time has come: a guest that takes nothing must not hold what they hold for ever. */
  #awaitExpiry(): void {
    const { time } = this.#options;
    if (time === undefined || this.#closed || this.#cancelExpiry !== undefined) return;
    const next = this.#messages.find(({ expiresAt }) => expiresAt !== undefined)?.expiresAt;
    if (next === undefined) return;
    this.#cancelExpiry = time.later(Math.max(0, next - time.seconds()), () => {
      this.#cancelExpiry = undefined;
      this.#dropExpired(time.seconds());
      this.#awaitExpiry();
    });
  }

  #dropExpired(now: number): void {
    const isExpired = ({ expiresAt }: Outgoing): boolean => expiresAt !== undefined && expiresAt <= now;
    const expired = this.#messages.filter(isExpired);
    if (expired.length === 0) return;
    this.#messages = this.#messages.filter((outgoing) => !isExpired(outgoing));
    for (const { message, id, done } of expired) {
      this.#options.keep?.({ kind: 'dropped', id });
      this.#left(message);
      done();
    }
    // What counted against its quotas counts no more: it may be served again.
    this.#options.onOutput();
  }

  /** The client is gone for good: nothing is queued any more. */
  end(): void {
    this.#closed = true;
    this.#cancelExpiry?.();
    this.#cancelExpiry = undefined;
  }

  #add(message: XsMessage, cause: Outstanding | undefined, expiresAt?: number, answers?: boolean): void {
    if (this.#closed) return;
    const { keep } = this.#options;
    const id = keep === undefined ? 0 : ++this.#lastId;
    keep?.({ kind: 'queued', id, message, answers: answers ?? isReply(message) });
    cause?.add();
    this.#messages.push({ message, id, expiresAt, done: this.#charge(message, cause) });
    this.#bytes += message.payload.length;
    this.#options.onOutput();
  }

  /** A guest's waiting messages count as its memory. Returns what to do once it has this one. */
  #charge({ payload }: XsMessage, cause: Outstanding | undefined): () => void {
    const { account } = this.#options;
    if (account === undefined) return cause === undefined ? NOT_COUNTED : () => cause.done();
    const bytes = XSD_SOCKMSG.size + payload.length;
    account.add('memory', bytes);
    return () => {
      account.add('memory', -bytes);
      cause?.done();
    };
  }

  get count(): number {
    return this.#messages.length;
  }
  /** Payload bytes that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What waits, which goes on waiting. */
  get waiting(): XsMessage[] {
    return this.#messages.map(({ message }) => message);
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
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    for (const { message } of messages) this.#options.onLeaving(message);
    // Clearing makes a new table, even of an empty set.
    if (this.#queuedEvents.size > 0) this.#queuedEvents.clear();
    return messages;
  }

  /** The oldest waiting messages, as many as come to so many bytes with their headers; at least one. */
  takeUpTo(bytes: number): Outgoing[] {
    let count = 0;
    for (let room = bytes; count < this.#messages.length && room > 0; count++) {
      room -= XSD_SOCKMSG.size + (this.#messages[count] as Outgoing).message.payload.length;
    }
    if (count === this.#messages.length) return this.takeAll();
    const taken = this.#messages.splice(0, count);
    for (const { message } of taken) {
      this.#left(message);
      this.#options.onLeaving(message);
    }
    return taken;
  }

  #left({ type, payload }: XsMessage): void {
    this.#bytes -= payload.length;
    if (type === XS.XS_WATCH_EVENT) this.#queuedEvents.delete(payload);
  }

  /** The oldest waiting message; those behind it still merge with identical events. */
  takeFirst(): Outgoing | undefined {
    const first = this.#messages.shift();
    if (first === undefined) return undefined;
    this.#left(first.message);
    this.#options.onLeaving(first.message);
    return first;
  }
}
