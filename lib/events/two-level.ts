// The 2-level event words of a shared_info page, in one place for all who touch them: the hypervisor that delivers, senders
// of the path `direct`, and guest kernels that mask and scan (upcall-scan.ts). Leaves who may send to its users.
// The words are 64 bits wide; on a little-endian machine a 64-bit word is two 32-bit ones, and a bit operation on the half
// that holds the bit is the same operation.
import { EVTCHN_2L_NR_CHANNELS, SHARED_INFO, VCPU_INFO } from '../layout/evtchn.js';

const PENDING = SHARED_INFO.offset.evtchn_pending >>> 2;
const MASK = SHARED_INFO.offset.evtchn_mask >>> 2;
const HALVES = EVTCHN_2L_NR_CHANNELS / 32;

const half = (port: number): number => port >>> 5;
const bitOf = (port: number): number => 1 << (port & 31);
const vcpuInfo = (vcpu: number): number => SHARED_INFO.offset.vcpu_info + vcpu * VCPU_INFO.size;
const selectorAt = (vcpu: number): number => (vcpuInfo(vcpu) + VCPU_INFO.offset.evtchn_pending_sel) >>> 2;
const upcallAt = (vcpu: number): number => vcpuInfo(vcpu) + VCPU_INFO.offset.evtchn_upcall_pending;

export class TwoLevelWords {
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;

  /** `sharedInfo`: the page, or at least the struct. Ports must be below EVTCHN_2L_NR_CHANNELS, vCPUs have a vcpu_info. */
  constructor(sharedInfo: Uint8Array) {
    this.#bytes = sharedInfo;
    this.#words = new Int32Array(sharedInfo.buffer, sharedInfo.byteOffset, SHARED_INFO.size >>> 2);
  }

  // --- the sender: Xen's steps (xen/common/event_2l.c) -------------------------------------------------------------------

  /** Step 1: sets the pending bit; false when it was set already, and delivery ends. */
  setPending(port: number): boolean {
    return (Atomics.or(this.#words, PENDING + half(port), bitOf(port)) & bitOf(port)) === 0;
  }

  /** Step 2. */
  isMasked(port: number): boolean {
    return (Atomics.load(this.#words, MASK + half(port)) & bitOf(port)) !== 0;
  }

  /** Step 3: sets the selector bit of a vCPU; whether it was clear. */
  select(port: number, vcpu: number): boolean {
    const word = port >>> 6;
    return (Atomics.or(this.#words, selectorAt(vcpu) + half(word), bitOf(word)) & bitOf(word)) === 0;
  }

  /** Step 4: sets evtchn_upcall_pending; whether it was clear, which is when the vCPU is interrupted. */
  raiseUpcall(vcpu: number): boolean {
    return (Atomics.or(this.#bytes, upcallAt(vcpu), 1) & 1) === 0;
  }

  /** Steps 1 to 4; whether the vCPU is to be interrupted. */
  deliver(port: number, vcpu: number): boolean {
    return this.setPending(port) && !this.isMasked(port) && this.select(port, vcpu) && this.raiseUpcall(vcpu);
  }

  // --- both ends ---------------------------------------------------------------------------------------------------------

  clearPending(port: number): void {
    Atomics.and(this.#words, PENDING + half(port), ~bitOf(port));
  }

  isPending(port: number): boolean {
    return (Atomics.load(this.#words, PENDING + half(port)) & bitOf(port)) !== 0;
  }

  /** Clears the mask bit; whether it was set. */
  clearMask(port: number): boolean {
    return (Atomics.and(this.#words, MASK + half(port), ~bitOf(port)) & bitOf(port)) !== 0;
  }

  upcallPending(vcpu: number): boolean {
    return (Atomics.load(this.#bytes, upcallAt(vcpu)) & 1) !== 0;
  }

  // --- the guest ---------------------------------------------------------------------------------------------------------

  setMask(port: number): void {
    Atomics.or(this.#words, MASK + half(port), bitOf(port));
  }

  /** Masks every port, as Linux does at boot. */
  maskAll(): void {
    for (let index = 0; index < HALVES; index++) Atomics.store(this.#words, MASK + index, -1);
  }

  /** The guest's first step of an upcall, before it takes the selector: an event that comes later raises the upcall anew. */
  clearUpcall(vcpu: number): void {
    Atomics.store(this.#bytes, upcallAt(vcpu), 0);
  }

  /** Takes half a selector word, 0 the low one: bit b of half h names the words of ports 64 * (32 * h + b) and on. */
  takeSelector(vcpu: number, which: 0 | 1): number {
    return Atomics.exchange(this.#words, selectorAt(vcpu) + which, 0);
  }

  /** Half a selector word as it stands. */
  selector(vcpu: number, which: 0 | 1): number {
    return Atomics.load(this.#words, selectorAt(vcpu) + which);
  }

  /** Pending and unmasked ports 32 * index to 32 * index + 31, a bit each. */
  active(index: number): number {
    return Atomics.load(this.#words, PENDING + index) & ~Atomics.load(this.#words, MASK + index);
  }
}
