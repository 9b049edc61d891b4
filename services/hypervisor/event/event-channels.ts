// Event-channel operations: which port may be bound to what, in Xen's order of checks and with its error numbers
// (xen/common/event_channel.c). Every call returns 0 or a port, or minus an error number.
// A primer. A channel between two domains has a port in each. One side allocates a port unbound, reserved for the other
// domain; the other side binds a port of its own to it, and both are interdomain. When one side closes, the other's port
// falls back to unbound, reserved for the domain that closed. No event says so: its owner must close it, or it leaks.
// Leaves how an event reaches a domain to its EventAbi, and which domains exist to domains.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { DOMID_SELF, type DomId, type EvtchnPort } from '../../../lib/core/ids.js';
import {
  EVTCHN_FIFO_CONTROL_BLOCK,
  EVTCHNSTAT,
  NR_VIRQS,
  VIRQS_PER_DOMAIN,
  VIRQS_PER_VCPU,
} from '../../../lib/layout/evtchn.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';
import type { Domain } from '../domain/domain.js';
import { TwoLevel } from './event-2l.js';
import { Fifo } from './event-fifo.js';
import type { PortMoves } from './port-moves.js';
import { PORT_STATE, type Port } from './ports.js';

const { EACCES, EAGAIN, EBUSY, EEXIST, EINVAL, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } = ERRNO;

export interface EvtchnStatusOut {
  readonly status: number;
  readonly vcpu: number;
  readonly unbound_dom?: number;
  readonly remote_dom?: number;
  readonly remote_port?: number;
  readonly pirq?: number;
  readonly virq?: number;
}

export interface DomainLookup {
  /** A domain that exists, dying or not. */
  find(domid: DomId): Domain | undefined;
  /** Who global virtual interrupts go to. */
  readonly hardwareDomain: Domain;
}

export class EventChannels {
  readonly #domains: DomainLookup;
  readonly #moves: PortMoves;

  constructor(domains: DomainLookup, moves: PortMoves) {
    this.#domains = domains;
    this.#moves = moves;
  }

