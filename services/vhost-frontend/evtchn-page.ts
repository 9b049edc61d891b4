// The user's end of /dev/xen/evtchn: ports read from its ring, commands put into the other one. Both rings have one writer
// and one reader, and indexes that run freely. Leaves telling the kernel's half that commands wait to the caller.
import {
  COMMAND_NOTIFY,
  COMMAND_SHIFT,
  COMMAND_WRITE_BACK,
  DEV_EVTCHN,
  DEV_EVTCHN_RING_SIZE,
} from '../../lib/layout/dev-evtchn.js';

export class EvtchnPage {
  readonly #words: Uint32Array;
  /** Commands that found the ring full; they go in with the next flush. */
  readonly #waiting: number[] = [];

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
    this.#put(COMMAND_NOTIFY, port);
  }

  /** Writes the port back: it may be read again. */
  writeBack(port: number): void {
    this.#put(COMMAND_WRITE_BACK, port);
  }

  /** Tries again what found no room. */
  flush(): void {
    while (this.#waiting.length > 0 && this.#push(this.#waiting[0]!)) this.#waiting.shift();
  }

  get full(): boolean {
    return this.#waiting.length > 0;
  }

  #put(command: number, port: number): void {
    const word = ((command << COMMAND_SHIFT) | port) >>> 0;
    if (this.#waiting.length > 0 || !this.#push(word)) this.#waiting.push(word);
  }

  #push(word: number): boolean {
    const words = this.#words;
    const produced = Atomics.load(words, DEV_EVTCHN.COMMAND_PROD / 4);
    const consumed = Atomics.load(words, DEV_EVTCHN.COMMAND_CONS / 4);
    if ((produced - consumed) >>> 0 >= DEV_EVTCHN_RING_SIZE) return false;
    // The word before the index that publishes it.
    Atomics.store(words, DEV_EVTCHN.COMMAND_RING / 4 + (produced & (DEV_EVTCHN_RING_SIZE - 1)), word);
    Atomics.store(words, DEV_EVTCHN.COMMAND_PROD / 4, (produced + 1) >>> 0);
    return true;
  }
}
