// The moves of a port that all callers share: taken, given back, an event arriving. Written down in the history here, so
// that no path forgets it. Leaves who may do what to event-channels.ts and what Xen does by itself to xen-events.ts.
import type { Probe } from '../../../lib/core/probe.js';
import { HOP } from '../../../lib/trace/hops.js';
import { POINT } from '../../../lib/trace/points.js';
import { PORT_STATE, type Port } from './ports.js';

export class PortMoves {
  readonly #probe: Probe;

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** Takes a port that takeFree gave: no way back after this. */
  take(port: Port, state: Port['state']): void {
    port.state = state;
    port.domain.abi.init(port);
    this.#probe.at(POINT['port.take'], '', port.number, state, port.domain.domid);
  }

  /** Gives a port back: the other end of a channel falls to unbound, reserved for us. */
  free(port: Port): void {
    const { domain, remote } = port;
    if (port.state === PORT_STATE.interdomain) {
      remote!.state = PORT_STATE.unbound;
      remote!.remote = null;
      remote!.remoteDomid = domain.domid;
      remote!.remoteUniqueId = domain.uniqueId;
      remote!.onChange?.();
    } else if (port.state === PORT_STATE.virq) {
      for (const vcpu of domain.vcpus) if (vcpu.virqPorts[port.virq] === port.number) vcpu.virqPorts[port.virq] = 0;
    }
    domain.abi.clearPending(port);
    domain.ports.free(port);
    port.onChange?.();
    this.#probe.at(POINT['port.give'], '', port.number, 0, domain.domid);
  }

  /** An event arrives at a port: at Xen's own handler when Xen consumes it, else at the guest. */
  raise(port: Port): void {
    this.#probe.at(HOP.hypervisorEvent.point, '', port.number, 0, port.domain.domid);
    if (port.consumer !== null) port.consumer();
    else port.domain.abi.setPending(port);
  }
}
