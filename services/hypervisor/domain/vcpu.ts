// A vCPU as the hypervisor keeps it: its virtual interrupts, the request it waits for, who is told of upcalls.
// Leaves exits to vcpu-exits.ts and delivery to the event ABIs.
import { NR_VIRQS, SCHED_POLL_PORTS_MAX, VCPU_INFO } from '../../../lib/layout/evtchn.js';
import type { Domain } from './domain.js';

export class Vcpu {
  readonly domain: Domain;
  readonly id: number;
  /** Port of each virtual interrupt bound on this vCPU; 0 is none. */
  readonly virqPorts = new Uint32Array(NR_VIRQS);
  /** Offset of its vcpu_info in shared_info. */
  readonly infoOffset: number;
  /**
   * The upcall interrupt: evtchn_upcall_pending went from 0 to 1. `insist`: or somebody set it who may have died before he
   * had told the guest's process, or while he did.
   */
  onUpcall: (insist?: boolean) => void = () => {};
  /** Ports of a SCHEDOP_poll that blocks it; undefined when it does not poll. */
  polling: readonly number[] | undefined;
  /** A poll ended. */
  onPollEnd: () => void = () => {};

  constructor(domain: Domain, id: number) {
    this.domain = domain;
    this.id = id;
    this.infoOffset = id * VCPU_INFO.size;
  }

  /** Sets evtchn_upcall_pending; only its change from 0 to 1 interrupts. */
  raiseUpcall(): void {
    if ((Atomics.or(this.domain.sharedInfo, this.infoOffset, 1) & 1) !== 0) return;
    this.onUpcall();
    // A deliverable upcall unblocks the vCPU whatever it polls for.
    if (this.polling !== undefined) this.endPoll();
  }

  /** Interrupts whatever evtchn_upcall_pending was: for an event whose sender may have died on the way. */
  forceUpcall(): void {
    Atomics.or(this.domain.sharedInfo, this.infoOffset, 1);
    this.onUpcall(true);
  }

  get upcallPending(): boolean {
    return (Atomics.load(this.domain.sharedInfo, this.infoOffset) & 1) !== 0;
  }

  poll(ports: readonly number[]): void {
    this.polling = ports.slice(0, SCHED_POLL_PORTS_MAX);
  }

  endPoll(): void {
    this.polling = undefined;
    this.onPollEnd();
  }
}