  /** `dom` as a caller names it: DOMID_SELF is the caller. */
  #target(caller: Domain, dom: DomId): Domain | undefined {
    return dom === DOMID_SELF ? caller : this.#domains.find(dom);
  }

  /** Where a port of the caller may be acted on by the caller itself: the checks that close, send and bind_vcpu share. */
  #own(caller: Domain, number: EvtchnPort): Port | number {
    const port = caller.ports.get(number);
    if (port === undefined || port.consumer !== null) return -EINVAL;
    return port;
  }

  allocUnbound(caller: Domain, dom: DomId, remoteDom: DomId): number {
    const domain = this.#target(caller, dom);
    if (domain === undefined) return -ESRCH;
    const port = domain.ports.takeFree(domain);
    if (typeof port === 'number') return port;
    if (!mayTarget(caller, domain)) return -EPERM;
    this.#moves.take(port, PORT_STATE.unbound);
    // Not checked to exist; DOMID_SELF is the calling domain, not `dom`.
    port.remoteDomid = remoteDom === DOMID_SELF ? caller.domid : remoteDom;
    port.remoteUniqueId = this.#domains.find(port.remoteDomid)?.uniqueId;
    return port.number;
  }

  bindInterdomain(caller: Domain, remoteDom: DomId, remotePort: EvtchnPort): number {
    const remoteDomain = this.#target(caller, remoteDom);
    if (remoteDomain === undefined) return -ESRCH;
    const local = caller.ports.takeFree(caller);
    if (typeof local === 'number') return local;
    const remote = remoteDomain.ports.get(remotePort);
    if (remote === undefined) return -EINVAL;
    if (remote.state !== PORT_STATE.unbound || remote.remoteDomid !== caller.domid) return -EINVAL;
    // Stricter than Xen: a port that a domain left behind is not its successor's, which happens to have its domid.
    if ((remote.remoteUniqueId ?? caller.uniqueId) !== caller.uniqueId) return -EINVAL;
    this.#moves.take(local, PORT_STATE.interdomain);
    local.remote = remote;
    remote.state = PORT_STATE.interdomain;
    remote.remote = local;
    // Events sent before the binding were dropped: the binder is told once whatever happened.
    caller.abi.setPending(local);
    return local.number;
  }

  bindVirq(caller: Domain, virq: number, vcpuId: number): number {
    if (virq >= NR_VIRQS) return -EINVAL;
    if (!VIRQS_PER_VCPU.includes(virq) && vcpuId !== 0) return -EINVAL;
    const vcpu = caller.vcpus[vcpuId];
    if (vcpu === undefined) return -ENOENT;
    if (isGlobalVirq(virq) && caller !== this.#domains.hardwareDomain) return -EBUSY;
    if (vcpu.virqPorts[virq] !== 0) return -EEXIST;
    const port = caller.ports.takeFree(caller);
    if (typeof port === 'number') return port;
    this.#moves.take(port, PORT_STATE.virq);
    port.virq = virq;
    port.vcpu = vcpuId;
    vcpu.virqPorts[virq] = port.number;
    return port.number;
  }

  bindIpi(caller: Domain, vcpuId: number): number {
    if (caller.vcpus[vcpuId] === undefined) return -ENOENT;
    const port = caller.ports.takeFree(caller);
    if (typeof port === 'number') return port;
    this.#moves.take(port, PORT_STATE.ipi);
    port.vcpu = vcpuId;
    return port.number;
  }

  /** No domain here has physical interrupts, so every number is out of range. */
  bindPirq(): number {
    return -EINVAL;
  }

  close(caller: Domain, number: EvtchnPort): number {
    const port = this.#own(caller, number);
    if (typeof port === 'number') return port;
    if (port.state <= PORT_STATE.reserved) return -EINVAL;
    this.#moves.free(port);
    return 0;
  }

  send(caller: Domain, number: EvtchnPort): number {
    const port = this.#own(caller, number);
    if (typeof port === 'number') return port;
    switch (port.state) {
      case PORT_STATE.interdomain:
        this.#moves.raise(port.remote!);
        return 0;
      case PORT_STATE.ipi:
        caller.abi.setPending(port);
        return 0;
      case PORT_STATE.unbound:
        return 0; // dropped: no port is bound to it
      default:
        return -EINVAL;
    }
  }

  status(caller: Domain, dom: DomId, number: EvtchnPort): EvtchnStatusOut | number {
    const domain = this.#target(caller, dom);
    if (domain === undefined) return -ESRCH;
    const port = domain.ports.get(number);
    if (port === undefined) return -EINVAL;
    if (!mayTarget(caller, domain)) return -EPERM;
    const { vcpu } = port;
    switch (port.state) {
      case PORT_STATE.unbound:
        return { status: EVTCHNSTAT.unbound, vcpu, unbound_dom: port.remoteDomid };
      case PORT_STATE.interdomain:
        return {
          status: EVTCHNSTAT.interdomain,
          vcpu,
          remote_dom: port.remote!.domain.domid,
          remote_port: port.remote!.number,
        };
      case PORT_STATE.virq:
        return { status: EVTCHNSTAT.virq, vcpu, virq: port.virq };
      case PORT_STATE.ipi:
        return { status: EVTCHNSTAT.ipi, vcpu };
      default:
        return { status: EVTCHNSTAT.closed, vcpu };
    }
  }

  bindVcpu(caller: Domain, number: EvtchnPort, vcpuId: number): number {
    if (caller.vcpus[vcpuId] === undefined) return -ENOENT;
    const port = this.#own(caller, number);
    if (typeof port === 'number') return port;
    switch (port.state) {
      case PORT_STATE.unbound:
      case PORT_STATE.interdomain:
        break;
      case PORT_STATE.virq:
        if (VIRQS_PER_VCPU.includes(port.virq)) return -EINVAL;
        break;
      default:
        return -EINVAL;
    }
    port.vcpu = vcpuId;
    port.onChange?.();
    return 0;
  }

  unmask(caller: Domain, number: EvtchnPort): number {
    const port = caller.ports.get(number);
    if (port === undefined) return -EINVAL;
    if (port.usable) caller.abi.unmask(port);
    return 0;
  }

  /** Closes all ports of the domain but Xen's own, and goes back to the 2-level ABI. */
  reset(caller: Domain, dom: DomId): number {
    const domain = this.#target(caller, dom);
    if (domain === undefined) return -ESRCH;
    if (!mayTarget(caller, domain)) return -EPERM;
    if (domain !== caller && domain.pauseCount === 0) return -EINVAL;
    if (domain.resetting) return -EBUSY;
    domain.resetting = true;
    let left = 0;
    for (const port of domain.ports.all()) {
      this.close(domain, port.number);
      if (port.usable) left++;
    }
    domain.resetting = false;
    if (left > 0) return -EAGAIN;
    if (domain.abi.name === 'fifo') domain.abi = new TwoLevel(domain);
    return 0;
  }

  /** A vCPU's control block; the first one switches the domain to the FIFO ABI. 0 or -errno. */
  initControl(caller: Domain, gfn: bigint, offset: number, vcpuId: number): number {
    if (caller.vcpus[vcpuId] === undefined) return -ENOENT;
    if (offset > PAGE_SIZE - EVTCHN_FIFO_CONTROL_BLOCK.size || offset % 8 !== 0) return -EINVAL;
    if (caller.abi instanceof Fifo) return caller.abi.mapControlBlock(vcpuId, gfn, offset);
    if (caller.memory === undefined) return -EINVAL; // dom0's kernel lives here, on the 2-level words
    const fifo = new Fifo(caller, caller.memory);
    const rc = fifo.mapControlBlock(vcpuId, gfn, offset);
    if (rc < 0) return rc;
    const before = caller.abi;
    caller.abi = fifo;
    fifo.takeOver(before);
    for (const port of caller.ports.all()) port.onChange?.();
    return 0;
  }

  expandArray(caller: Domain, gfn: bigint): number {
    return caller.abi instanceof Fifo ? caller.abi.addPage(gfn) : -EOPNOTSUPP;
  }

  setPriority(caller: Domain, number: EvtchnPort, priority: number): number {
    const port = caller.ports.get(number);
    if (port === undefined) return -EINVAL;
    if (!(caller.abi instanceof Fifo)) return -ENOSYS;
    return port.usable ? caller.abi.setPriority(port, priority) : -EACCES;
  }

  /** SCHEDOP_poll: 0 when it returns at once, 'blocked' when the vCPU now waits, or -errno. */
  poll(caller: Domain, vcpuId: number, ports: readonly EvtchnPort[]): number | 'blocked' {
    const vcpu = caller.vcpus[vcpuId]!;
    let pending = vcpu.upcallPending;
    for (const number of ports) {
      const port = caller.ports.get(number);
      if (port === undefined || !port.usable) return -EINVAL;
      pending ||= caller.abi.isPending(port);
    }
    if (pending) return 0;
    vcpu.poll(ports);
    return 'blocked';
  }
}

/** XSM class TARGET: the domain itself, or the control domain. */
export function mayTarget(caller: Domain, domain: Domain): boolean {
  return caller === domain || caller.privileged;
}

function isGlobalVirq(virq: number): boolean {
  return !VIRQS_PER_VCPU.includes(virq) && !VIRQS_PER_DOMAIN.includes(virq);
}
