// Ioreq servers: which device model answers which of a guest's accesses, and the slot that a vCPU waits on
// (xen/common/ioreq.c). Every operation answers 0 or an id, or minus an error number.
// A primer. Xen fills the vCPU's slot with state NONE, then stores READY and signals vp_eport; the emulator may store
// INPROCESS, works, stores data, then RESP_READY, and signals back; Xen stores NONE and takes the data. A state that goes
// down or past 3 crashes the guest; NONE found while waiting means "done, all ones".
// Leaves the exit that caused a request to vcpu-exits.ts and dom0's end to the kernel half.
import { ERRNO } from '../../../lib/core/errno.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { EvtchnPort } from '../../../lib/core/ids.js';
import type { Probe } from '../../../lib/core/probe.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import type { SharedFiles } from '../../../lib/core/shared.js';
import {
  HVM_IOREQSRV_BUFIOREQ_ATOMIC,
  HVM_IOREQSRV_BUFIOREQ_OFF,
  HVMIO_MEMORY,
  HVMIO_PCI,
  HVMIO_PORT,
  IOREQ_PAGE_SIZE,
  IOREQ_TYPE_PCI_CONFIG,
  IOREQ_TYPE_PIO,
  MAX_NR_IO_RANGES,
  MAX_NR_IOREQ_SERVERS,
  NR_IO_RANGE_TYPES,
  STATE_IOREQ_NONE,
  STATE_IOREQ_READY,
  STATE_IORESP_READY,
  XENMEM_resource_ioreq_server_frame_bufioreq,
  XENMEM_resource_ioreq_server_frame_ioreq,
} from '../../../lib/layout/ioreq.js';
import { POINT } from '../../../lib/trace/points.js';
import type { Domain } from '../domain/domain.js';
import type { XenEvents } from '../event/xen-events.js';
import { IoreqBuffer } from './ioreq-buffer.js';
import { type Ioreq, IoreqPage } from './ioreq-page.js';
import { RangeSet } from './rangeset.js';

const { EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC, EPERM } = ERRNO;

/** Port 0 is never handed out. */
const NO_PORT = EvtchnPort(0);

/** What a vCPU does with the answer; halves of the 64-bit data. */
export type IoDone = (dataLow: number, dataHigh: number) => void;

export class IoreqServer {
  readonly domain: Domain;
  readonly id: number;
  /** The domain that created it: every other one is refused. */
  readonly emulator: Domain;
  readonly bufferMode: number;
  readonly ranges: readonly RangeSet[];
  /** Xen's port of each vCPU, and of the buffered page (0: none). */
  readonly ports: EvtchnPort[];
  bufferPort: EvtchnPort = NO_PORT;
  enabled = false;
  destroyed = false;
  page: IoreqPage | undefined;
  buffer: IoreqBuffer | undefined;
  readonly files: { handle: FileHandle; remove(): void }[] = [];
  /** Per vCPU: who waits for the answer, and the highest state seen since READY. */
  readonly waiting: (IoDone | undefined)[];
  readonly seen: Uint8Array;

  constructor(domain: Domain, id: number, emulator: Domain, bufferMode: number) {
    this.domain = domain;
    this.id = id;
    this.emulator = emulator;
    this.bufferMode = bufferMode;
    this.ranges = Array.from({ length: NR_IO_RANGE_TYPES }, () => new RangeSet(MAX_NR_IO_RANGES));
    this.ports = new Array<EvtchnPort>(domain.vcpus.length).fill(NO_PORT);
    this.waiting = new Array(domain.vcpus.length).fill(undefined);
    this.seen = new Uint8Array(domain.vcpus.length);
  }

  get buffered(): boolean {
    return this.bufferMode !== HVM_IOREQSRV_BUFIOREQ_OFF;
  }
}

export interface IoreqEnvironment {
  readonly events: XenEvents;
  readonly files: SharedFiles;
  readonly probe: Probe;
  /** Ends a guest that a device model drove into an impossible state. */
  crash(domain: Domain, why: string): void;
}

export class IoreqServers {
  readonly #env: IoreqEnvironment;

  constructor(env: IoreqEnvironment) {
    this.#env = env;
  }

