// The user's end of /dev/xen/evtchn: ports read from its ring, commands put into the other one. Both rings have one writer
// and one reader, and indexes that run freely. Leaves telling the kernel's half that commands wait to the caller.
import {
  COMMAND_DM_RAISE,
  COMMAND_NOTIFY,
  COMMAND_SHIFT,
  COMMAND_WRITE_BACK,
  DEV_EVTCHN,
  DEV_EVTCHN_RING_SIZE,
} from '../../lib/layout/ours/dev-evtchn.js';

export class EvtchnPage {
  readonly #words: Uint32Array;
  /** Commands that found the ring full; they go in with the next flush. */
  readonly #waiting: (readonly number[])[] = [];

  /** `bytes`: the whole page area, 4-byte aligned. */
  constructor(bytes: Uint8Array) {
    if (bytes.length < DEV_EVTCHN.SIZE) throw new RangeError(`${bytes.length} bytes are no /dev/xen/evtchn page`);
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, DEV_EVTCHN.SIZE / 4);
  }

  /** Hands over every port that can be read now; answers how many. */
  read(onPort: (port: number) => void): number {
    const words = this.#words;
    let consumed = Atomics.load(words, DEV_EVTCHN.READ_CONS / 4);
    const produced = Atomics.load(words, DEV_EVTCHN.READ_PROD / 4);
    // A producer that is further ahead than the ring is long has lost its index: what it holds now is still read once.
    const count = Math.min((produced - consumed) >>> 0, DEV_EVTCHN_RING_SIZE);
    for (let i = 0; i < count; i++) {
      const port = Atomics.load(words, DEV_EVTCHN.READ_RING / 4 + (consumed & (DEV_EVTCHN_RING_SIZE - 1)));
      consumed = (consumed + 1) >>> 0;
      Atomics.store(words, DEV_EVTCHN.READ_CONS / 4, consumed);
      onPort(port);
    }
    return count;
  }

  /** NOTIFY: sends on the port. */
  notify(port: number): void {
    this.#put([word(COMMAND_NOTIFY, port)]);
  }

  /** DM_OP evtchn_raise: an event at that domain's own port. */
  dmRaise(domid: number, port: number): void {
    this.#put([word(COMMAND_DM_RAISE, domid), port]);
  }

  /** Writes the port back: it may be read again. */
  writeBack(port: number): void {
    this.#put([word(COMMAND_WRITE_BACK, port)]);
  }

  /** Tries again what found no room. */
  flush(): void {
    while (this.#waiting.length > 0 && this.#push(this.#waiting[0]!)) this.#waiting.shift();
  }

  get full(): boolean {
    return this.#waiting.length > 0;
  }

  #put(command: readonly number[]): void {
    if (this.#waiting.length > 0 || !this.#push(command)) this.#waiting.push(command);
  }

  #push(command: readonly number[]): boolean {
    const words = this.#words;
    const produced = Atomics.load(words, DEV_EVTCHN.COMMAND_PROD / 4);
    const consumed = Atomics.load(words, DEV_EVTCHN.COMMAND_CONS / 4);
    if (((produced - consumed) >>> 0) + command.length > DEV_EVTCHN_RING_SIZE) return false;
    // The words before the index that publishes them.
    for (const [index, word] of command.entries()) {
      const slot = (produced + index) & (DEV_EVTCHN_RING_SIZE - 1);
      Atomics.store(words, DEV_EVTCHN.COMMAND_RING / 4 + slot, word);
    }
    Atomics.store(words, DEV_EVTCHN.COMMAND_PROD / 4, (produced + command.length) >>> 0);
    return true;
  }
}

function word(command: number, operand: number): number {
  return ((command << COMMAND_SHIFT) | operand) >>> 0;
}
