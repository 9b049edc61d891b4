// privcmd IOEVENTFD (drivers/xen/privcmd.c): the dom0 kernel answers a kick itself and signals an event descriptor. Its
// conditions are Linux's since 6.7. Leaves interrupts to kernel-irqs.ts; slots to ioreq-page.ts; the way back to irqfds.ts.
import { ErrnoError } from '../../../lib/core/errors.js';
import type { EvtchnPort } from '../../../lib/core/ids.js';
import type { BellNotifier, Doorbell, NotifyHandle } from '../../../lib/core/notify.js';
import type { Probe } from '../../../lib/core/probe.js';
import { PRIVCMD_IOEVENTFD_VCPUS_MAX } from '../../../lib/layout/dm-op.js';
import {
  IOREQ_TYPE_COPY,
  STATE_IOREQ_INPROCESS,
  STATE_IOREQ_READY,
  STATE_IORESP_READY,
} from '../../../lib/layout/ioreq.js';
import { VIRTIO_MMIO_QUEUE_NOTIFY } from '../../../lib/layout/virtio-mmio.js';
import { HOP } from '../../../lib/trace/hops.js';
import { POINT } from '../../../lib/trace/points.js';
import type { Domain } from '../domain/domain.js';
import type { DirectEntry, DirectTable } from '../event/direct-table.js';
import type { EventChannels } from '../event/event-channels.js';
import type { IoreqServer } from '../ioreq/ioreq-servers.js';
import type { IrqHandler, KernelIrqs } from './kernel-irqs.js';

export interface IoeventfdSpec {
  readonly server: IoreqServer;
  /** Device base; the kernel adds the offset of QueueNotify. */
  readonly addr: number;
  readonly addrLen: number;
  readonly vq: number;
  readonly handle: NotifyHandle;
  /** What to signal where the handle names no doorbell: a program's eventfd. Ours to close, unless this throws. */
  readonly notifier?: BellNotifier | undefined;
  /** Local ports, index = vCPU. */
  readonly ports: readonly EvtchnPort[];
  /** Where the guest's vCPU matches the kick by itself as well (path `direct`). */
  readonly direct?: DirectTable | undefined;
}

interface Ioeventfd {
  readonly direct: DirectEntry | undefined;
  readonly addrLow: number;
  readonly addrHigh: number;
  readonly addrLen: number;
  readonly vq: number;
  readonly handle: NotifyHandle;
  readonly notifier: BellNotifier;
}

/** All ioeventfds of one ioreq server page: Linux's privcmd_kernel_ioreq. */
class Group {
  readonly owner: object;
  readonly server: IoreqServer;
  readonly ports: readonly EvtchnPort[];
  readonly kicks: Ioeventfd[] = [];
  readonly handlers: IrqHandler[];

  constructor(
    owner: object,
    server: IoreqServer,
    ports: readonly EvtchnPort[],
    match: (group: Group, vcpu: number) => void,
  ) {
    this.owner = owner;
    this.server = server;
    this.ports = [...ports];
    this.handlers = ports.map((_, vcpu) => ({
      onEvent: () => {
        match(this, vcpu);
        // The late EOI is left to the process that shares the port through /dev/xen/evtchn: Linux's handler never gives it.
        return false;
      },
    }));
  }
}

export interface IoeventfdEnvironment {
  readonly dom0: Domain;
  readonly channels: EventChannels;
  readonly irqs: KernelIrqs;
  readonly doorbell: Doorbell;
  readonly probe: Probe;
}

export class Ioeventfds {
  readonly #env: IoeventfdEnvironment;
  readonly #groups: Group[] = [];

  constructor(env: IoeventfdEnvironment) {
    this.#env = env;
  }

