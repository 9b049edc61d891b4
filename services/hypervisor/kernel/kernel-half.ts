// The dom0 kernel's half for user processes of dom0: their open files of /dev/xen/evtchn, their mappings of guests, their
// ioeventfds and irqfds; and what becomes of all that when a process ends: given back (`fixed`), or left as Linux leaves
// it (`linux`). Leaves each device to its own file.

import type { Dom0Mode } from '../../../lib/core/dom0-modes.js';
import { ERRNO, errnoName } from '../../../lib/core/errno.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import type { DomId, EvtchnPort } from '../../../lib/core/ids.js';
import { DEV_EVTCHN_FILES_MAX } from '../../../lib/core/limits.js';
import type { NotifyHandle } from '../../../lib/core/notify.js';
import type { FileHandle, GrantHandle, Held } from '../../../lib/core/proto-types.js';
import { GRANT_FRAMES_MAX } from '../../../lib/layout/grant-table.js';
import { EVENTFD_DIRECTION } from '../../../lib/layout/ours/dev-evtchn.js';
import { POINT } from '../../../lib/trace/points.js';
import type { Domain } from '../domain/domain.js';
import type { Host } from '../host.js';
import { hypercall } from '../operations.js';
import type { EvtchnFile } from './evtchn-file.js';
import { EvtchnRingFile } from './evtchn-ring-file.js';
import { EvtchnStreamFile } from './evtchn-stream-file.js';
import { type IoeventfdSpec, Ioeventfds } from './ioeventfds.js';
import { type EventFd, Irqfds } from './irqfds.js';
import { KernelIrqs } from './kernel-irqs.js';

/** One process of dom0, by its connection. */
class KernelProcess {
  readonly files = new Map<number, EvtchnFile>();
  /** Count of mappings a domain, and of open files of /dev/xen/gntdev. */
  readonly mappings = new Map<Domain, number>();
  readonly gntdevs = new Map<Domain, number>();
}

export class KernelHalf {
  readonly #host: Host;
  readonly #mode: Dom0Mode;
  readonly #irqs: KernelIrqs;
  readonly #ioeventfds: Ioeventfds;
  readonly #irqfds: Irqfds;
  readonly #processes = new Map<object, KernelProcess>();
  #nextFd = 3;

