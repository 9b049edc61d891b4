// One guest as a device model sees it: an ioreq server with its page and the vCPUs' ports; and the loop that answers slots. Every
// slot that was taken is answered, whatever a peer does to its device: an unanswered one stops the vCPU. Only a bug of ours leaves
// it: this process ends, and the next one adopts the server and executes the slot again.
//
// Adoption: ioreq servers outlive the process that made them, with requests that wait in their slots. Such a request waits here
// too until the device that it is for has claimed its range again, however long that takes, or until settled() says that every
// device has claimed what it will. Leaves what an address means to the ranges that devices put in.

import type { Remote } from '../../lib/core/bus.js';
import { ErrnoError, errorMessage, isOurBug, passOver } from '../../lib/core/errors.js';
import { meetsRam, ramFileSize } from '../../lib/core/guest-ram.js';
import { type DomId, type EvtchnPort, evtchnPortFrom } from '../../lib/core/ids.js';
import type { Log } from '../../lib/core/log.js';
import type { Probe } from '../../lib/core/probe.js';
import type { SharedFiles } from '../../lib/core/shared.js';
import {
  HVMIO_MEMORY,
  MAX_NR_IOREQ_SERVERS,
  XENMEM_resource_ioreq_server,
  XENMEM_resource_ioreq_server_frame_ioreq,
} from '../../lib/layout/ioreq.js';
import { HOP } from '../../lib/trace/hops.js';
import { POINT } from '../../lib/trace/points.js';
import { overlaps } from '../../lib/xenbus/keys.js';
import type { EvtchnClient } from './evtchn-client.js';
import { type IoRequest, IoreqSlots } from './ioreq-slots.js';
import type { Ledger } from './ledger.js';

/** Answers accesses of a range; `offset` from its base. Reads resolve with their value; a rejection is a bug of ours. */
export interface RangeOwner {
  access(offset: number, request: IoRequest): number | Promise<number>;
}

interface Range {
  readonly base: number;
  readonly size: number;
  readonly owner: RangeOwner;
  readonly giveBack: () => void;
}

export interface IoreqClientDeps {
  readonly hypervisor: Remote<'Hypervisor'>;
  readonly evtchn: EvtchnClient;
  readonly shared: SharedFiles;
  readonly ledger: Ledger;
  readonly probe: Probe;
  readonly log: Log;
  /** A bug of ours: this process cannot go on. */
  onFailure(error: unknown): void;
}

export class IoreqClient {
  readonly domid: DomId;
  /** The first address beyond the guest's RAM (lib/core/guest-ram.ts). */
  #ramEnd = 0;
  /** Of the ioreq server. */
  serverId = 0;
  /** Local ports of the vCPUs' requests, index = vCPU. */
  readonly vcpuPorts: EvtchnPort[] = [];
  readonly #deps: IoreqClientDeps;
  readonly #ranges: Range[] = [];
  #slots: IoreqSlots | undefined;
  /** The server was another emulator's: ranges that its devices had are registered there. */
  #adopted = false;
  /** Requests may be for devices that have not claimed their ranges again yet. */
  #settling = false;
  #waiting: { readonly request: IoRequest; readonly port: EvtchnPort }[] = [];
  /** Requests whose answer is under way. */
  readonly #pending = new Set<Promise<void>>();
  /** What to do at the end, last first. */
  readonly #undo: (() => Promise<unknown> | unknown)[] = [];

  private constructor(domid: DomId, deps: IoreqClientDeps) {
    this.domid = domid;
    this.#deps = deps;
  }

  /** Rejects with ErrnoError when there is no such domain, or Xen has no room; nothing is held then. */
  static async open(domid: DomId, deps: IoreqClientDeps): Promise<IoreqClient> {
    const client = new IoreqClient(domid, deps);
    try {
      await client.#open();
    } catch (error) {
      await client.close();
      throw error;
    }
    return client;
  }

  async #open(): Promise<void> {
    const { domid } = this;
    const { hypervisor } = this.#deps;
    const { domains } = await hypervisor.domctl_getdomaininfolist({});
    const info = domains.find((domain) => domain.domid === domid);
    if (info === undefined) throw new ErrnoError('ESRCH', `no domain ${domid}`);
    this.#ramEnd = ramFileSize(info.memory_mib * 2 ** 20);
    const { vcpus } = await hypervisor.dm_nr_vcpus({ domid });
    if (await this.#adopt(vcpus)) return;
    const { id } = await hypervisor.dm_create_ioreq_server({ domid, handle_bufioreq: 0 });
    this.serverId = id;
    this.#undo.push(this.#destroyer(id));
    await this.#connect(vcpus);
  }

