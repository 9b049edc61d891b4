// A guest on its ring page: requests out of one stream, replies and events into the other, as the C daemon does it: one
// message at a time each way, and a guest that breaks the rules is ignored until it is introduced anew. Pure: the page,
// and how to tell the guest, are given.

import { concatBytes, latin1Text } from '../../lib/core/bytes.js';
import { ProtocolError } from '../../lib/core/errors.js';
import { STORE_REQUESTS_PER_TURN } from '../../lib/core/limits.js';
import {
  XENSTORE_ERROR_COMM,
  XENSTORE_ERROR_NONE,
  XENSTORE_ERROR_PROTO,
  XENSTORE_ERROR_RINGIDX,
  XENSTORE_RING_SIZE,
} from '../../lib/layout/xs-ring.js';
import { XENSTORE_SERVER_FEATURE, type XsMessage } from '../../lib/layout/xs-wire.js';
import { encodeMessage, MessageReader } from '../../lib/xenstore/framing.js';
import { type RingEnd, RingIndexError } from '../../lib/xenstore/ring-stream.js';
import type { Connection } from './connection.js';
import type { LiveConnection } from './live-state.js';
import type { Outgoing } from './outbox.js';
import type { RingChange } from './ring-kept.js';
import { type CarriedRing, keepStreams, type StreamsStood } from './ring-resume.js';
import type { Store } from './store.js';
import { asSpelled } from './watch.js';

const NOTHING = new Uint8Array(0);

export interface RingSessionOptions {
  readonly store: Store;
  readonly ring: RingEnd;
  /** Signals the guest's event channel. */
  readonly notify: () => void;
  /** Before anything leaves: what it acknowledges must be written. */
  readonly beforeSend: () => void;
}

export class RingSession {
  readonly connection: Connection;
  readonly #options: RingSessionOptions;
  /** Where a killed server left the streams, until they go on. */
  #stood: StreamsStood | undefined;
  #reader = new MessageReader();
  /** What was wrong with the bytes that came after `#requests`. */
  #broken: ProtocolError | undefined;
  /** Requests read and not done. */
  readonly #requests: XsMessage[] = [];
  /** Bytes of the message that is being sent, and what to say once it is. */
  #sending: Uint8Array = NOTHING;
  #sent: Outgoing | undefined;
  #ignored = false;
  /** The guest may ask for a new connection by itself. */
  #offersReconnect = false;

  constructor(
    domid: number,
    name: string,
    options: RingSessionOptions,
    onOutput: () => void,
    onDropped: () => void,
    carried?: CarriedRing,
  ) {
    this.#options = options;
    const keep = (change: RingChange): void => options.store.journal.ring(domid, change);
    const hooks = { name, onOutput, onDropped, outlivesProgram: true, keep };
    this.connection = carried?.connection ?? options.store.connectGuest(domid, hooks);
    if (carried !== undefined) this.#takeOver(carried, onOutput, onDropped);
  }

