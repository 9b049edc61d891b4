// Delivery of an event by the 2-level ABI on a shared_info page, in one place for all who do it: the
// hypervisor, and senders of the path `direct`. Leaves who may send to them.
// The words are 64 bits wide; on a little-endian machine a 64-bit word is two 32-bit ones, and a bit operation on the half
// that holds the bit is the same operation.
import { SHARED_INFO, VCPU_INFO } from '../layout/evtchn.js';

const PENDING = SHARED_INFO.offset.evtchn_pending >>> 2;
const MASK = SHARED_INFO.offset.evtchn_mask >>> 2;
const SELECTOR = VCPU_INFO.offset.evtchn_pending_sel >>> 2;

export class TwoLevelWords {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;

  /** `sharedInfo`: the page, or at least the struct. */
  constructor(sharedInfo: Uint8Array) {
    this.#bytes = sharedInfo;
    this.#words = new Int32Array(sharedInfo.buffer, sharedInfo.byteOffset, SHARED_INFO.size >>> 2);
  }

  /** Step 1: sets the pending bit; false when it was set already, and delivery ends. */
  setPending(port: number): boolean {
    const bit = 1 << (port & 31);
    return (Atomics.or(this.#words, PENDING + (port >>> 5), bit) & bit) === 0;
  }

  clearPending(port: number): void {
    Atomics.and(this.#words, PENDING + (port >>> 5), ~(1 << (port & 31)));
  }

  isPending(port: number): boolean {
    return (Atomics.load(this.#words, PENDING + (port >>> 5)) & (1 << (port & 31))) !== 0;
  }

  /** Step 2. */
  isMasked(port: number): boolean {
    return (Atomics.load(this.#words, MASK + (port >>> 5)) & (1 << (port & 31))) !== 0;
  }

  /** Clears the mask bit; whether it was set. */
  clearMask(port: number): boolean {
    const bit = 1 << (port & 31);
    return (Atomics.and(this.#words, MASK + (port >>> 5), ~bit) & bit) !== 0;
  }

  /** Step 3: sets the selector bit of a vCPU; whether it was clear. */
  select(port: number, vcpu: number): boolean {
    const word = port >>> 6;
    const bit = 1 << (word & 31);
    const at = ((vcpu * VCPU_INFO.size) >>> 2) + SELECTOR + (word >>> 5);
    return (Atomics.or(this.#words, at, bit) & bit) === 0;
  }

  /** Step 4: sets evtchn_upcall_pending; whether it was clear, which is when the vCPU is interrupted. */
  raiseUpcall(vcpu: number): boolean {
    return (Atomics.or(this.#bytes, vcpu * VCPU_INFO.size + VCPU_INFO.offset.evtchn_upcall_pending, 1) & 1) === 0;
  }

  /** Steps 1 to 4; whether the vCPU is to be interrupted. */
  deliver(port: number, vcpu: number): boolean {
    return this.setPending(port) && !this.isMasked(port) && this.select(port, vcpu) && this.raiseUpcall(vcpu);
  }
}