  /** A server that the caller may act on, or -errno. */
  find(caller: Domain, domain: Domain, id: number): IoreqServer | number {
    const server = domain.ioreqServers[id];
    if (!server) return -ENOENT;
    return server.emulator === caller ? server : -EPERM;
  }

  /** Answers the new id. */
  create(caller: Domain, domain: Domain, bufferMode: number): number {
    if (bufferMode > HVM_IOREQSRV_BUFIOREQ_ATOMIC) return -EINVAL;
    const id = domain.ioreqServers.indexOf(null);
    if (id < 0) return -ENOSPC;
    const server = new IoreqServer(domain, id, caller, bufferMode);
    for (const vcpu of domain.vcpus) {
      const port = this.#env.events.allocPort(domain, vcpu.id, caller.domid, () => this.#signalled(server, vcpu.id));
      if (port < 0) {
        this.#freePorts(server);
        return port;
      }
      server.ports[vcpu.id] = EvtchnPort(port);
    }
    if (server.buffered) {
      const port = this.#env.events.allocPort(domain, 0, caller.domid, () => {});
      if (port < 0) {
        this.#freePorts(server);
        return port;
      }
      server.bufferPort = EvtchnPort(port);
    }
    domain.ioreqServers[id] = server;
    this.#env.probe.at(POINT['ioreq-server.take'], '', id, 0, domain.domid);
    return id;
  }

  mapRange(server: IoreqServer, type: number, start: bigint, end: bigint): number {
    const ranges = server.ranges[type];
    if (ranges === undefined) return -EINVAL;
    if (ranges.overlaps(start, end)) return -EEXIST;
    if (!ranges.add(start, end)) return -ENOMEM;
    this.#env.probe.at(POINT['range.take'], '', Number(start), Number(end), server.domain.domid);
    return 0;
  }

  unmapRange(server: IoreqServer, type: number, start: bigint, end: bigint): number {
    const ranges = server.ranges[type];
    if (ranges === undefined) return -EINVAL;
    if (!ranges.contains(start, end)) return -ENOENT;
    if (!ranges.remove(start, end)) return -ENOMEM;
    this.#env.probe.at(POINT['range.give'], '', Number(start), Number(end), server.domain.domid);
    return 0;
  }

  setState(server: IoreqServer, enabled: boolean): number {
    if (enabled && !server.enabled && server.page !== undefined) {
      // Published at the change only: a page acquired later has vp_eport 0, and every access fails the port check.
      for (let slot = 0; slot < server.ports.length; slot++) server.page.setVpEport(slot, server.ports[slot]!);
    }
    server.enabled = enabled;
    return 0;
  }

  /** Gives back pages, ports and the id. A vCPU that waits on it is not woken: as in Xen, it waits until its domain ends. */
  destroy(server: IoreqServer): number {
    server.enabled = false;
    server.destroyed = true;
    this.#freePorts(server);
    server.page?.drop();
    server.buffer?.drop();
    for (const file of server.files.splice(0)) file.remove();
    for (const set of server.ranges)
      for (const { start, end } of set.ranges)
        this.#env.probe.at(POINT['range.give'], '', Number(start), Number(end), server.domain.domid);
    server.domain.ioreqServers[server.id] = null;
    this.#env.probe.at(POINT['ioreq-server.give'], '', server.id, 0, server.domain.domid);
    return 0;
  }

  destroyAll(domain: Domain): void {
    for (const server of [...domain.ioreqServers]) if (server) this.destroy(server);
  }