  /** `owner`: the process; the same page of another process is another group. */
  assign(owner: object, spec: IoeventfdSpec): void {
    const { addr, addrLen, ports, server, handle } = spec;
    if (addr + addrLen > Number.MAX_SAFE_INTEGER) throw new ErrnoError('EINVAL', 'address range wraps');
    if (![1, 2, 4, 8].includes(addrLen)) throw new ErrnoError('EINVAL', `length ${addrLen}`);
    if (ports.length === 0 || ports.length > PRIVCMD_IOEVENTFD_VCPUS_MAX)
      throw new ErrnoError('EINVAL', `${ports.length} vCPUs`);
    let group = this.#groups.find((each) => each.owner === owner && each.server === server);
    if (group !== undefined && group.ports.length !== ports.length)
      throw new ErrnoError('EINVAL', 'the page is known with another count of vCPUs');
    if (group?.kicks.some((kick) => kick.handle.bell === handle.bell && kick.handle.bit === handle.bit))
      throw new ErrnoError('EBUSY', 'that event descriptor is assigned already');
    const notify = addr + VIRTIO_MMIO_QUEUE_NOTIFY;
    const notifier = spec.notifier ?? this.#env.doorbell.open(handle);
    let direct: DirectEntry | undefined;
    try {
      direct = spec.direct?.addKick(notify, addrLen, spec.vq, handle);
    } catch (error) {
      notifier.close();
      throw error;
    }
    if (group === undefined) {
      group = new Group(owner, server, ports, (each, vcpu) => this.#match(each, vcpu));
      this.#groups.push(group);
      for (const [vcpu, port] of ports.entries()) this.#env.irqs.bind(port, group.handlers[vcpu]!, true);
    }
    group.kicks.push({
      direct,
      addrLow: notify >>> 0,
      addrHigh: Math.floor(notify / 2 ** 32),
      addrLen,
      vq: spec.vq,
      handle,
      notifier,
    });
    this.#env.probe.at(POINT['ioeventfd.take'], '', notify >>> 0, spec.vq, server.domain.domid);
  }

  deassign(owner: object, spec: Pick<IoeventfdSpec, 'server' | 'handle' | 'ports'>): void {
    const group = this.#groups.find((each) => each.owner === owner && each.server === spec.server);
    const at =
      group === undefined || group.ports.length !== spec.ports.length
        ? -1
        : group.kicks.findIndex((kick) => kick.handle.bell === spec.handle.bell && kick.handle.bit === spec.handle.bit);
    if (group === undefined || at < 0) throw new ErrnoError('ENODEV', 'no such ioeventfd');
    this.#drop(group, at);
    if (group.kicks.length === 0) this.#close(group);
  }

  /** Everything a process assigned. */
  release(owner: object): void {
    for (const group of this.#groups.filter((each) => each.owner === owner)) this.#close(group);
  }

  /**
   * The guest's process died: it may have been about to kick one of those that it matches by itself, and have left the
   * device server asleep that seems awake. For all other kicks the signal is ours, and our death is the host's.
   */
  guestEnded(domain: Domain): void {
    for (const { server, kicks } of this.#groups)
      if (server.domain === domain) for (const kick of kicks) if (kick.direct !== undefined) kick.notifier.insist();
  }

  /** The domain's memory and servers are gone. */
  releaseDomain(domain: Domain): void {
    for (const group of this.#groups.filter((each) => each.server.domain === domain)) this.#close(group);
  }

  /** Held things, for audits: "domid/server base". */
  *held(): Iterable<string> {
    for (const { server, kicks } of this.#groups)
      for (const kick of kicks) yield `${server.domain.domid}/${server.id} vq ${kick.vq} at 0x${hex(kick)}`;
  }

  #drop(group: Group, at: number): void {
    const [kick] = group.kicks.splice(at, 1);
    kick?.direct?.release();
    kick?.notifier.close();
    if (kick) this.#env.probe.at(POINT['ioeventfd.give'], '', kick.addrLow, kick.vq, group.server.domain.domid);
  }

  #close(group: Group): void {
    this.#groups.splice(this.#groups.indexOf(group), 1);
    while (group.kicks.length > 0) this.#drop(group, 0);
    for (const [vcpu, port] of group.ports.entries()) this.#env.irqs.unbind(port, group.handlers[vcpu]!);
  }

  /** ioeventfd_interrupt: a kick of ours is answered here; everything else is left to the user of the port. */
  #match(group: Group, vcpu: number): void {
    const { page } = group.server;
    if (page === undefined || page.state(vcpu) !== STATE_IOREQ_READY) return;
    if (page.type(vcpu) !== IOREQ_TYPE_COPY || page.isRead(vcpu)) return;
    const low = page.addrLow(vcpu);
    const high = page.addrHigh(vcpu);
    const size = page.size(vcpu);
    const vq = page.dataLow(vcpu) & 0xffff;
    for (const kick of group.kicks) {
      if (kick.addrLow !== low || kick.addrHigh !== high || kick.addrLen !== size || kick.vq !== vq) continue;
      page.setState(vcpu, STATE_IOREQ_INPROCESS);
      this.#env.probe.at(HOP.hypervisorKick.point, '', vq, kick.handle.bit, group.server.domain.domid);
      kick.notifier.signal();
      page.setState(vcpu, STATE_IORESP_READY);
      this.#env.channels.send(this.#env.dom0, group.ports[vcpu]!);
      return;
    }
  }
}

function hex(kick: Ioeventfd): string {
  return (kick.addrHigh * 2 ** 32 + kick.addrLow).toString(16);
}
