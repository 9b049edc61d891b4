// What happens when a vCPU leaves its guest: device accesses go to the ioreq server that claims them, event-channel
// hypercalls run at once. The hot path of a kick: allocates nothing, touches no bus.
// Leaves the page to exit-page.ts, selection and slots to ioreq-servers.ts.

import { EvtchnPort } from '../../../lib/core/ids.js';
import type { Probe } from '../../../lib/core/probe.js';
import { IOREQ_TYPE_COPY, IOREQ_WRITE, VGA_WINDOW_BASE, VGA_WINDOW_END } from '../../../lib/layout/ioreq.js';
import { EXIT_DIR, EXIT_REASON } from '../../../lib/layout/ours/vcpu-exit.js';
import { HOP } from '../../../lib/trace/hops.js';
import { POINT } from '../../../lib/trace/points.js';
import type { EventChannels } from '../event/event-channels.js';
import type { Ioreq } from '../ioreq/ioreq-page.js';
import type { IoreqServers } from '../ioreq/ioreq-servers.js';
import type { ExitPage } from './exit-page.js';
import type { Vcpu } from './vcpu.js';

export interface ExitEnvironment {
  readonly channels: EventChannels;
  readonly ioreq: IoreqServers;
  readonly probe: Probe;
  crash(domain: Vcpu['domain'], why: string): void;
}

const HIGH = 2 ** 32;
/** Addresses past this are no guest-physical ones: no server can claim them. */
const ADDR_HIGH_MAX = 2 ** 20;

export class VcpuExits {
  readonly #vcpu: Vcpu;
  readonly #page: ExitPage;
  readonly #env: ExitEnvironment;
  readonly #ringEntry: () => void;
  /** An exit that was taken from the page and is not answered yet. */
  #outstanding = false;
  /** Answered while the domain was paused: it enters when it runs again. */
  #held = false;
  #low = 0;
  #high = 0;
  #rc = 0;
  readonly #request: Ioreq = {
    addrLow: 0,
    addrHigh: 0,
    dataLow: 0,
    dataHigh: 0,
    size: 0,
    count: 1,
    type: IOREQ_TYPE_COPY,
    dir: IOREQ_WRITE,
  };
  readonly #done = (low: number, high: number) => this.#complete(low, high);

  /** `ringEntry` tells the guest's process that the page holds an answer. */
  constructor(vcpu: Vcpu, page: ExitPage, env: ExitEnvironment, ringEntry: () => void) {
    this.#vcpu = vcpu;
    this.#page = page;
    this.#env = env;
    this.#ringEntry = ringEntry;
  }

  get outstanding(): boolean {
    return this.#outstanding;
  }

  /**
   * The guest rang, or its domain runs again: takes the exit from the page, if there is one. Rings without an exit are
   * ignored; an exit of a paused or dead domain stays in the page.
   */
  look(): void {
    if (this.#held) this.#enter(this.#low, this.#high, this.#rc);
    if (this.#outstanding || !this.#vcpu.domain.running || !this.#page.exited) return;
    this.#outstanding = true;
    const reason = this.#page.reason;
    const { domain } = this.#vcpu;
    if (reason !== EXIT_REASON.MMIO) {
      this.#env.probe.at(HOP.exitHypercall.point, '', reason, this.#page.dataLow, domain.domid);
    }
    switch (reason) {
      case EXIT_REASON.MMIO:
        this.#access();
        break;
      case EXIT_REASON.EVTCHN_SEND:
        this.#answer(this.#env.channels.send(domain, EvtchnPort(this.#page.dataLow)));
        break;
      case EXIT_REASON.EVTCHN_UNMASK:
        this.#answer(this.#env.channels.unmask(domain, EvtchnPort(this.#page.dataLow)));
        break;
      default:
        this.#env.crash(domain, `vCPU ${this.#vcpu.id} left for an unknown reason ${reason}`);
    }
  }

  #access(): void {
    const request = this.#request;
    const { domain, id } = this.#vcpu;
    const size = this.#page.size;
    const dir = this.#page.dir;
    request.addrLow = this.#page.addrLow;
    request.addrHigh = this.#page.addrHigh;
    this.#env.probe.at(HOP.exitMmio.point, '', request.addrLow, this.#page.dataLow, domain.domid);
    // No instruction makes another access: the process is no guest of ours any more.
    if ((size !== 1 && size !== 2 && size !== 4 && size !== 8) || (dir !== EXIT_DIR.READ && dir !== EXIT_DIR.WRITE)) {
      this.#env.crash(domain, `vCPU ${id} left with an access of ${size} bytes, direction ${dir}`);
      return;
    }
    request.size = size;
    request.dir = dir;
    const write = dir === EXIT_DIR.WRITE;
    request.dataLow = write ? maskLow(this.#page.dataLow, size) : 0;
    request.dataHigh = write && size === 8 ? this.#page.dataHigh : 0;
    const first = request.addrHigh * HIGH + request.addrLow;
    const server =
      request.addrHigh < ADDR_HIGH_MAX
        ? this.#env.ioreq.select(domain, IOREQ_TYPE_COPY, first, first + size - 1)
        : undefined;
    if (server === undefined) {
      this.#complete(0xffffffff, 0xffffffff); // no server claims it: writes vanish, reads see all ones
      return;
    }
    const posted =
      write && first >= VGA_WINDOW_BASE && first <= VGA_WINDOW_END && this.#env.ioreq.sendBuffered(server, request);
    if (posted || !this.#env.ioreq.send(server, id, request, this.#done)) this.#complete(0xffffffff, 0xffffffff);
  }

  #complete(low: number, high: number): void {
    const { size, dir } = this.#request;
    const read = dir === EXIT_DIR.READ;
    this.#enter(read ? maskLow(low, size) : 0, read && size === 8 ? high : 0, 0);
  }

  #answer(rc: number): void {
    this.#enter(0, 0, rc);
  }

  #enter(low: number, high: number, rc: number): void {
    if (!this.#vcpu.domain.running) {
      this.#held = true;
      this.#low = low;
      this.#high = high;
      this.#rc = rc;
      return;
    }
    this.#held = false;
    this.#outstanding = false;
    this.#env.probe.at(POINT['exit.complete'], '', low, rc, this.#vcpu.domain.domid);
    this.#vcpu.domain.platform.entered(this.#vcpu.id);
    this.#page.enter(low, high, rc);
    this.#ringEntry();
  }
}

function maskLow(low: number, size: number): number {
  return size >= 4 ? low : low & ((1 << (size * 8)) - 1);
}
