// Xen's half of the host: makes and ends domains, and ties event channels, ioreq servers and guests together. Pure: files,
// doorbells, randomness and log are given to it. Leaves dom0's kernel to kernel-half.ts, names and classes of calls to
// operations.ts.
import { ERRNO } from '../../lib/core/errno.js';
import { ErrnoError } from '../../lib/core/errors.js';
import type { Log } from '../../lib/core/log.js';
import { RegionMemory } from '../../lib/core/memory.js';
import type { Doorbell } from '../../lib/core/notify.js';
import type { Probe } from '../../lib/core/probe.js';
import type { SharedFiles } from '../../lib/core/shared.js';
import { SHUTDOWN, SHUTDOWN_MAX, VIRQ } from '../../lib/layout/evtchn.js';
import { POINT } from '../../lib/trace/points.js';
import type { Domain } from './domain/domain.js';
import { DomainFiles, DomainRun } from './domain/domain-run.js';
import { type DomainRequest, Domains, type Randomness } from './domain/domains.js';
import { EventChannels } from './event/event-channels.js';
import { PortMoves } from './event/port-moves.js';
import { XenEvents } from './event/xen-events.js';
import { Grants } from './grant/grants.js';
import { IoreqServers } from './ioreq/ioreq-servers.js';

const { EINVAL, ENOMEM } = ERRNO;

export interface HostEnvironment {
  readonly files: SharedFiles;
  readonly doorbell: Doorbell;
  readonly probe: Probe;
  readonly log: Log;
  readonly random: Randomness;
  /** The dm_op evtchn_raise exists: for the paths `dmop` and `irqfd`. */
  readonly evtchnRaise: boolean;
}

export class Host {
  readonly domains: Domains;
  readonly channels: EventChannels;
  readonly events: XenEvents;
  readonly ioreq: IoreqServers;
  readonly grants: Grants;
  readonly env: HostEnvironment;
  readonly #runs = new Map<Domain, DomainRun>();
  /** Told when a domain starts to die, before its memory goes. */
  readonly #dying: ((domain: Domain) => void)[] = [];
  /** Told when the process that ran a domain has ended. */
  readonly #detached: ((domain: Domain) => void)[] = [];
  /** Told when a domain stops by another's doing: crashed or shut down. */
  readonly #stopped: ((domain: Domain) => void)[] = [];

  constructor(env: HostEnvironment) {
    this.env = env;
    this.domains = new Domains(env.random);
    const moves = new PortMoves(env.probe);
    this.channels = new EventChannels(this.domains, moves);
    this.events = new XenEvents(this.domains, moves);
    this.grants = new Grants(env.files, env.probe);
    this.ioreq = new IoreqServers({
      events: this.events,
      files: env.files,
      probe: env.probe,
      crash: (domain, why) => this.crash(domain, why),
    });
  }

  get evtchnRaise(): boolean {
    return this.env.evtchnRaise;
  }

  get dom0(): Domain {
    return this.domains.hardwareDomain;
  }

  /** What a guest runs on; dom0 has none, its vCPU is this process. */
  runOf(domain: Domain): DomainRun | undefined {
    return this.#runs.get(domain);
  }

  onDying(action: (domain: Domain) => void): void {
    this.#dying.push(action);
  }

  onDetached(action: (domain: Domain) => void): void {
    this.#detached.push(action);
  }

  onStopped(action: (domain: Domain) => void): void {
    this.#stopped.push(action);
  }

  /** Makes a domain, paused. -errno when it may not be or there is no room. */
  create(request: DomainRequest): Domain | number {
    const domid = this.domains.check(request);
    if (domid < 0) return domid;
    let files: DomainFiles;
    try {
      files = new DomainFiles(this.env.files, domid, request.memoryMib);
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      this.env.log.warn({ error: error.message }, `no room for domain ${domid}`);
      return -ENOMEM;
    }
    const domain = this.domains.create(domid, request, {
      sharedInfo: files.sharedInfo.bytes,
      memory: new RegionMemory(files.ram.regions),
    });
    const { channels, ioreq } = this;
    const { doorbell, probe } = this.env;
    const crash = (which: Domain, why: string): void => this.crash(which, why);
    this.#runs.set(domain, new DomainRun(domain, files, { channels, ioreq, probe, doorbell, crash }));
    probe.at(POINT['domain.take'], '', domid, 0, domid);
    return domain;
  }