  #takeOver(carried: CarriedRing, onOutput: () => void, onDropped: () => void): void {
    const { input, output, begun } = carried.live;
    carried.onOutput = onOutput;
    carried.onDropped = onDropped;
    this.#stood = carried.stood;
    if (this.#stood !== undefined) {
      this.#read(input);
      return;
    }
    this.#sending = output.slice(0, begun);
    new MessageReader().push(output.subarray(begun), (message) => this.connection.outbox.carry(message));
    this.#reader.push(input, (message) => this.#requests.push(message));
  }

  /** All that another program needs to go on with this guest; nothing changes here. */
  get state(): Pick<LiveConnection, 'input' | 'output' | 'begun'> {
    const { inbox, outbox } = this.connection;
    return {
      input: concatBytes([...inbox.map(encodeMessage), ...this.#requests.map(encodeMessage), this.#reader.rest]),
      output: concatBytes([this.#sending, ...outbox.waiting.map(encodeMessage)]),
      // What is being sent ends with its message. None of it may have left: then it counts as begun all the same.
      begun: this.#sending.length,
    };
  }

  /** INTRODUCE: both streams begin anew. A guest that waits for a connection is told that it has one. */
  introduced(): void {
    const { ring, notify, beforeSend } = this.#options;
    this.#setFeatures();
    this.#reader = new MessageReader();
    this.#drop();
    this.connection.keep?.({ kind: 'begin', consumed: 0 });
    // A server that took our place between the two would go on in streams that are not there any more.
    beforeSend();
    ring.reset();
    if (!ring.wantsReconnect) return;
    ring.confirmConnected();
    notify();
  }

  /** The page was mapped after the introduction: what the guest already wrote is served, unless it waits to reconnect. */
  begin(): void {
    const stood = this.#stood;
    this.#stood = undefined;
    if (stood !== undefined) this.#goOn(stood);
    else if (this.#options.ring.wantsReconnect) this.introduced();
    else {
      this.#setFeatures();
      this.#keepAll();
    }
  }

  /** What the journal keeps of the ring is what the session is now. */
  #keepAll(): void {
    const { inputIndex, outputIndex } = this.#options.ring;
    const begun = this.#sending.length === 0 ? undefined : { at: outputIndex, bytes: this.#sending };
    const { connection } = this;
    keepStreams(connection, { consumed: inputIndex, input: latin1Text(this.state.input), begun });
    connection.outbox.keepAgain();
    for (const watch of connection.watches.values()) connection.keep?.({ kind: 'watch', watch: asSpelled(watch) });
    for (const txId of connection.transactions.keys()) connection.keep?.({ kind: 'opened', txId });
  }

  /** The server before us was killed: the streams go on at the bytes where it stood, and the guest notices nothing. */
  #goOn({ consumed, begun }: StreamsStood): void {
    const { ring, notify } = this.#options;
    // A guest that was offered it once may still ask.
    this.#offersReconnect = ring.offersReconnect;
    const taken = (consumed - ring.inputIndex) >>> 0;
    const gone = begun === undefined ? 0 : (ring.outputIndex - begun.at) >>> 0;
    if (ring.wantsReconnect) this.#reconnect();
    // The page is the guest's to write: indexes that no server of ours left say that it did.
    else if (taken > XENSTORE_RING_SIZE || gone > (begun?.bytes.length ?? 0)) {
      this.#options.store.dropHeld(this.connection);
      this.#drop();
      this.beginAfterLoss();
    } else {
      ring.consumeTo(consumed);
      this.#sending = begun?.bytes.subarray(gone) ?? NOTHING;
      this.#setFeatures();
      notify();
    }
  }

  /**
   * The server that the guest spoke to is gone, and nothing is kept of what it had read and not answered, of its watches and
   * transactions. A guest that looks is told so, and may ask for a new connection; with one that does not, the streams go on
   * where they stand.
   */
  beginAfterLoss(): void {
    this.#offersReconnect = true;
    const { ring, notify } = this.#options;
    if (ring.wantsReconnect) {
      this.#reconnect();
      return;
    }
    this.#setFeatures();
    this.#keepAll();
    this.#tell(XENSTORE_ERROR_COMM);
    notify();
  }

  /** As the guest wished: nothing of before counts, and it can go on. */
  #reconnect(): void {
    this.#options.store.dropHeld(this.connection);
    this.#ignored = false;
    this.#tell(XENSTORE_ERROR_NONE);
    this.introduced();
  }

  #setFeatures(): void {
    const { XENSTORE_SERVER_FEATURE_RECONNECTION: reconnection } = XENSTORE_SERVER_FEATURE;
    const features = this.connection.domain?.features ?? 0;
    this.#options.ring.features = this.#offersReconnect ? features | reconnection : features;
  }

  /** The domain is introduced anew, or gone: the streams begin at 0 for the guest's next connection. */
  end(): void {
    this.#drop();
    // One that the store ended is kept with all that ends with it: that may be half done now.
    if (!this.connection.closed) {
      this.#options.store.close(this.connection);
      this.#options.beforeSend();
    }
    this.#options.ring.reset();
  }

  #drop(): void {
    for (const message of this.connection.outbox.takeAll()) message.done();
    this.connection.inbox.length = 0;
    this.#requests.length = 0;
    this.#broken = undefined;
    this.#sent?.done();
    this.#sent = undefined;
    this.#sending = NOTHING;
  }

  /** Takes and sends what it can. True when something moved: there may be more to do. */
  turn(): boolean {
    if (this.connection.closed) return false;
    if (this.#offersReconnect && this.#options.ring.wantsReconnect) this.#reconnect();
    if (this.#ignored) return false;
    try {
      const received = this.#receive();
      const sent = this.#send();
      // All that came before is done, and answered as far as the guest took the answers at once.
      if (this.#broken !== undefined && this.#requests.length === 0) throw this.#broken;
      return sent || received;
    } catch (error) {
      if (error instanceof RingIndexError) this.#ignore(XENSTORE_ERROR_RINGIDX);
      else if (error instanceof ProtocolError) this.#ignore(XENSTORE_ERROR_PROTO);
      else throw error;
      return false;
    }
  }

  #receive(): boolean {
    const { store, ring } = this.#options;
    let moved = false;
    // A guest that has too much under way is not served, nor read from: its ring fills, and it waits. One that fills its
    // ring as fast as it is read has its turn and no more.
    for (let done = 0; done < STORE_REQUESTS_PER_TURN; done++) {
      if (this.connection.stall !== undefined || store.isStalled(this.connection)) break;
      const request = this.#requests.shift();
      if (request !== undefined) store.receive(this.connection, request);
      else if (this.#broken !== undefined || ring.readable === 0) break;
      else {
        this.#take();
      }
      moved = true;
    }
    return moved;
  }

  /** The guest is told that bytes were taken once they are kept (ring-kept.ts says why). */
  #take(): void {
    const { ring, notify, beforeSend } = this.#options;
    const chunk = ring.peek();
    const consumed = (ring.inputIndex + chunk.length) >>> 0;
    this.connection.keep?.({ kind: 'input', consumed, bytes: latin1Text(chunk) });
    this.#read(chunk);
    beforeSend();
    ring.consumeTo(consumed);
    notify();
  }

  #read(chunk: Uint8Array): void {
    try {
      this.#reader.push(chunk, (message) => {
        this.#options.store.points.served(this.connection, message);
        this.#requests.push(message);
      });
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#broken = error;
    }
  }

  #send(): boolean {
    const { store, ring, notify, beforeSend } = this.#options;
    let moved = false;
    for (;;) {
      if (this.#sending.length === 0 && this.connection.outbox.count === 0) return moved;
      // What nothing left of yet stays where it is: an event there merges with others, and is dropped in time.
      if (ring.writable === 0) return moved;
      if (this.#sending.length === 0) {
        this.#sent = this.connection.outbox.takeFirst() as Outgoing;
        this.connection.keep?.({ kind: 'begun', id: this.#sent.id, at: ring.outputIndex });
        beforeSend();
        store.points.sending(this.connection, this.#sent.message);
        this.#sending = encodeMessage(this.#sent.message);
      }
      this.#sending = this.#sending.subarray(ring.write(this.#sending));
      moved = true;
      notify();
      if (this.#sending.length > 0) continue;
      this.#sent?.done();
      this.#sent = undefined;
    }
  }

  /** The guest broke the transport: all that it held is dropped, and it is not heard until it is introduced anew. */
  #ignore(error: number): void {
    this.#tell(error);
    this.#ignored = true;
    this.#options.store.dropHeld(this.connection);
    this.#drop();
    this.connection.keep?.({ kind: 'end' });
  }

  #tell(error: number): void {
    const features = this.connection.domain?.features ?? 0;
    if ((features & XENSTORE_SERVER_FEATURE.XENSTORE_SERVER_FEATURE_ERROR) !== 0) this.#options.ring.error = error;
  }

  /** The page or the event channel cannot be used any more. */
  lost(): void {
    this.#ignore(XENSTORE_ERROR_COMM);
  }

  get ignored(): boolean {
    return this.#ignored;
  }
}
