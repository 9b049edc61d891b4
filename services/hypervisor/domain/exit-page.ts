// The exit page of a vCPU from the hypervisor's side: reads a request that a hostile guest may change at any time, each
// field once; writes the answer, then the state. Leaves what an exit means to vcpu-exits.ts.
import { VCPU_EXIT, VCPU_EXIT_PAGE_SIZE, VCPU_STATE } from '../../../lib/layout/ours/vcpu-exit.js';

const at = (field: keyof typeof VCPU_EXIT.offset) => VCPU_EXIT.offset[field] >>> 2;
const STATE = at('state');
const REASON = at('reason');
const ADDR = at('addr');
const DATA = at('data');
const SIZE = at('size');
const DIR = at('dir');
const RC = at('rc');

export class ExitPage {
  #words: Uint32Array;

  constructor(bytes: Uint8Array) {
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, VCPU_EXIT_PAGE_SIZE >>> 2);
  }

  /** The mapping goes away; later accesses meet a blank page. */
  drop(): void {
    this.#words = new Uint32Array(VCPU_EXIT_PAGE_SIZE >>> 2);
  }

  get exited(): boolean {
    return Atomics.load(this.#words, STATE) === VCPU_STATE.EXIT;
  }
  get reason(): number {
    return this.#words[REASON]!;
  }
  get addrLow(): number {
    return this.#words[ADDR]!;
  }
  get addrHigh(): number {
    return this.#words[ADDR + 1]!;
  }
  get dataLow(): number {
    return this.#words[DATA]!;
  }
  get dataHigh(): number {
    return this.#words[DATA + 1]!;
  }
  get size(): number {
    return this.#words[SIZE]!;
  }
  get dir(): number {
    return this.#words[DIR]!;
  }

  /** The answer, and back into the guest. `rc` is 0 or -errno. */
  enter(dataLow: number, dataHigh: number, rc: number): void {
    this.#words[DATA] = dataLow;
    this.#words[DATA + 1] = dataHigh;
    this.#words[RC] = rc >>> 0;
    Atomics.store(this.#words, STATE, VCPU_STATE.ENTRY);
  }
}