  /**
   * Takes over a server whose ports no process holds: it was left by an emulator that died
   * (docs/recovery.md). False when there is none.
   */
  async #adopt(vcpus: number): Promise<boolean> {
    const { domid } = this;
    const { hypervisor, log } = this.#deps;
    const there = (id: number) =>
      hypervisor.dm_get_ioreq_server_info({ domid, id }).then(
        () => true,
        (error: unknown) => {
          if (error instanceof ErrnoError) return false;
          throw error;
        },
      );
    const found = await Promise.all(Array.from({ length: MAX_NR_IOREQ_SERVERS }, (_, id) => there(id)));
    for (const [id, exists] of found.entries()) {
      if (!exists) continue;
      this.serverId = id;
      const before = this.#undo.length;
      this.#adopted = true;
      this.#settling = true;
      try {
        await this.#connect(vcpus);
      } catch (error) {
        if (!(error instanceof ErrnoError)) throw error;
        this.#adopted = false;
        this.#settling = false;
        await this.#undoTo(before); // an emulator lives that serves it
        continue;
      }
      this.#undo.splice(before, 0, this.#destroyer(id));
      log.info({ domid, server: id }, 'adopted an ioreq server');
      return true;
    }
    return false;
  }

  #destroyer(id: number): () => Promise<unknown> {
    const destroyed = this.#deps.ledger.take('ioreq server', id, this.domid);
    return () => this.#deps.hypervisor.dm_destroy_ioreq_server({ domid: this.domid, id }).finally(destroyed);
  }

  /** Maps the server's page, enables it, binds its ports. */
  async #connect(vcpus: number): Promise<void> {
    const { domid, serverId: id } = this;
    const { hypervisor, shared, evtchn } = this.#deps;
    // The page before enabling, the ports after: only enabling writes vp_eport, and only into a page that exists.
    const page = await hypervisor.xenmem_acquire_resource({
      domid,
      type: XENMEM_resource_ioreq_server,
      id,
      frame: XENMEM_resource_ioreq_server_frame_ioreq,
      nr_frames: 1,
    });
    const mapping = shared.map(page.file);
    this.#undo.push(() => {
      this.#slots = undefined;
      mapping.close();
    });
    const slots = new IoreqSlots(mapping.bytes, vcpus);
    await hypervisor.dm_set_ioreq_server_state({ domid, id, enabled: true });
    for (let vcpu = 0; vcpu < vcpus; vcpu++) {
      const remote = evtchnPortFrom(slots.port(vcpu));
      const port = await evtchn.bindInterdomain(domid, remote, (local) => this.#serve(vcpu, local));
      this.vcpuPorts.push(port);
      this.#undo.push(() => {
        this.vcpuPorts.splice(this.vcpuPorts.indexOf(port), 1);
        return evtchn.unbind(port);
      });
      if (!this.#settling) continue;
      const left = slots.take(vcpu, true);
      if (left !== undefined) this.#waiting.push({ request: left, port });
      else if (slots.answered(vcpu)) evtchn.notify(port); // it died between the answer and saying so
    }
    this.#slots = slots;
    this.#undo.push(() => this.#finish());
    // What came while the ports were bound was not looked at yet.
    for (const [vcpu, port] of this.vcpuPorts.entries()) this.#serve(vcpu, port);
    evtchn.flush();
  }

  /** Every device has claimed the ranges that it will: what waits is for none of them, and is answered so. */
  settled(): void {
    this.#settling = false;
    for (const { request, port } of this.#waiting.splice(0)) this.#execute(request, port);
    this.#deps.evtchn.flush();
  }

  /**
   * Claims a range of guest-physical addresses. Rejects with ErrnoError (EINVAL) where it meets RAM, (EEXIST) where it
   * meets another one.
   */
  async addRange(base: number, size: number, owner: RangeOwner): Promise<void> {
    if (meetsRam(this.#ramEnd, base, size)) throw new ErrnoError('EINVAL', `base 0x${base.toString(16)} lies in RAM`);
    if (this.#ranges.some((range) => overlaps(range, { base, size })))
      throw new ErrnoError('EEXIST', `base 0x${base.toString(16)} meets another device`);
    // In place first: an access may come before the call is answered.
    const range = { base, size, owner, giveBack: this.#deps.ledger.take('range', base, this.domid) };
    this.#ranges.push(range);
    try {
      await this.#deps.hypervisor.dm_map_io_range_to_ioreq_server(this.#ioRange(base, size));
    } catch (error) {
      // An adopted server may have it already.
      if (!(this.#adopted && error instanceof ErrnoError && error.code === 'EEXIST')) {
        this.#drop(range);
        throw error;
      }
    }
    const ours = this.#waiting.filter(({ request }) => this.#rangeOf(request) === range);
    for (const each of ours) {
      this.#waiting.splice(this.#waiting.indexOf(each), 1);
      this.#execute(each.request, each.port);
    }
    this.#deps.evtchn.flush();
  }

  /** Accesses under way are still answered. */
  async removeRange(base: number): Promise<void> {
    const range = this.#ranges.find((r) => r.base === base);
    if (range === undefined) return;
    try {
      await this.#deps.hypervisor.dm_unmap_io_range_from_ioreq_server(this.#ioRange(base, range.size));
    } finally {
      this.#drop(range);
    }
  }

  /** Gives back everything, the range owners' too. What the hypervisor will not take back is gone with the guest. */
  async close(): Promise<void> {
    this.settled();
    for (const range of [...this.#ranges]) await this.removeRange(range.base).catch(passOver);
    await this.#undoTo(0);
  }

  async #undoTo(length: number): Promise<void> {
    while (this.#undo.length > length) {
      try {
        await this.#undo.pop()!();
      } catch (error) {
        if (isOurBug(error)) throw error;
        this.#deps.log.debug({ domid: this.domid }, `giving back: ${errorMessage(error)}`);
      }
    }
  }

  #ioRange(base: number, size: number) {
    return { domid: this.domid, id: this.serverId, type: HVMIO_MEMORY, start: base, end: base + size - 1 };
  }

  #drop(range: Range): void {
    const at = this.#ranges.indexOf(range);
    if (at >= 0) this.#ranges.splice(at, 1);
    range.giveBack();
  }

  /** The server goes: no device answers new accesses, those in its slots are answered first. */
  async #finish(): Promise<void> {
    const { hypervisor, evtchn } = this.#deps;
    await hypervisor
      .dm_set_ioreq_server_state({ domid: this.domid, id: this.serverId, enabled: false })
      .catch(passOver); // the guest may be gone already
    await Promise.all(this.#pending);
    for (const [vcpu, port] of this.vcpuPorts.entries()) this.#serve(vcpu, port);
    await Promise.all(this.#pending);
    evtchn.flush();
  }

  /** An event on a vCPU's port. The kernel half may have taken the request; the port is written back all the same. */
  #serve(vcpu: number, port: EvtchnPort): void {
    const request = this.#slots?.take(vcpu);
    if (request === undefined) {
      this.#deps.probe.at(HOP.frontendPassedBy.point, '', port, 0, this.domid);
      this.#deps.evtchn.writeBack(port);
      return;
    }
    const point = request.read ? POINT['ioreq.read'] : HOP.frontendSlot.point;
    this.#deps.probe.at(point, '', request.addr, request.value, this.domid);
    if (this.#settling && this.#rangeOf(request) === undefined) this.#waiting.push({ request, port });
    else this.#execute(request, port);
  }

  #execute(request: IoRequest, port: EvtchnPort): void {
    let value: number | undefined | Promise<number>;
    try {
      value = this.#access(request);
    } catch (error) {
      this.#deps.onFailure(error);
      return;
    }
    if (!(value instanceof Promise)) {
      this.#answer(request, port, value);
      return;
    }
    const answered: Promise<void> = value
      .then((result) => {
        this.#answer(request, port, result);
        this.#deps.evtchn.flush();
      })
      .catch(this.#deps.onFailure)
      .finally(() => this.#pending.delete(answered));
    this.#pending.add(answered);
  }

  #access(request: IoRequest): number | undefined | Promise<number> {
    const range = this.#rangeOf(request);
    return range?.owner.access(request.addr - range.base, request);
  }

  #rangeOf({ addr, size, plain }: IoRequest): Range | undefined {
    return plain ? this.#ranges.find((r) => addr >= r.base && addr + size <= r.base + r.size) : undefined;
  }

  #answer(request: IoRequest, port: EvtchnPort, value: number | undefined): void {
    this.#deps.probe.at(POINT['ioreq.answer'], '', request.addr, value ?? 0xffffffff, this.domid);
    this.#slots?.answer(request, value);
    this.#deps.evtchn.notify(port);
    this.#deps.evtchn.writeBack(port);
  }
}
