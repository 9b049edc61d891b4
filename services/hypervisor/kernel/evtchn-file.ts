// The kernel half of /dev/xen/evtchn (drivers/xen/evtchn.c): ports bound by one open file, each delivered once until it is
// written back. Also the operation that the thread proposes: an event descriptor tied to a port. Leaves how ports reach the
// user to evtchn-ring-file.ts and evtchn-stream-file.ts, interrupts to kernel-irqs.ts, who may open what to kernel-half.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { type DomId, EvtchnPort } from '../../../lib/core/ids.js';
import type { BoundBell, Doorbell, Notifier, NotifyHandle } from '../../../lib/core/notify.js';
import type { Probe } from '../../../lib/core/probe.js';
import { DEV_EVTCHN_RING_SIZE, EVENTFD_DIRECTION } from '../../../lib/layout/ours/dev-evtchn.js';
import { DIRECT_BELL_PREFIX } from '../../../lib/layout/ours/direct.js';
import { HOP } from '../../../lib/trace/hops.js';
import { POINT } from '../../../lib/trace/points.js';
import type { Domain } from '../domain/domain.js';
import type { DirectTable } from '../event/direct-table.js';
import { TwoLevel } from '../event/event-2l.js';
import type { EventChannels } from '../event/event-channels.js';
import type { IrqHandler, KernelIrqs } from './kernel-irqs.js';

export interface EvtchnFileEnvironment {
  readonly dom0: Domain;
  readonly channels: EventChannels;
  readonly irqs: KernelIrqs;
  readonly doorbell: Doorbell;
  readonly probe: Probe;
  /** The table of a guest's direct entries. */
  directTable(domain: Domain): DirectTable | undefined;
}

/** A port of one open file. */
interface BoundPort extends IrqHandler {
  readonly port: EvtchnPort;
  /** Whose port its other end was when it was bound; dom0's own for a virtual interrupt. */
  readonly domid: DomId;
  /** False from an event until the write-back. */
  enabled: boolean;
  /** Direction 0: our doorbell bit, whose ring is a send; or an entry by which the holder delivers by itself. */
  sender: BoundBell | undefined;
  /** Direction 1: an event signals this instead of the read ring. */
  notifier: Notifier | undefined;
}

export abstract class EvtchnFile {
  readonly fd: number;
  readonly #env: EvtchnFileEnvironment;
  readonly #ports = new Map<EvtchnPort, BoundPort>();
  #open = true;

  constructor(fd: number, env: EvtchnFileEnvironment) {
    this.fd = fd;
    this.#env = env;
  }

  /** The user reads this port next; it is disabled until written back. */
  protected abstract deliver(port: EvtchnPort): void;
  /** The file is closed: what carries its ports goes too. */
  protected abstract released(): void;
  /** Empties the read ring and forgets an overflow; ports stay disabled. */
  abstract reset(): void;

  get open(): boolean {
    return this.#open;
  }

  get ports(): Iterable<EvtchnPort> {
    return this.#ports.keys();
  }

  holds(port: EvtchnPort): boolean {
    return this.#ports.has(port);
  }

  /** Whether a user of dom0 holds an event descriptor on that port. */
  hasEventfd(port: EvtchnPort): boolean {
    const bound = this.#ports.get(port);
    return bound?.sender !== undefined || bound?.notifier !== undefined;
  }

  /** BIND_INTERDOMAIN, BIND_UNBOUND_PORT, BIND_VIRQ: what the hypercall gave becomes ours. `rc` may be -errno. `stays`: BIND_STATIC. */
  adopt(rc: number, stays = false): number {
    if (rc < 0) return rc;
    const port = EvtchnPort(rc);
    if (this.#ports.size >= DEV_EVTCHN_RING_SIZE) {
      if (!stays) this.#env.channels.close(this.#env.dom0, port);
      return -ERRNO.ENOMEM; // the ring could not hold it: Linux's cannot grow either
    }
    const { dom0 } = this.#env;
    const bound: BoundPort = {
      port,
      domid: (dom0.ports.get(port)?.remote?.domain ?? dom0).domid,
      enabled: true,
      sender: undefined,
      notifier: undefined,
      onEvent: () => this.#onEvent(bound),
    };
    this.#ports.set(port, bound);
    this.#env.irqs.bind(port, bound);
    if (stays) this.#env.irqs.keep(port);
    return port;
  }

  unbind(port: EvtchnPort): number {
    const bound = this.#ports.get(port);
    if (bound === undefined) return -ERRNO.ENOTCONN;
    this.#ports.delete(port);
    this.#dropEventfd(bound);
    this.#env.irqs.unbind(port, bound);
    // Other kernel users of the port are not made to wait for a write-back that cannot come.
    this.#env.irqs.lateEoi(port);
    return 0;
  }

