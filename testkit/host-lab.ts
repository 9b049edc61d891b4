// A host in memory with a fake guest and a fake device model on it, for tests of the hypervisor: both work the shared
// pages by the layouts, as the real processes do, and nothing else.
import { DomId, EvtchnPort } from '../lib/core/ids.js';
import type { BoundBell } from '../lib/core/notify.js';
import { TwoLevelWords } from '../lib/events/two-level.js';
import { NO_PORT, UpcallScan } from '../lib/events/upcall-scan.js';
import {
  HVMIO_MEMORY,
  IOREQ,
  IOREQ_DIR_READ,
  IOREQ_STATE_MASK,
  STATE_IOREQ_READY,
  STATE_IORESP_READY,
  XENMEM_resource_ioreq_server_frame_ioreq,
} from '../lib/layout/ioreq.js';
import {
  COMMAND_NOTIFY,
  COMMAND_SHIFT,
  COMMAND_WRITE_BACK,
  DEV_EVTCHN,
  DEV_EVTCHN_RING_SIZE,
} from '../lib/layout/ours/dev-evtchn.js';
import { EXIT_DIR, EXIT_REASON, VCPU_EXIT, VCPU_STATE } from '../lib/layout/ours/vcpu-exit.js';
import type { Domain } from '../services/hypervisor/domain/domain.js';
import type { DomainRun } from '../services/hypervisor/domain/domain-run.js';
import type { EvtchnRingFile } from '../services/hypervisor/kernel/evtchn-ring-file.js';
import { hypercall } from '../services/hypervisor/operations.js';
import { type MemoryDoorbell, type SandboxOptions, sandbox } from './sandbox.js';

export type Lab = ReturnType<typeof makeLab>;

export function makeLab(options: SandboxOptions = {}) {
  const made = sandbox(options);
  const { host } = made;
  const call = (dom: number, op: string, args: Record<string, unknown> = {}) => {
    const caller = host.domains.find(DomId(dom));
    if (caller === undefined) throw new Error(`no domain ${dom}`);
    return hypercall(host, caller, op, args);
  };
  return {
    ...made,
    call,
    /** The number that an operation answered: its result, or the one field of its object. */
    number: (dom: number, op: string, args: Record<string, unknown> = {}): number => {
      const result = call(dom, op, args);
      return typeof result === 'number' ? result : (Object.values(result)[0] as number);
    },
    domain: (args: { vcpus?: number; maxPort?: number; paused?: boolean; domid?: number } = {}): Domain => {
      const domain = host.create({
        domid: args.domid ?? 0,
        name: 'guest',
        memoryMib: 8,
        maxVcpus: args.vcpus ?? 1,
        maxEvtchnPort: args.maxPort ?? 0,
      });
      if (typeof domain === 'number') throw new Error(`no domain: ${domain}`);
      if (!args.paused) host.unpause(domain);
      return domain;
    },
  };
}

