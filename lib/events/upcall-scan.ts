// One upcall of a guest kernel over the 2-level words (Linux, drivers/xen/events/events_2l.c, evtchn_2l_handle_events): which
// ports are to be handled, in an order that is fair to all. The caller clears a port's pending bit and runs its handler.
// Order against lost events: evtchn_upcall_pending is cleared before the selector is taken, the selector before the pending
// words are read, and a pending bit before its handler runs.
import { EVTCHN_2L_NR_CHANNELS } from '../layout/evtchn.js';
import type { TwoLevelWords } from './two-level.js';

const WORD_BITS = 64;
const WORDS = EVTCHN_2L_NR_CHANNELS / WORD_BITS;
/** What next() answers once all selected words were looked at. */
export const NO_PORT = -1;

/** The halves of a 64-bit word without the bits below `from`. */
const lowFrom = (low: number, from: number): number => (from < 32 ? low & (-1 << from) : 0);
const highFrom = (high: number, from: number): number =>
  from <= 32 ? high : from < WORD_BITS ? high & (-1 << (from - 32)) : 0;
/** Index of the lowest bit; 64 when there is none. */
function lowestBit(low: number, high: number): number {
  if (low !== 0) return 31 - Math.clz32(low & -low);
  return high !== 0 ? 63 - Math.clz32(high & -high) : WORD_BITS;
}

export class UpcallScan {
  readonly #words: TwoLevelWords;
  readonly #vcpu: number;
  /** Where the next scan begins: behind the port that was handled last. */
  #startWord = 0;
  #startBit = 0;
  /** Where this one began: its first word is looked at twice, from the start bit on, and last below it. */
  #firstWord = 0;
  #firstBit = 0;
  #selectedLow = 0;
  #selectedHigh = 0;
  #nextWord = 0;
  #wrapped = false;
  #word = 0;
  /** What is left of the word under hand. */
  #low = 0;
  #high = 0;

  constructor(words: TwoLevelWords, vcpu: number) {
    this.#words = words;
    this.#vcpu = vcpu;
  }

  /** Clears the upcall and takes the selector. The caller begins anew while the upcall is pending again afterwards. */
  begin(): void {
    this.#words.clearUpcall(this.#vcpu);
    this.#selectedLow = this.#words.takeSelector(this.#vcpu, 0);
    this.#selectedHigh = this.#words.takeSelector(this.#vcpu, 1);
    this.#firstWord = this.#startWord;
    this.#firstBit = this.#startBit;
    this.#nextWord = this.#firstWord;
    this.#wrapped = false;
    this.#low = 0;
    this.#high = 0;
  }

  /** The next pending and unmasked port of the selected words, or NO_PORT. Its pending bit is left as it is. */
  next(): number {
    while (this.#low === 0 && this.#high === 0) if (!this.#advance()) return NO_PORT;
    const bit = lowestBit(this.#low, this.#high);
    if (bit < 32) this.#low &= this.#low - 1;
    else this.#high &= this.#high - 1;
    this.#startBit = (bit + 1) % WORD_BITS;
    this.#startWord = this.#startBit === 0 ? (this.#word + 1) % WORDS : this.#word;
    return this.#word * WORD_BITS + bit;
  }

  /** Loads the next selected word; false when there is none. */
  #advance(): boolean {
    const from = this.#nextWord;
    const word = lowestBit(lowFrom(this.#selectedLow, from), highFrom(this.#selectedHigh, from));
    if (word >= WORDS || (this.#wrapped && word > this.#firstWord)) {
      if (this.#wrapped) return false;
      this.#wrapped = true;
      this.#nextWord = 0;
      return true;
    }
    this.#nextWord = word + 1;
    this.#word = word;
    const low = this.#words.active(word * 2);
    const high = this.#words.active(word * 2 + 1);
    if (word !== this.#firstWord) {
      this.#low = low;
      this.#high = high;
      return true;
    }
    const upperLow = lowFrom(low, this.#firstBit);
    const upperHigh = highFrom(high, this.#firstBit);
    this.#low = this.#wrapped ? low ^ upperLow : upperLow;
    this.#high = this.#wrapped ? high ^ upperHigh : upperHigh;
    return true;
  }
}
