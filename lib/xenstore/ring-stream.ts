// The byte streams of a guest's ring page, from either end: how much may be read or written, wrap-around, and the rule
// that a side trusts the other's index only as far as the ring is long. Leaves messages to framing.ts, and telling the
// other side (its event channel) to the caller: after every chunk, as xenstored does.
//
// Each stream has one writer and one reader. The writer stores bytes first and its index last, the reader takes bytes
// before it moves its own: both indexes go through sequentially consistent atomics.
import { assert } from '../core/errors.js';
import {
  XENSTORE_CONNECTED,
  XENSTORE_DOMAIN_INTERFACE,
  XENSTORE_RECONNECT,
  XENSTORE_RING_SIZE,
} from '../layout/xs-ring.js';
import { XENSTORE_SERVER_FEATURE } from '../layout/xs-wire.js';

const AT = XENSTORE_DOMAIN_INTERFACE.offset;
const MASK = XENSTORE_RING_SIZE - 1;

/** The other side's index is further ahead than the ring is long: nothing in it can be trusted any more. */
export class RingIndexError extends Error {
  override readonly name = 'RingIndexError';
}

interface Stream {
  readonly bytes: Uint8Array;
  readonly produced: number;
  readonly consumed: number;
}

/** One end of a ring page: the guest sends requests and receives responses, the server the other way round. */
export class RingEnd {
  readonly #words: Uint32Array;
  readonly #input: Stream;
  readonly #output: Stream;

  /** `page`: at least the interface's bytes, 4-byte aligned; stays its owner's. */
  constructor(page: Uint8Array, side: 'guest' | 'server') {
    assert(page.length >= XENSTORE_DOMAIN_INTERFACE.size && page.byteOffset % 4 === 0, 'a ring needs a whole page');
    this.#words = new Uint32Array(page.buffer, page.byteOffset, XENSTORE_DOMAIN_INTERFACE.size / 4);
    const stream = (at: number, produced: number, consumed: number): Stream => ({
      bytes: page.subarray(at, at + XENSTORE_RING_SIZE),
      produced: produced / 4,
      consumed: consumed / 4,
    });
    const requests = stream(AT.req, AT.req_prod, AT.req_cons);
    const responses = stream(AT.rsp, AT.rsp_prod, AT.rsp_cons);
    this.#input = side === 'server' ? requests : responses;
    this.#output = side === 'server' ? responses : requests;
  }

  #held({ produced, consumed }: Stream): number {
    const held = (Atomics.load(this.#words, produced) - Atomics.load(this.#words, consumed)) >>> 0;
    if (held > XENSTORE_RING_SIZE) throw new RingIndexError(`a ring of ${XENSTORE_RING_SIZE} bytes holds ${held}`);
    return held;
  }

  /** Bytes that wait to be read. Throws RingIndexError. */
  get readable(): number {
    return this.#held(this.#input);
  }

  /** Bytes that can be written. Throws RingIndexError. */
  get writable(): number {
    return XENSTORE_RING_SIZE - this.#held(this.#output);
  }

  /** Takes what waits, up to the end of the ring: a copy. Empty when nothing waits. Throws RingIndexError. */
  read(): Uint8Array {
    const chunk = this.peek();
    this.consumeTo((this.inputIndex + chunk.length) >>> 0);
    return chunk;
  }

  /** As read(), without telling the other side that it was taken. */
  peek(): Uint8Array {
    const held = this.#held(this.#input);
    const from = this.inputIndex & MASK;
    return this.#input.bytes.slice(from, Math.min(from + held, XENSTORE_RING_SIZE));
  }

  /** Tells the other side that everything before `index` was taken; the bytes must have been there. */
  consumeTo(index: number): void {
    Atomics.store(this.#words, this.#input.consumed, index);
  }

  /** Index in the stream that this end reads: of the next byte to take. */
  get inputIndex(): number {
    return Atomics.load(this.#words, this.#input.consumed);
  }

  /** Index in the stream that this end writes: of the next byte to come. */
  get outputIndex(): number {
    return Atomics.load(this.#words, this.#output.produced);
  }

  /** Writes the beginning of `source`, up to the end of the ring; returns how many bytes. Throws RingIndexError. */
  write(source: Uint8Array): number {
    const { bytes, produced } = this.#output;
    const room = XENSTORE_RING_SIZE - this.#held(this.#output);
    const index = Atomics.load(this.#words, produced);
    const from = index & MASK;
    const count = Math.min(source.length, room, XENSTORE_RING_SIZE - from);
    bytes.set(source.subarray(0, count), from);
    Atomics.store(this.#words, produced, (index + count) >>> 0);
    return count;
  }

  /** Server: both streams empty, all indexes 0; what INTRODUCE and a reconnection do. */
  reset(): void {
    for (const at of [AT.req_cons, AT.req_prod, AT.rsp_cons, AT.rsp_prod]) Atomics.store(this.#words, at / 4, 0);
  }

  get features(): number {
    return Atomics.load(this.#words, AT.server_features / 4);
  }
  set features(bits: number) {
    Atomics.store(this.#words, AT.server_features / 4, bits);
  }

  /** XENSTORE_ERROR_*. */
  get error(): number {
    return Atomics.load(this.#words, AT.error / 4);
  }
  set error(code: number) {
    Atomics.store(this.#words, AT.error / 4, code);
  }

  /** The event channel that the builder put into the page; 0: the one that INTRODUCE names. */
  get eventChannel(): number {
    return Atomics.load(this.#words, AT.evtchn_port / 4);
  }

  /** Guest: the server says that it makes new connections when asked to. */
  get offersReconnect(): boolean {
    return (this.features & XENSTORE_SERVER_FEATURE.XENSTORE_SERVER_FEATURE_RECONNECTION) !== 0;
  }

  /** The guest asks for a new connection and must touch nothing else until the server has made it. */
  get wantsReconnect(): boolean {
    return Atomics.load(this.#words, AT.connection / 4) === XENSTORE_RECONNECT;
  }
  /** Guest: asks. */
  askReconnect(): void {
    Atomics.store(this.#words, AT.connection / 4, XENSTORE_RECONNECT);
  }
  /** Server: has made it. */
  confirmConnected(): void {
    Atomics.store(this.#words, AT.connection / 4, XENSTORE_CONNECTED);
  }
}
