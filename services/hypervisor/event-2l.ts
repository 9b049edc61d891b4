// The 2-level ABI: pending and mask words in shared_info, a selector word a vCPU; delivery in the order of
// xen/common/event_2l.c. The words are 64 bits wide; on a little-endian machine a 64-bit word is two 32-bit ones, and a
// bit operation on the half that holds the bit is the same operation.
import { EVTCHN_2L_NR_CHANNELS, SHARED_INFO, VCPU_INFO } from '../../lib/layout/evtchn.js';
import type { Domain } from './domain.js';
import { type EventAbi, wakePollers } from './event-abi.js';
import type { Port } from './ports.js';

const PENDING = SHARED_INFO.offset.evtchn_pending >>> 2;
const MASK = SHARED_INFO.offset.evtchn_mask >>> 2;
const SELECTOR = VCPU_INFO.offset.evtchn_pending_sel >>> 2;

export class TwoLevel implements EventAbi {
  readonly name = '2-level';
  readonly maxPorts = EVTCHN_2L_NR_CHANNELS;
  readonly #domain: Domain;
  #words!: Int32Array;

  constructor(domain: Domain) {
    this.#domain = domain;
    this.rebase();
  }

  rebase(): void {
    const { buffer, byteOffset } = this.#domain.sharedInfo;
    this.#words = new Int32Array(buffer, byteOffset, SHARED_INFO.size >>> 2);
  }

  setPending(port: Port): void {
    const { number } = port;
    const bit = 1 << (number & 31);
    if ((Atomics.or(this.#words, PENDING + (number >>> 5), bit) & bit) !== 0) return; // step 1
    if ((Atomics.load(this.#words, MASK + (number >>> 5)) & bit) === 0) this.#select(port); // step 2
    wakePollers(port); // step 5
  }

  /** Steps 3 and 4. */
  #select(port: Port): void {
    const vcpu = this.#domain.vcpus[port.vcpu]!;
    const word = port.number >>> 6;
    const bit = 1 << (word & 31);
    const at = (vcpu.infoOffset >>> 2) + SELECTOR + (word >>> 5);
    if ((Atomics.or(this.#words, at, bit) & bit) === 0) vcpu.raiseUpcall();
  }

  clearPending(port: Port): void {
    Atomics.and(this.#words, PENDING + (port.number >>> 5), ~(1 << (port.number & 31)));
  }

  unmask(port: Port): void {
    const word = port.number >>> 5;
    const bit = 1 << (port.number & 31);
    if ((Atomics.and(this.#words, MASK + word, ~bit) & bit) === 0) return;
    if ((Atomics.load(this.#words, PENDING + word) & bit) !== 0) this.#select(port);
  }

  isPending(port: Port): boolean {
    if (port.number >= this.maxPorts) return false;
    return (Atomics.load(this.#words, PENDING + (port.number >>> 5)) & (1 << (port.number & 31))) !== 0;
  }

  isMasked(port: Port): boolean {
    if (port.number >= this.maxPorts) return true;
    return (Atomics.load(this.#words, MASK + (port.number >>> 5)) & (1 << (port.number & 31))) !== 0;
  }

  isBusy(): boolean {
    return false;
  }

  init(): void {}
}