  pause(domain: Domain): number {
    if (domain === this.dom0) return -EINVAL;
    domain.pauseCount++;
    return 0;
  }

  unpause(domain: Domain): number {
    if (domain === this.dom0 || domain.pauseCount === 0) return -EINVAL;
    domain.pauseCount--;
    if (domain.running) this.#runs.get(domain)?.resume();
    return 0;
  }

  shutdown(domain: Domain, reason: number): number {
    if (reason > SHUTDOWN_MAX || domain === this.dom0) return -EINVAL;
    if (domain.dying || domain.shutdownReason !== undefined) return 0;
    domain.shutdownReason = reason;
    this.env.probe.at(POINT['domain.shutdown'], '', reason, 0, domain.domid);
    this.#changed(domain);
    return 0;
  }

  /** domain_crash: the guest ends, its host goes on. */
  crash(domain: Domain, why: string): void {
    this.env.log.warn({ domid: domain.domid, why }, `domain ${domain.domid} crashed: ${why}`);
    this.env.probe.at(POINT['domain.crash'], '', 0, 0, domain.domid);
    this.remoteShutdown(domain, SHUTDOWN.crash);
  }

  /** A shutdown that the domain did not ask for itself. */
  remoteShutdown(domain: Domain, reason: number): number {
    const before = domain.shutdownReason;
    const rc = this.shutdown(domain, reason);
    if (rc === 0 && before === undefined && !domain.dying) for (const action of this.#stopped) action(domain);
    return rc;
  }

  /** Ends a domain: ports and servers go, peers' ports fall to unbound, files are removed. Its domid stays until no process maps its memory. */
  destroy(domain: Domain): number {
    if (domain === this.dom0) return -EINVAL;
    if (domain.life !== 'alive') return 0;
    domain.life = 'dying';
    this.domains.revoke(domain);
    for (const action of this.#dying) action(domain);
    this.ioreq.destroyAll(domain);
    this.events.closeAll(domain);
    this.grants.release(domain, (granter) => this.forgetUnheld(granter));
    this.grants.drop(domain);
    this.#runs.get(domain)?.close();
    this.#changed(domain);
    this.forgetUnheld(domain);
    return 0;
  }

  /** Called after a process unmapped a dying domain: the last one frees its domid. */
  forgetUnheld(domain: Domain): void {
    if (domain.life !== 'dying' || domain.holders > 0) return;
    domain.life = 'gone';
    this.#runs.delete(domain);
    this.domains.forget(domain);
    this.env.probe.at(POINT['domain.give'], '', domain.domid, 0, domain.domid);
    this.events.sendGlobalVirq(VIRQ.DOM_EXC);
  }

  /** The process of a guest ended: unless its domain had shut down, that is a crash. */
  processEnded(process: object): void {
    for (const guest of this.#runs.values()) {
      if (guest.process !== process) continue;
      guest.detach();
      for (const action of this.#detached) action(guest.domain);
      if (guest.domain.life === 'alive' && guest.domain.shutdownReason === undefined) {
        this.crash(guest.domain, 'its process ended');
      }
      this.forgetUnheld(guest.domain);
    }
  }

  /** Removes every domain: the host goes down. */
  close(): void {
    for (const guest of [...this.#runs.values()]) {
      guest.detach();
      this.destroy(guest.domain);
    }
  }

  #changed(domain: Domain): void {
    this.domains.markChanged(domain);
    this.events.sendGlobalVirq(VIRQ.DOM_EXC);
  }
}
