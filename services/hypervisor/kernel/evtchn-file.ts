// The kernel half of /dev/xen/evtchn (drivers/xen/evtchn.c): ports bound by one open file, delivered through
// the read ring of its page until written back. Also the operation that the thread proposes: an event descriptor tied
// to a port. Leaves interrupts to kernel-irqs.ts and who may open what to kernel-half.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { type DomId, EvtchnPort } from '../../../lib/core/ids.js';
import type { BoundBell, Doorbell, Notifier, NotifyHandle } from '../../../lib/core/notify.js';
import type { Probe } from '../../../lib/core/probe.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import type { SharedFiles } from '../../../lib/core/shared.js';
import {
  COMMAND_DM_RAISE,
  COMMAND_NOTIFY,
  COMMAND_SHIFT,
  COMMAND_WRITE_BACK,
  DEV_EVTCHN,
  DEV_EVTCHN_RING_SIZE,
  EVENTFD_DIRECTION,
} from '../../../lib/layout/ours/dev-evtchn.js';
import { DIRECT_BELL_PREFIX } from '../../../lib/layout/ours/direct.js';
import { HOP } from '../../../lib/trace/hops.js';
import { POINT } from '../../../lib/trace/points.js';
import type { Domain } from '../domain/domain.js';
import type { DirectTable } from '../event/direct-table.js';
import { TwoLevel } from '../event/event-2l.js';
import type { EventChannels } from '../event/event-channels.js';
import type { IrqHandler, KernelIrqs } from './kernel-irqs.js';

const INDEX_MASK = DEV_EVTCHN_RING_SIZE - 1;
const PORT_MASK = (1 << COMMAND_SHIFT) - 1;

export interface EvtchnFileEnvironment {
  readonly dom0: Domain;
  readonly channels: EventChannels;
  readonly irqs: KernelIrqs;
  readonly doorbell: Doorbell;
  readonly files: SharedFiles;
  readonly probe: Probe;
  /** The table of a guest's direct entries. */
  directTable(domain: Domain): DirectTable | undefined;
  /** The dm_op evtchn_raise on behalf of the file's user; the file's user does not hear of a refusal. */
  readonly dmRaise: (domid: number, port: EvtchnPort) => void;
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

export class EvtchnFile {
  readonly fd: number;
  readonly handle: FileHandle;
  /** The bit that its user rings after putting commands in. */
  readonly written: NotifyHandle;
  readonly #env: EvtchnFileEnvironment;
  readonly #ports = new Map<EvtchnPort, BoundPort>();
  readonly #page: { bytes: Uint8Array; remove(): void };
  readonly #words: Uint32Array;
  readonly #bell: BoundBell;
  readonly #readable: Notifier;
  /** Commands taken; ours, whatever the page says. */
  #taken = 0;
  #readProd = 0;
  #open = true;

  /** Throws ErrnoError when the page, the bit or the user's handle is not to be had. */
  constructor(fd: number, readable: NotifyHandle, env: EvtchnFileEnvironment) {
    this.fd = fd;
    this.#env = env;
    this.#readable = env.doorbell.open(readable);
    try {
      this.#bell = env.doorbell.bind(() => this.#commands());
    } catch (error) {
      this.#readable.close();
      throw error;
    }
    try {
      const page = env.files.create(`shm/evtchn${fd}`, DEV_EVTCHN.SIZE);
      this.#page = page;
      this.handle = page.handle;
    } catch (error) {
      this.#readable.close();
      this.#bell.release();
      throw error;
    }
    this.#words = new Uint32Array(this.#page.bytes.buffer, this.#page.bytes.byteOffset, DEV_EVTCHN.SIZE >>> 2);
    this.written = this.#bell.handle;
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

  /** BIND_INTERDOMAIN, BIND_UNBOUND_PORT, BIND_VIRQ: what the hypercall gave becomes ours. `rc` may be -errno. */
  adopt(rc: number): number {
    if (rc < 0) return rc;
    const port = EvtchnPort(rc);
    if (this.#ports.size >= DEV_EVTCHN_RING_SIZE) {
      this.#env.channels.close(this.#env.dom0, port);
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

  /** Empties the read ring and forgets an overflow; ports stay disabled. */
  reset(): void {
    Atomics.store(this.#words, DEV_EVTCHN.READ_CONS >>> 2, this.#readProd);
    Atomics.store(this.#words, DEV_EVTCHN.READ_OVERFLOW >>> 2, 0);
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
    this.#bell.release();
    this.#readable.close();
    this.#page.remove();
  }

  /** The interrupt: into the read ring, disabled until written back. */
  #onEvent(bound: BoundPort): boolean {
    if (bound.notifier !== undefined) {
      this.#env.probe.at(HOP.hypervisorKick.point, '', bound.port, 0, bound.domid);
      bound.notifier.signal();
      return true;
    }
    bound.enabled = false;
    const cons = Atomics.load(this.#words, DEV_EVTCHN.READ_CONS >>> 2);
    if ((this.#readProd - cons) >>> 0 >= DEV_EVTCHN_RING_SIZE) {
      Atomics.store(this.#words, DEV_EVTCHN.READ_OVERFLOW >>> 2, 1);
    } else {
      this.#words[(DEV_EVTCHN.READ_RING >>> 2) + (this.#readProd & INDEX_MASK)] = bound.port;
      this.#readProd = (this.#readProd + 1) >>> 0;
      Atomics.store(this.#words, DEV_EVTCHN.READ_PROD >>> 2, this.#readProd);
    }
    this.#readable.signal();
    return false;
  }

  #writeBack(bound: BoundPort): void {
    if (bound.enabled) return;
    bound.enabled = true;
    this.#env.probe.at(HOP.hypervisorWriteBack.point, '', bound.port, 0, bound.domid);
    this.#env.irqs.lateEoi(bound.port);
  }

  #nextCommand(): number {
    const word = this.#words[(DEV_EVTCHN.COMMAND_RING >>> 2) + (this.#taken & INDEX_MASK)]!;
    this.#taken = (this.#taken + 1) >>> 0;
    Atomics.store(this.#words, DEV_EVTCHN.COMMAND_CONS >>> 2, this.#taken);
    return word;
  }

  /** The user rang: takes its commands in order. One that claims more than a ring of them loses them all. */
  #commands(): void {
    if (!this.#open) return;
    const prod = Atomics.load(this.#words, DEV_EVTCHN.COMMAND_PROD >>> 2);
    if ((prod - this.#taken) >>> 0 > DEV_EVTCHN_RING_SIZE) this.#taken = prod;
    while (this.#taken !== prod && this.#open) {
      const command = this.#nextCommand();
      if (command >>> COMMAND_SHIFT === COMMAND_DM_RAISE) {
        // A first word without its second is no command.
        if (this.#taken !== prod) this.#env.dmRaise(command & PORT_MASK, EvtchnPort(this.#nextCommand()));
        continue;
      }
      const bound = this.#ports.get(EvtchnPort(command & PORT_MASK));
      if (bound === undefined) continue;
      switch (command >>> COMMAND_SHIFT) {
        case COMMAND_NOTIFY:
          this.#env.channels.send(this.#env.dom0, bound.port);
          break;
        case COMMAND_WRITE_BACK:
          this.#writeBack(bound);
          break;
      }
    }
  }
}
