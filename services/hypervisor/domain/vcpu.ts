// A vCPU as the hypervisor keeps it: its virtual interrupts, the request it waits for, who is told of upcalls.
// Leaves exits to vcpu-exits.ts and delivery to the event ABIs.
import type { EvtchnPort } from '../../../lib/core/ids.js';
import { NR_VIRQS, SCHED_POLL_PORTS_MAX } from '../../../lib/layout/evtchn.js';
import type { Domain } from './domain.js';

export class Vcpu {
  readonly domain: Domain;
  readonly id: number;
  /** Port of each virtual interrupt bound on this vCPU; 0 is none. */
  readonly virqPorts = new Uint32Array(NR_VIRQS);
  /**
   * The upcall interrupt: evtchn_upcall_pending went from 0 to 1. `insist`: or a sender of the path `direct` set it, which
   * may have died before it rang the guest's process, or while it did.
   */
  onUpcall: (insist?: boolean) => void = () => {};
  /** Ports of a SCHEDOP_poll that blocks it; undefined when it does not poll. */
  polling: readonly EvtchnPort[] | undefined;
  /** A poll ended. */
  onPollEnd: () => void = () => {};

  constructor(domain: Domain, id: number) {
    this.domain = domain;
    this.id = id;
  }

  /** Sets evtchn_upcall_pending; only its change from 0 to 1 interrupts. */
  raiseUpcall(): void {
    if (!this.domain.words.raiseUpcall(this.id)) return;
    this.onUpcall();
    // A deliverable upcall unblocks the vCPU whatever it polls for.
    if (this.polling !== undefined) this.endPoll();
  }

  /** Interrupts whatever evtchn_upcall_pending was: for an event whose sender may have died on the way. */
  forceUpcall(): void {
    this.domain.words.raiseUpcall(this.id);
    this.onUpcall(true);
  }

  get upcallPending(): boolean {
    return this.domain.words.upcallPending(this.id);
  }

  poll(ports: readonly EvtchnPort[]): void {
    this.polling = ports.slice(0, SCHED_POLL_PORTS_MAX);
  }

  endPoll(): void {
    this.polling = undefined;
    this.onPollEnd();
  }
}