  /** 0 also when the send fails, as NOTIFY of the device. */
  notify(port: EvtchnPort): number {
    if (!this.#ports.has(port)) return -ERRNO.ENOTCONN;
    this.#env.channels.send(this.#env.dom0, port);
    return 0;
  }

  /**
   * The proposed operation: ties an event descriptor to a port of this file until UNBIND, close, deassign, or the end of
   * the process that holds it. Direction 0 answers what to signal; direction 1 signals `handle` at each event.
   */
  eventfd(
    port: EvtchnPort,
    direction: number,
    handle: NotifyHandle | undefined,
    direct = false,
  ): NotifyHandle | undefined {
    const bound = this.#ports.get(port);
    if (bound === undefined) throw new ErrnoError('ENOTCONN', `port ${port} is not bound on this file`);
    if (direction === EVENTFD_DIRECTION.TO_PORT) {
      if (bound.sender !== undefined) throw new ErrnoError('EBUSY', `port ${port} has an event descriptor already`);
      if (direct) {
        bound.sender = this.#directSender(port);
        this.#env.probe.at(POINT['eventfd.take'], '', port, direction);
        return bound.sender.handle;
      }
      bound.sender = this.#env.doorbell.bind(() => {
        this.#env.probe.at(HOP.hypervisorCall.point, '', port, 0, bound.domid);
        this.#env.channels.send(this.#env.dom0, port);
      });
      this.#env.probe.at(POINT['eventfd.take'], '', port, direction);
      return bound.sender.handle;
    }
    if (direction !== EVENTFD_DIRECTION.FROM_PORT || handle === undefined)
      throw new ErrnoError('EINVAL', 'bad direction');
    if (bound.notifier !== undefined) throw new ErrnoError('EBUSY', `port ${port} has an event descriptor already`);
    bound.notifier = this.#env.doorbell.open(handle);
    this.#env.probe.at(POINT['eventfd.take'], '', port, direction);
    // An event may wait for a write-back that the file's user will not do for an event descriptor.
    this.#writeBack(bound);
    return undefined;
  }

  /** A handle whose holder runs the delivery steps on the guest's pages (path `direct`); 2-level guests only. */
  #directSender(port: EvtchnPort): BoundBell {
    const remote = this.#env.dom0.ports.get(port)!.remote;
    const table = remote === null ? undefined : this.#env.directTable(remote.domain);
    if (remote === null || table === undefined) throw new ErrnoError('ENOTCONN', `port ${port} leads to no guest`);
    const { domain } = remote;
    if (!(domain.abi instanceof TwoLevel)) throw new ErrnoError('EOPNOTSUPP', 'the guest uses the FIFO ABI');
    const entry = table.addCall(remote.number, remote.vcpu);
    const handle = { bell: `${DIRECT_BELL_PREFIX}${domain.domid}`, bit: entry.index };
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      remote.onChange = null;
      entry.release();
      // The holder may have died between two steps of its delivery; here they are finished.
      if (remote.usable && domain.abi instanceof TwoLevel) domain.abi.redeliver(remote);
    };
    remote.onChange = () => {
      if (remote.remote?.number === port && domain.abi instanceof TwoLevel) entry.move(remote.vcpu);
      else release();
    };
    return { handle, release };
  }

  eventfdDeassign(port: EvtchnPort, direction: number): void {
    const bound = this.#ports.get(port);
    if (bound === undefined) throw new ErrnoError('ENOTCONN', `port ${port} is not bound on this file`);
    if (direction === EVENTFD_DIRECTION.TO_PORT ? bound.sender === undefined : bound.notifier === undefined) {
      throw new ErrnoError('ENOENT', `port ${port} has no event descriptor in that direction`);
    }
    this.#dropEventfd(bound, direction);
  }

  #dropEventfd(bound: BoundPort, direction?: number): void {
    if (bound.sender !== undefined && direction !== EVENTFD_DIRECTION.FROM_PORT) {
      bound.sender.release();
      bound.sender = undefined;
      this.#env.probe.at(POINT['eventfd.give'], '', bound.port, EVENTFD_DIRECTION.TO_PORT);
    }
    if (bound.notifier !== undefined && direction !== EVENTFD_DIRECTION.TO_PORT) {
      bound.notifier.close();
      bound.notifier = undefined;
      this.#env.probe.at(POINT['eventfd.give'], '', bound.port, EVENTFD_DIRECTION.FROM_PORT);
    }
  }

  /** Closes the file. `leak` keeps interrupts that other kernel users share disabled for ever, as Linux does. */
  close(leak = false): void {
    if (!this.#open) return;
    this.#open = false;
    for (const port of [...this.#ports.keys()]) {
      if (leak) this.#env.irqs.disable(port);
      this.unbind(port);
    }
    this.released();
  }

  /** The interrupt: to the user, disabled until written back. */
  #onEvent(bound: BoundPort): boolean {
    if (bound.notifier !== undefined) {
      this.#env.probe.at(HOP.hypervisorKick.point, '', bound.port, 0, bound.domid);
      bound.notifier.signal();
      return true;
    }
    bound.enabled = false;
    this.deliver(bound.port);
    return false;
  }

  /** write() of a port; one that is not bound here is passed over. */
  writeBack(port: EvtchnPort): void {
    const bound = this.#ports.get(port);
    if (bound !== undefined) this.#writeBack(bound);
  }

  #writeBack(bound: BoundPort): void {
    if (bound.enabled) return;
    bound.enabled = true;
    this.#env.probe.at(HOP.hypervisorWriteBack.point, '', bound.port, 0, bound.domid);
    this.#env.irqs.lateEoi(bound.port);
  }
}
