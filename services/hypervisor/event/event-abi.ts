// How an event reaches a domain: the interface between the port rules and the two ABIs (event-2l.ts, event-fifo.ts).
import type { Port } from './ports.js';

export interface EventAbi {
  readonly name: '2-level' | 'fifo';
  /** Hard limit of ports under this ABI. */
  readonly maxPorts: number;
  /** Raises the event: the delivery steps, up to the upcall. The port is usable. */
  setPending(port: Port): void;
  clearPending(port: Port): void;
  unmask(port: Port): void;
  isPending(port: Port): boolean;
  isMasked(port: Port): boolean;
  /** A free port whose word is still in use may not be handed out yet. */
  isBusy(port: Port): boolean;
  /** The port was taken: its word is brought into the state of a new one. */
  init(port: Port): void;
  /** The guest's memory goes: pages in it are forgotten. */
  dropPages(): void;
}

/** Ends SCHEDOP_poll of vCPUs that wait for this port; for masked ports too. */
export function wakePollers(port: Port): void {
  for (const vcpu of port.domain.vcpus) {
    if (vcpu.polling?.includes(port.number)) vcpu.endPoll();
  }
}