  constructor(host: Host, mode: Dom0Mode) {
    this.#host = host;
    this.#mode = mode;
    this.#irqs = new KernelIrqs(host.dom0, host.channels);
    const { doorbell, probe } = host.env;
    this.#ioeventfds = new Ioeventfds({
      dom0: host.dom0,
      channels: host.channels,
      irqs: this.#irqs,
      doorbell,
      probe,
    });
    this.#irqfds = new Irqfds(doorbell, probe);
    host.onDying((domain) => this.#ioeventfds.releaseDomain(domain));
    host.onDetached((domain) => this.#ioeventfds.guestEnded(domain));
  }

  // --- /dev/xen/evtchn --------------------------------------------------------------------------------------------

  open(process: object, readable: NotifyHandle): EvtchnRingFile {
    this.#roomForFile();
    const { doorbell, files, probe } = this.#host.env;
    const { dom0, channels } = this.#host;
    const fd = this.#nextFd;
    const env = { dom0, channels, irqs: this.#irqs, doorbell, files, probe };
    const file = new EvtchnRingFile(fd, readable, {
      ...env,
      directTable: (domain) => this.#host.runOf(domain)?.direct,
      dmRaise: this.#dmRaise(),
    });
    this.#nextFd++;
    this.#of(process).files.set(fd, file);
    return file;
  }

  /** The same for a program with the preloaded library: `send` hands it the ports that it reads. */
  openStream(process: object, send: (bytes: Uint8Array) => void): EvtchnStreamFile {
    this.#roomForFile();
    const { doorbell, probe } = this.#host.env;
    const { dom0, channels } = this.#host;
    const directTable = (domain: Domain) => this.#host.runOf(domain)?.direct;
    const fd = this.#nextFd++;
    const file = new EvtchnStreamFile(fd, send, { dom0, channels, irqs: this.#irqs, doorbell, probe, directTable });
    this.#of(process).files.set(fd, file);
    return file;
  }

  #roomForFile(): void {
    let count = 0;
    for (const each of this.#processes.values()) count += each.files.size;
    if (count >= DEV_EVTCHN_FILES_MAX) throw new ErrnoError('ENOMEM', 'too many open event-channel files');
  }

  /** An open file of that process; the number of another process's file is as bad as none. */
  file(process: object, fd: number): EvtchnFile {
    const file = this.#processes.get(process)?.files.get(fd);
    if (file === undefined) throw new ErrnoError('EBADF', `${fd} is no open event-channel file of this process`);
    return file;
  }

  closeFile(process: object, fd: number): void {
    this.file(process, fd).close(this.#mode === 'linux');
    this.#processes.get(process)!.files.delete(fd);
  }

  bindInterdomain(process: object, fd: number, remoteDom: DomId, remotePort: EvtchnPort): number {
    const file = this.file(process, fd);
    return file.adopt(this.#host.channels.bindInterdomain(this.#host.dom0, remoteDom, remotePort));
  }

  bindUnbound(process: object, fd: number, remoteDom: DomId): number {
    const file = this.file(process, fd);
    return file.adopt(this.#host.channels.allocUnbound(this.#host.dom0, this.#host.dom0.domid, remoteDom));
  }

  bindVirq(process: object, fd: number, virq: number): number {
    const file = this.file(process, fd);
    return file.adopt(this.#host.channels.bindVirq(this.#host.dom0, virq, 0));
  }

  /** BIND_STATIC: a port that is there already; it stays when this file lets go of it. */
  bindStatic(process: object, fd: number, port: EvtchnPort): number {
    const file = this.file(process, fd);
    if (file.holds(port)) return -ERRNO.EISCONN;
    if (this.#host.dom0.ports.get(port)?.usable !== true) return -ERRNO.EINVAL;
    return file.adopt(port, true);
  }

  eventfd(
    process: object,
    fd: number,
    spec: {
      port: EvtchnPort;
      direction: number;
      deassign: boolean;
      direct?: boolean;
      handle: NotifyHandle | undefined;
    },
  ): NotifyHandle | undefined {
    const file = this.file(process, fd);
    const { port, direction, deassign, direct, handle } = spec;
    if (direction !== EVENTFD_DIRECTION.TO_PORT && direction !== EVENTFD_DIRECTION.FROM_PORT)
      throw new ErrnoError('EINVAL', `direction ${direction}`);
    if (!deassign) return file.eventfd(port, direction, handle, direct);
    file.eventfdDeassign(port, direction);
    return undefined;
  }

  // --- privcmd ----------------------------------------------------------------------------------------------------

  /** Maps a whole guest: its memory is held until unmapped or until the process ends. */
  mapForeign(process: object, domid: DomId): FileHandle {
    const { domain, ram } = this.#mappable(domid);
    this.#hold(this.#of(process).mappings, domain, 'mapping');
    return ram;
  }

  unmapForeign(process: object, domid: DomId): void {
    this.#unhold(this.#processes.get(process)?.mappings, domid, 'mapping');
  }

  /** The same for what a file of the process held: nothing when that process has ended before its file. */
  unmapForeignOf(process: object, domid: DomId): void {
    if (this.#processes.has(process)) this.unmapForeign(process, domid);
  }

  /** /dev/xen/gntdev: what a process needs to reach the granted pages of a guest, which it holds until closed. */
  openGrants(process: object, domid: DomId): GrantHandle {
    const { domain, ram } = this.#mappable(domid);
    const table = this.#host.grants.setup(domain, 1);
    if (typeof table === 'number') throw new ErrnoError('ENOMEM', `no grant table of ${GRANT_FRAMES_MAX} pages`);
    this.#hold(this.#of(process).gntdevs, domain, 'gntdev');
    return { ram, table };
  }

  closeGrants(process: object, domid: DomId): void {
    this.#unhold(this.#processes.get(process)?.gntdevs, domid, 'gntdev');
  }

  /** IOEVENTFD. `ports` must be bound on a file of that process. */
  ioeventfd(process: object, fd: number, spec: IoeventfdSpec, deassign: boolean): void {
    if (deassign) {
      this.#ioeventfds.deassign(process, spec);
      return;
    }
    if (spec.server.page === undefined) throw new ErrnoError('EFAULT', 'the page of the server is not mapped');
    const file = this.file(process, fd);
    if (spec.ports.some((port) => !file.holds(port)))
      throw new ErrnoError('ENOTCONN', 'a port is not bound on that file');
    this.#ioeventfds.assign(process, spec);
  }

  /** IOEVENTFD of a program: its ports need not be bound on a file of its own, as on Linux. */
  ioeventfdOf(process: object, spec: IoeventfdSpec): void {
    if (spec.server.page === undefined) throw new ErrnoError('EFAULT', 'the page of the server is not mapped');
    for (const port of spec.ports)
      if (this.#host.dom0.ports.get(port)?.usable !== true) throw new ErrnoError('EINVAL', `no port ${port}`);
    this.#ioeventfds.assign(process, spec);
  }

  ioeventfdDeassign(process: object, spec: Pick<IoeventfdSpec, 'server' | 'handle' | 'ports'>): void {
    this.#ioeventfds.deassign(process, spec);
  }

  /** IRQFD of a program, on its eventfd. */
  irqfdOf(process: object, domid: DomId, issue: () => number, fd: EventFd): void {
    const issued = this.#loggedOnce('irqfd: the stored dm_op failed');
    this.#irqfds.assignEventFd(process, domid, () => issued(domid, issue()), fd);
  }

  /** IRQFD. `issue` runs the stored dm_op: 0 or -errno, which only the log hears. */
  irqfd(process: object, domid: DomId, issue: () => number): NotifyHandle {
    const issued = this.#loggedOnce('irqfd: the stored dm_op failed');
    return this.#irqfds.assign(process, domid, () => issued(domid, issue()));
  }

  /** DM_OP evtchn_raise as the command ring of one open file carries it. */
  #dmRaise(): (domid: number, port: EvtchnPort) => void {
    const issued = this.#loggedOnce('the dm_op evtchn_raise failed');
    return (domid, port) => {
      const result = hypercall(this.#host, this.#host.dom0, 'dm.evtchn_raise', { domid, port });
      issued(domid, typeof result === 'number' ? result : 0);
    };
  }

  /** Logs the first of a run of failures. */
  #loggedOnce(what: string): (domid: number, rc: number) => void {
    let failing = false;
    return (domid, rc) => {
      if (rc < 0 && !failing) {
        this.#host.env.log.warn({ domid, errno: errnoName(-rc) }, what);
        this.#host.env.probe.at(POINT['error.dm-op'], '', -rc, 0, domid);
      }
      failing = rc < 0;
    };
  }

  irqfdDeassign(process: object, handle: NotifyHandle): void {
    this.#irqfds.deassign(process, handle);
  }

  // --- ends -------------------------------------------------------------------------------------------------------

  /** A process of dom0 ended, by whatever cause. */
  processEnded(process: object): void {
    this.#host.grants.release(process, (domain) => this.#host.forgetUnheld(domain));
    const held = this.#processes.get(process);
    if (this.#mode === 'fixed') {
      this.#ioeventfds.release(process);
      this.#irqfds.release(process);
    }
    if (held === undefined) return;
    this.#processes.delete(process);
    for (const file of held.files.values()) file.close(this.#mode === 'linux');
    for (const [domain, count] of held.mappings) for (let n = 0; n < count; n++) this.#letGo(domain, 'mapping');
    for (const [domain, count] of held.gntdevs) for (let n = 0; n < count; n++) this.#letGo(domain, 'gntdev');
  }

  /** The host goes down: nothing is left, whatever the mode. */
  close(): void {
    this.#host.grants.release(this.#host.dom0, () => {});
    for (const process of [...this.#processes.keys()]) {
      this.#ioeventfds.release(process);
      this.#irqfds.release(process);
      this.processEnded(process);
    }
  }

  /** Whether a port of dom0 belongs to a file or is held by the kernel itself. */
  holdsPort(port: EvtchnPort): boolean {
    return this.#irqs.has(port);
  }

  *held(): Iterable<Held> {
    for (const { files, mappings, gntdevs } of this.#processes.values()) {
      for (const file of files.values()) {
        yield { kind: 'file', name: `evtchn ${file.fd}` };
        for (const port of file.ports) {
          yield { kind: 'port', name: `0/${port}` };
          if (file.hasEventfd(port)) yield { kind: 'eventfd', name: `0/${port}` };
        }
      }
      for (const domain of mappings.keys()) yield { kind: 'mapping', name: `${domain.domid}` };
      for (const domain of gntdevs.keys()) yield { kind: 'gntdev', name: `${domain.domid}` };
    }
    for (const name of this.#host.grants.held()) yield { kind: 'grant', name };
    for (const name of this.#ioeventfds.held()) yield { kind: 'ioeventfd', name };
    for (const name of this.#irqfds.held()) yield { kind: 'irqfd', name };
  }

  #of(process: object): KernelProcess {
    let held = this.#processes.get(process);
    if (held === undefined) {
      held = new KernelProcess();
      this.#processes.set(process, held);
    }
    return held;
  }

  #mappable(domid: DomId): { domain: Domain; ram: FileHandle } {
    const domain = this.#host.domains.find(domid);
    const guest = domain === undefined ? undefined : this.#host.runOf(domain);
    if (domain === undefined || guest === undefined) throw new ErrnoError('ESRCH', `no domain ${domid}`);
    if (domain.dying) throw new ErrnoError('EINVAL', `domain ${domid} is dying`);
    return { domain, ram: guest.files.ram.handle };
  }

  #hold(counts: Map<Domain, number>, domain: Domain, what: string): void {
    counts.set(domain, (counts.get(domain) ?? 0) + 1);
    domain.holders++;
    this.#host.env.probe.at(POINT['kernel.take'], what, domain.domid, 0, domain.domid);
  }

  #unhold(counts: Map<Domain, number> | undefined, domid: DomId, what: string): void {
    for (const [domain, count] of counts ?? []) {
      if (domain.domid !== domid) continue;
      if (count === 1) counts!.delete(domain);
      else counts!.set(domain, count - 1);
      this.#letGo(domain, what);
      return;
    }
    throw new ErrnoError('EINVAL', `this process holds no ${what} of domain ${domid}`);
  }

  #letGo(domain: Domain, what: string): void {
    domain.holders--;
    this.#host.env.probe.at(POINT['kernel.give'], what, domain.domid, 0, domain.domid);
    this.#host.forgetUnheld(domain);
  }
}

/** Throws what a hypercall refused; gives what it answered. */
export function check(rc: number): number {
  if (rc < 0) throw new ErrnoError(errnoName(-rc));
  return rc;
}
