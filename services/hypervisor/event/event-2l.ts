// The 2-level ABI of a domain: pending and mask words in shared_info, a selector word a vCPU (xen/common/event_2l.c).
// Leaves the words themselves to lib/events/two-level.ts.
import { EVTCHN_2L_NR_CHANNELS } from '../../../lib/layout/evtchn.js';
import type { Domain } from '../domain/domain.js';
import { type EventAbi, wakePollers } from './event-abi.js';
import type { Port } from './ports.js';

export class TwoLevel implements EventAbi {
  readonly name = '2-level';
  readonly maxPorts = EVTCHN_2L_NR_CHANNELS;
  readonly #domain: Domain;

  constructor(domain: Domain) {
    this.#domain = domain;
  }

  setPending(port: Port): void {
    const { number } = port;
    if (!this.#domain.words.setPending(number)) return; // step 1
    if (!this.#domain.words.isMasked(number)) this.#select(port); // step 2
    wakePollers(port); // step 5
  }

  /** Steps 3 and 4. */
  #select(port: Port): void {
    if (this.#domain.words.select(port.number, port.vcpu)) this.#domain.vcpus[port.vcpu]!.raiseUpcall();
  }

  /**
   * Finishes the delivery of a port whose sender may have died between two steps: whatever step it was, the event is
   * selected, the upcall pending and the guest's process woken afterwards. Without a pending event too: the sender may have
   * died in the last of its steps, waking a process that had taken the event already and gone to sleep again (bell.ts).
   * Spurious at worst: an upcall that finds nothing.
   */
  redeliver(port: Port): void {
    if (this.isPending(port) && !this.isMasked(port)) this.#domain.words.select(port.number, port.vcpu);
    this.#domain.vcpus[port.vcpu]!.forceUpcall();
  }

  clearPending(port: Port): void {
    this.#domain.words.clearPending(port.number);
  }

  unmask(port: Port): void {
    if (this.#domain.words.clearMask(port.number) && this.#domain.words.isPending(port.number)) this.#select(port);
  }

  isPending(port: Port): boolean {
    return port.number < this.maxPorts && this.#domain.words.isPending(port.number);
  }

  isMasked(port: Port): boolean {
    return port.number >= this.maxPorts || this.#domain.words.isMasked(port.number);
  }

  isBusy(): boolean {
    return false;
  }

  init(): void {}

  /** The domain's own words are all there is. */
  dropPages(): void {}
}