/** Bits of shared_info as the guest sees them. */
export class SharedInfo {
  readonly #words: TwoLevelWords;
  readonly #scans = new Map<number, UpcallScan>();
  constructor(bytes: Uint8Array) {
    this.#words = new TwoLevelWords(bytes);
  }
  pending(port: number): boolean {
    return this.#words.isPending(port);
  }
  setMask(port: number, masked: boolean): void {
    if (masked) this.#words.setMask(port);
    else this.#words.clearMask(port);
  }
  masked(port: number): boolean {
    return this.#words.isMasked(port);
  }
  selector(vcpu = 0): bigint {
    return (BigInt(this.#words.selector(vcpu, 1) >>> 0) << 32n) | BigInt(this.#words.selector(vcpu, 0) >>> 0);
  }
  upcall(vcpu = 0): boolean {
    return this.#words.upcallPending(vcpu);
  }
  clearUpcall(vcpu = 0): void {
    this.#words.clearUpcall(vcpu);
  }
  /** What a guest does at an upcall: clears upcall and selector, then takes the ports that are its to take, lowest first. */
  take(vcpu = 0, mine: (port: number) => boolean = () => true): number[] {
    const scan = this.#scans.get(vcpu) ?? new UpcallScan(this.#words, vcpu);
    this.#scans.set(vcpu, scan);
    scan.begin();
    const ports: number[] = [];
    for (let port = scan.next(); port !== NO_PORT; port = scan.next()) {
      if (!mine(port)) continue;
      this.#words.clearPending(port);
      ports.push(port);
    }
    return ports.sort((a, b) => a - b);
  }
}

/** A guest's process: its exit page and doorbells. */
export class FakeGuest {
  readonly domain: Domain;
  readonly process: object;
  readonly shared: SharedInfo;
  entries = 0;
  upcalls = 0;
  readonly #page: Uint8Array;
  readonly #doorbell: MemoryDoorbell;
  readonly exitBit: number;
  readonly #bells: readonly BoundBell[];

  constructor(lab: Lab, domain: Domain, process: object = {}) {
    this.domain = domain;
    this.process = process;
    this.#doorbell = lab.doorbell;
    const guest: DomainRun = lab.host.runOf(domain)!;
    const entry = lab.doorbell.bind(() => this.entries++);
    const upcall = lab.doorbell.bind(() => this.upcalls++);
    this.#bells = [entry, upcall];
    this.exitBit = guest.attach(process, entry.handle, upcall.handle).bit;
    this.#page = guest.files.vcpu.bytes;
    this.shared = new SharedInfo(guest.files.sharedInfo.bytes);
  }

  /** The process ends. */
  end(lab: Lab): void {
    lab.host.processEnded(this.process);
    for (const bell of this.#bells) bell.release();
  }

  get state(): number {
    return this.#read().state;
  }

  /** Leaves with what is given, hostile values included. The answer, or undefined while none came. */
  exit(fields: Partial<ReturnType<typeof VCPU_EXIT.decode>>): { data: bigint; rc: number } | undefined {
    const blank = { state: VCPU_STATE.EXIT, reason: 0, addr: 0n, data: 0n, size: 0, dir: 0, rc: 0, count: 0 };
    VCPU_EXIT.encode({ ...blank, ...fields }, this.#page);
    this.#doorbell.ring(this.exitBit);
    return this.answer();
  }

  ring(): void {
    this.#doorbell.ring(this.exitBit);
  }

  /** Takes the answer of the last exit, if it came. */
  answer(): { data: bigint; rc: number } | undefined {
    const { state, data, rc } = this.#read();
    if (state !== VCPU_STATE.ENTRY) return undefined;
    new DataView(this.#page.buffer, this.#page.byteOffset).setUint32(VCPU_EXIT.offset.state, VCPU_STATE.IN_GUEST, true);
    return { data, rc: rc | 0 };
  }

  read(addr: number, size = 4) {
    return this.exit({ reason: EXIT_REASON.MMIO, addr: BigInt(addr), size, dir: EXIT_DIR.READ });
  }
  write(addr: number, data: number, size = 4) {
    return this.exit({ reason: EXIT_REASON.MMIO, addr: BigInt(addr), size, dir: EXIT_DIR.WRITE, data: BigInt(data) });
  }

  #read() {
    return VCPU_EXIT.decode(this.#page);
  }
}

/** A process of dom0 with /dev/xen/evtchn open. */
export class FakeUser {
  readonly process: object;
  readonly file: EvtchnRingFile;
  /** Rings of the read ring's bell. */
  wakes = 0;
  onWake: () => void = () => {};
  readonly words: Uint32Array;
  readonly #lab: Lab;
  readonly #bell: BoundBell;

  constructor(lab: Lab, process: object = {}) {
    this.#lab = lab;
    this.process = process;
    const bell = lab.doorbell.bind(() => {
      this.wakes++;
      this.onWake();
    });
    this.#bell = bell;
    this.file = lab.kernel.open(this.process, bell.handle);
    const { bytes } = lab.files.map(this.file.handle);
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, DEV_EVTCHN.SIZE >>> 2);
  }

  /** The process ends. */
  end(): void {
    this.#lab.kernel.processEnded(this.process);
    this.#bell.release();
  }

  /** read(): the ports that fired. */
  readPorts(): number[] {
    const ports: number[] = [];
    let cons = this.words[DEV_EVTCHN.READ_CONS >>> 2]!;
    while (cons !== this.words[DEV_EVTCHN.READ_PROD >>> 2]) {
      ports.push(this.words[(DEV_EVTCHN.READ_RING >>> 2) + (cons & (DEV_EVTCHN_RING_SIZE - 1))]!);
      cons = (cons + 1) >>> 0;
    }
    this.words[DEV_EVTCHN.READ_CONS >>> 2] = cons;
    return ports;
  }

  command(op: number, port: number): void {
    this.put((op << COMMAND_SHIFT) | port);
  }

  /** Words of the command ring as they are, published at once. */
  put(...words: number[]): void {
    const prod = this.words[DEV_EVTCHN.COMMAND_PROD >>> 2]!;
    for (const [index, word] of words.entries()) {
      const slot = (prod + index) & (DEV_EVTCHN_RING_SIZE - 1);
      this.words[(DEV_EVTCHN.COMMAND_RING >>> 2) + slot] = word >>> 0;
    }
    this.words[DEV_EVTCHN.COMMAND_PROD >>> 2] = (prod + words.length) >>> 0;
    this.ringCommands();
  }

  ringCommands(): void {
    this.#lab.doorbell.ring(this.file.written.bit);
  }

  writeBack(port: number): void {
    this.command(COMMAND_WRITE_BACK, port);
  }
  notify(port: number): void {
    this.command(COMMAND_NOTIFY, port);
  }
}

/** A device model: one ioreq server of a guest, its page, its port of vCPU 0. */
export class FakeEmulator {
  readonly user: FakeUser;
  readonly id: number;
  readonly page: Uint8Array;
  readonly port: EvtchnPort;
  readonly #domid: number;
  readonly #lab: Lab;

  constructor(
    lab: Lab,
    domain: Domain,
    ranges: readonly (readonly [number, number])[],
    options: { buffered?: number; user?: FakeUser } = {},
  ) {
    this.#lab = lab;
    this.#domid = domain.domid;
    this.user = options.user ?? new FakeUser(lab);
    this.id = lab.number(0, 'dm.create_ioreq_server', { domid: this.#domid, handle_bufioreq: options.buffered ?? 0 });
    for (const [start, end] of ranges) {
      lab.call(0, 'dm.map_io_range_to_ioreq_server', {
        domid: this.#domid,
        id: this.id,
        type: HVMIO_MEMORY,
        start,
        end,
      });
    }
    this.page = this.frame(XENMEM_resource_ioreq_server_frame_ioreq);
    lab.call(0, 'dm.set_ioreq_server_state', { domid: this.#domid, id: this.id, enabled: true });
    this.user.onWake = () => this.serve();
    const vpEport = EvtchnPort(this.slot().vp_eport);
    const { process, file } = this.user;
    this.port = EvtchnPort(lab.kernel.bindInterdomain(process, file.fd, domain.domid, vpEport));
  }

  frame(frame: number): Uint8Array {
    const got = this.#lab.call(0, 'xenmem.acquire_resource', { domid: this.#domid, id: this.id, frame, nr_frames: 1 });
    if (typeof got === 'number') throw new Error(`no frame: ${got}`);
    return this.#lab.files.map(got['file'] as { path: string; size: number }).bytes;
  }

  slot(vcpu = 0) {
    const slot = IOREQ.decode(this.page, vcpu * IOREQ.size);
    return { ...slot, state: slot.flags & IOREQ_STATE_MASK, read: (slot.flags & IOREQ_DIR_READ) !== 0 };
  }

  setState(state: number, vcpu = 0): void {
    const at = vcpu * IOREQ.size + IOREQ.offset.flags;
    this.page[at] = (this.page[at]! & ~IOREQ_STATE_MASK) | state;
  }

  setData(data: bigint, vcpu = 0): void {
    new DataView(this.page.buffer, this.page.byteOffset).setBigUint64(
      vcpu * IOREQ.size + IOREQ.offset.data,
      data,
      true,
    );
  }

  /** What the device model does with a request: gives the data of a read. Undefined: leaves it alone. */
  onRequest: (request: ReturnType<FakeEmulator['slot']>) => bigint | undefined = () => 0n;

  serve(): void {
    for (const port of this.user.readPorts()) {
      if (port === this.port && this.slot().state === STATE_IOREQ_READY) {
        const data = this.onRequest(this.slot());
        if (data !== undefined) {
          this.setData(data);
          this.setState(STATE_IORESP_READY);
          this.user.notify(port);
        }
      }
      this.user.writeBack(port);
    }
  }
}
