// What Xen itself does with event channels: ports that it consumes, virtual interrupts, the ports of a dying domain.
// Leaves the guests' own operations to event-channels.ts.

import { ERRNO } from '../../../lib/core/errno.js';
import { type DomId, EvtchnPort } from '../../../lib/core/ids.js';
import { VIRQ } from '../../../lib/layout/evtchn.js';
import type { Domain } from '../domain/domain.js';
import type { DomainLookup } from './event-channels.js';
import type { PortMoves } from './port-moves.js';
import { PORT_STATE } from './ports.js';

const { EINVAL } = ERRNO;

export class XenEvents {
  readonly #domains: DomainLookup;
  readonly #moves: PortMoves;

  constructor(domains: DomainLookup, moves: PortMoves) {
    this.#domains = domains;
    this.#moves = moves;
  }

  /** A port that Xen consumes: its events run `consumer` and never reach the guest. Its number, or -errno. */
  allocPort(domain: Domain, vcpuId: number, remoteDomid: DomId, consumer: () => void): number {
    const port = domain.ports.takeFree(domain);
    if (typeof port === 'number') return port;
    this.#moves.take(port, PORT_STATE.unbound);
    port.consumer = consumer;
    port.vcpu = vcpuId;
    port.remoteDomid = remoteDomid;
    return port.number;
  }

  freePort(domain: Domain, number: EvtchnPort): void {
    const port = domain.ports.get(number);
    if (port !== undefined && port.state > PORT_STATE.reserved) this.#moves.free(port);
  }

  /** Signals the other end of a port of Xen's; dropped while no port is bound to it. */
  notifyPort(domain: Domain, number: EvtchnPort): void {
    const port = domain.ports.get(number);
    if (port?.state === PORT_STATE.interdomain) this.#moves.raise(port.remote!);
  }

  /** Raises a virtual interrupt of one vCPU; of a domain or global one, that of vCPU 0. */
  sendVirq(domain: Domain, vcpuId: number, virq: number): void {
    const port = domain.ports.get(EvtchnPort(domain.vcpus[vcpuId]?.virqPorts[virq] ?? 0));
    if (port?.state === PORT_STATE.virq) this.#moves.raise(port);
  }

  sendGlobalVirq(virq: number): void {
    this.sendVirq(this.#domains.hardwareDomain, 0, virq);
  }

  /** Whether the domain gets VIRQ_DOM_EXC: only it may ask whose state changed. */
  handlesDomExc(domain: Domain): boolean {
    return domain.vcpus[0]!.virqPorts[VIRQ.DOM_EXC] !== 0;
  }

  /** The dm_op evtchn_raise (docs/notification-paths.md): an event for a port that the guest shares with the caller, as if the other end had sent. */
  raise(caller: Domain, domain: Domain, number: EvtchnPort): number {
    const port = domain.ports.get(number);
    if (port === undefined || !port.usable) return -EINVAL;
    const peer = port.state === PORT_STATE.interdomain ? port.remote!.domain.domid : port.remoteDomid;
    if ((port.state !== PORT_STATE.interdomain && port.state !== PORT_STATE.unbound) || peer !== caller.domid)
      return -EINVAL;
    this.#moves.raise(port);
    return 0;
  }

  /** Domain destruction: every port, from the highest down; peers' ports fall to unbound without an event. */
  closeAll(domain: Domain): void {
    for (const port of [...domain.ports.all()].reverse()) if (port.state > PORT_STATE.reserved) this.#moves.free(port);
  }
}
