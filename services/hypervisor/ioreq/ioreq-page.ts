// The synchronous page of an ioreq server: one slot a vCPU, shared with the emulator, which may scribble on it at will.
// The only code that touches its bytes on Xen's side. Leaves the state machine to ioreq-servers.ts.
import {
  IOREQ,
  IOREQ_DIR_READ,
  IOREQ_PAGE_SIZE,
  IOREQ_STATE_MASK,
  STATE_IOREQ_NONE,
} from '../../../lib/layout/ioreq.js';

const WORDS = IOREQ.size >>> 2;
const ADDR = IOREQ.offset.addr >>> 2;
const DATA = IOREQ.offset.data >>> 2;
const COUNT = IOREQ.offset.count >>> 2;
const SIZE = IOREQ.offset.size >>> 2;
const VP_EPORT = IOREQ.offset.vp_eport >>> 2;

/** A request as Xen fills it; 64-bit numbers in halves, so that the hot path makes no bigint. */
export interface Ioreq {
  addrLow: number;
  addrHigh: number;
  dataLow: number;
  dataHigh: number;
  size: number;
  count: number;
  /** IOREQ_TYPE_*. */
  type: number;
  /** IOREQ_READ or IOREQ_WRITE. */
  dir: number;
}

export class IoreqPage {
  #bytes: Uint8Array;
  #words: Uint32Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, IOREQ_PAGE_SIZE >>> 2);
  }

  /** The mapping goes away: later calls read and write a blank page. */
  drop(): void {
    this.#bytes = new Uint8Array(IOREQ_PAGE_SIZE);
    this.#words = new Uint32Array(this.#bytes.buffer);
  }

  state(slot: number): number {
    return Atomics.load(this.#bytes, slot * IOREQ.size + IOREQ.offset.flags) & IOREQ_STATE_MASK;
  }

  /** Stores the state last: an emulator that sees the state sees what was written before it. */
  setState(slot: number, state: number): void {
    const at = slot * IOREQ.size + IOREQ.offset.flags;
    Atomics.store(this.#bytes, at, (this.#bytes[at]! & ~IOREQ_STATE_MASK) | state);
  }

  vpEport(slot: number): number {
    return this.#words[slot * WORDS + VP_EPORT]!;
  }

  setVpEport(slot: number, port: number): void {
    this.#words[slot * WORDS + VP_EPORT] = port;
  }

  /** Fills a slot with state NONE; vp_eport stays. */
  fill(slot: number, request: Ioreq): void {
    const words = this.#words;
    const at = slot * WORDS;
    words[at + ADDR] = request.addrLow;
    words[at + ADDR + 1] = request.addrHigh;
    words[at + DATA] = request.dataLow;
    words[at + DATA + 1] = request.dataHigh;
    words[at + COUNT] = request.count;
    words[at + SIZE] = request.size;
    const base = slot * IOREQ.size;
    this.#bytes[base + IOREQ.offset.flags] = STATE_IOREQ_NONE | (request.dir === 0 ? 0 : IOREQ_DIR_READ);
    this.#bytes[base + IOREQ.offset.type] = request.type;
  }

  dataLow(slot: number): number {
    return this.#words[slot * WORDS + DATA]!;
  }
  dataHigh(slot: number): number {
    return this.#words[slot * WORDS + DATA + 1]!;
  }

  // What the kernel half looks at when it matches a kick.
  addrLow(slot: number): number {
    return this.#words[slot * WORDS + ADDR]!;
  }
  addrHigh(slot: number): number {
    return this.#words[slot * WORDS + ADDR + 1]!;
  }
  size(slot: number): number {
    return this.#words[slot * WORDS + SIZE]!;
  }
  type(slot: number): number {
    return this.#bytes[slot * IOREQ.size + IOREQ.offset.type]!;
  }
  isRead(slot: number): boolean {
    return (this.#bytes[slot * IOREQ.size + IOREQ.offset.flags]! & IOREQ_DIR_READ) !== 0;
  }
}