  #freePorts(server: IoreqServer): void {
    for (const port of server.ports) if (port !== NO_PORT) this.#env.events.freePort(server.domain, port);
    if (server.bufferPort !== NO_PORT) this.#env.events.freePort(server.domain, server.bufferPort);
    server.ports.fill(NO_PORT);
    server.bufferPort = NO_PORT;
  }

  /** XENMEM_acquire_resource of one frame: makes the pages at the first call. A handle, or -errno. */
  acquireFrame(server: IoreqServer, frame: number): FileHandle | number {
    if (frame > XENMEM_resource_ioreq_server_frame_ioreq) return -EINVAL;
    if (frame === XENMEM_resource_ioreq_server_frame_bufioreq && !server.buffered) return -ENOENT;
    if (server.page === undefined) {
      const failed = this.#makePages(server);
      if (failed < 0) return failed;
    }
    return server.files[frame === XENMEM_resource_ioreq_server_frame_ioreq ? 0 : 1]!.handle;
  }

  #makePages(server: IoreqServer): number {
    if (server.domain.dying) return -EINVAL;
    const base = `shm/dom${server.domain.domid}.ioreq${server.id}`;
    try {
      const page = this.#env.files.create(base, IOREQ_PAGE_SIZE);
      server.files.push(page);
      server.page = new IoreqPage(page.bytes);
      if (!server.buffered) return 0;
      const buffer = this.#env.files.create(`${base}.buf`, IOREQ_PAGE_SIZE);
      server.files.push(buffer);
      server.buffer = new IoreqBuffer(buffer.bytes, server.bufferMode === HVM_IOREQSRV_BUFIOREQ_ATOMIC);
      return 0;
    } catch (error) {
      server.page?.drop();
      server.page = undefined;
      for (const file of server.files.splice(0)) file.remove();
      if (error instanceof ErrnoError) return -ENOMEM;
      throw error;
    }
  }

  /** The server that claims an access whole, highest id first; undefined when no server does. */
  select(domain: Domain, type: number, first: number, last: number): IoreqServer | undefined {
    const kind = type === IOREQ_TYPE_PIO ? HVMIO_PORT : type === IOREQ_TYPE_PCI_CONFIG ? HVMIO_PCI : HVMIO_MEMORY;
    for (let id = MAX_NR_IOREQ_SERVERS - 1; id >= 0; id--) {
      const server = domain.ioreqServers[id];
      if (server?.enabled && server.ranges[kind]!.containsAccess(first, last)) return server;
    }
    return undefined;
  }

  /**
   * Puts a request into the vCPU's slot and signals the emulator; `done` runs when it was answered, perhaps before this
   * returns. False when the slot is not as Xen left it: no answer will come.
   */
  send(server: IoreqServer, vcpuId: number, request: Ioreq, done: IoDone): boolean {
    const { page } = server;
    if (page === undefined || server.waiting[vcpuId] !== undefined) return false;
    if (page.state(vcpuId) !== STATE_IOREQ_NONE || page.vpEport(vcpuId) !== server.ports[vcpuId]) return false;
    page.fill(vcpuId, request);
    server.waiting[vcpuId] = done;
    server.seen[vcpuId] = STATE_IOREQ_READY;
    this.#env.probe.at(POINT['ioreq.fill'], '', request.addrLow, request.dataLow, server.domain.domid);
    page.setState(vcpuId, STATE_IOREQ_READY);
    this.#env.events.notifyPort(server.domain, server.ports[vcpuId]!);
    return true;
  }

  /** Puts a request into the buffered page; false when it cannot go there. */
  sendBuffered(server: IoreqServer, request: Ioreq): boolean {
    if (server.buffer === undefined) return false;
    this.#env.probe.at(POINT['ioreq.buffer'], '', request.addrLow, request.dataLow, server.domain.domid);
    if (!server.buffer.put(request)) return false;
    this.#env.events.notifyPort(server.domain, server.bufferPort);
    return true;
  }

  /** An event on the vCPU's port: looks at the slot. */
  #signalled(server: IoreqServer, vcpuId: number): void {
    const done = server.waiting[vcpuId];
    const { page } = server;
    if (done === undefined || page === undefined) return;
    const state = page.state(vcpuId);
    if (state === STATE_IOREQ_NONE) {
      server.waiting[vcpuId] = undefined;
      done(0xffffffff, 0xffffffff);
      return;
    }
    if (state < server.seen[vcpuId]! || state > STATE_IORESP_READY) {
      server.waiting[vcpuId] = undefined;
      this.#env.crash(server.domain, `ioreq state of vCPU ${vcpuId} went from ${server.seen[vcpuId]} to ${state}`);
      return;
    }
    server.seen[vcpuId] = state;
    if (state !== STATE_IORESP_READY) return;
    const low = page.dataLow(vcpuId);
    const high = page.dataHigh(vcpuId);
    server.waiting[vcpuId] = undefined;
    page.setState(vcpuId, STATE_IOREQ_NONE);
    this.#env.probe.at(POINT['ioreq.done'], '', vcpuId, low, server.domain.domid);
    done(low, high);
  }
}
