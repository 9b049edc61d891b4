// The ports of one domain: records in buckets, lowest free number first. Knows nothing of what a port is bound to;
// those rules are in event-channels.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { DOM0, type DomId, EvtchnPort } from '../../../lib/core/ids.js';
import { EVTCHN_FIFO_PRIORITY_DEFAULT } from '../../../lib/layout/evtchn.js';
import type { Domain } from '../domain/domain.js';

/** Xen's internal states (event_channel.h ECS_*). */
export const PORT_STATE = { free: 0, reserved: 1, unbound: 2, interdomain: 3, pirq: 4, virq: 5, ipi: 6 } as const;
export type PortState = (typeof PORT_STATE)[keyof typeof PORT_STATE];

/** Records of one bucket: a page of 64-byte records. Buckets are never given back while the domain lives. */
export const PORTS_PER_BUCKET = 64;

export class Port {
  readonly domain: Domain;
  readonly number: EvtchnPort;
  state: PortState = PORT_STATE.free;
  /** vCPU that is told. */
  vcpu = 0;
  /** Xen itself consumes the events of this port: its handler, instead of delivery to the guest. */
  consumer: (() => void) | null = null;
  /** unbound: the domain that may bind it. */
  remoteDomid: DomId = DOM0;
  /** unbound: which life of that domid; undefined for any, where no domain had it yet. */
  remoteUniqueId: bigint | undefined;
  /** interdomain: the other end. */
  remote: Port | null = null;
  virq = 0;
  /** FIFO ABI: queue of this port, and where it was linked last. */
  priority: number = EVTCHN_FIFO_PRIORITY_DEFAULT;
  lastVcpu = 0;
  lastPriority: number = EVTCHN_FIFO_PRIORITY_DEFAULT;
  /** Told when the port is closed, falls to unbound, moves to another vCPU or gets another ABI: the path `direct`. */
  onChange: (() => void) | null = null;
  /** FIFO ABI: an event that came before its word existed. */
  heldPending = false;

  constructor(domain: Domain, number: EvtchnPort) {
    this.domain = domain;
    this.number = number;
  }

  /** Whether events of this port are the guest's to see. */
  get usable(): boolean {
    return this.state > PORT_STATE.reserved && this.consumer === null;
  }
}

export class PortTable {
  readonly #maxPort: number;
  readonly #ports: Port[] = [];
  /** No port below is free. */
  #lowestFree = 0;

  /** `maxPort`: highest permitted port number. */
  constructor(maxPort: number) {
    this.#maxPort = maxPort;
  }

  /** Count of allocated records: a port number is valid when it is below. */
  get validCount(): number {
    return this.#ports.length;
  }

  /** The record of a valid port number, free or not; undefined is Xen's "port number not valid". */
  get(port: EvtchnPort): Port | undefined {
    return this.#ports[port];
  }

  /** All valid records but port 0's, in order of their numbers. */
  all(): readonly Port[] {
    return this.#ports.slice(1);
  }

  /** Makes the first bucket, port 0 reserved: done once when the domain is made. */
  init(domain: Domain): void {
    this.#addBucket(domain);
    this.#ports[0]!.state = PORT_STATE.reserved;
    this.#lowestFree = 1;
  }

  /** The lowest free port, still in state free; or -errno. The caller that takes it sets its state. */
  takeFree(domain: Domain): Port | number {
    if (domain.dying) return -ERRNO.EINVAL;
    for (let number = this.#lowestFree; number <= this.#maxPort; number++) {
      if (number >= domain.abi.maxPorts) return -ERRNO.ENOSPC;
      if (number >= this.#ports.length) this.#addBucket(domain);
      const port = this.#ports[number]!;
      if (port.state === PORT_STATE.free) {
        if (domain.abi.isBusy(port)) continue;
        return port;
      }
      if (number === this.#lowestFree) this.#lowestFree++;
    }
    return -ERRNO.ENOSPC;
  }

  /** Resets a record; the caller has undone what it was bound to and cleared its pending bit. */
  free(port: Port): void {
    port.state = PORT_STATE.free;
    port.vcpu = 0;
    port.consumer = null;
    port.remote = null;
    port.remoteDomid = DOM0;
    port.remoteUniqueId = undefined;
    port.virq = 0;
    port.heldPending = false;
    if (port.number < this.#lowestFree) this.#lowestFree = port.number;
  }

  #addBucket(domain: Domain): void {
    const first = this.#ports.length;
    for (let number = first; number < first + PORTS_PER_BUCKET; number++)
      this.#ports.push(new Port(domain, EvtchnPort(number)));
  }
}
