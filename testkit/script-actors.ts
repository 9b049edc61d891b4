// The others in a script of hypercalls: a process of dom0 with its devices and event descriptors, an emulator's view of its
// ioreq slots, and the guests' vCPUs. They go through the same handlers and pages as real processes do.
// Leaves hypercalls to operations.ts, lines to hypercall-lines.ts.
import type { Peer } from '../lib/core/bus.js';
import { ERRNO } from '../lib/core/errno.js';
import { ErrnoError } from '../lib/core/errors.js';
import { isDomId } from '../lib/core/ids.js';
import type { NotifyHandle } from '../lib/core/notify.js';
import { IOREQ, IOREQ_PAGE_SIZE, IOREQ_STATE_MASK, STATE_IORESP_READY } from '../lib/layout/ioreq.js';
import { COMMAND_SHIFT, COMMAND_WRITE_BACK, DEV_EVTCHN, DEV_EVTCHN_RING_SIZE } from '../lib/layout/ours/dev-evtchn.js';
import { EXIT_DIR, EXIT_REASON, VCPU_EXIT, VCPU_STATE } from '../lib/layout/ours/vcpu-exit.js';
import { hypervisorHandlers } from '../services/hypervisor/bus-handlers.js';
import type { Domain } from '../services/hypervisor/domain/domain.js';
import type { Out } from '../services/hypervisor/operation.js';
import type { sandbox } from './sandbox.js';

const { EFBIG, EINVAL, ENOENT, ENOSYS, EPERM } = ERRNO;

type Args = Readonly<Record<string, unknown>>;
type Handler = (request: never, peer: Peer) => Out;

/** What a script may do besides hypercalls: names, and whose they are. */
export const SCRIPT_OPERATIONS: readonly (readonly [string, string])[] = [
  ['dev_evtchn.open|bind_interdomain|bind_virq|bind_unbound_port|unbind|notify|eventfd|reset|close|read|write', 'dom0'],
  ['privcmd.ioeventfd|irqfd|map_foreign|unmap_foreign', 'dom0'],
  ['eventfd.new|signal|read', 'dom0'],
  ['ioreq.slot|respond', 'dom0, as the emulator'],
  ['vcpu.access|send|unmask|answer|kill', 'the guest itself'],
];

/** What a message leaves out; scripts name only what they mean. */
const BLANK = {
  fd: 0,
  port: 0,
  remote_dom: 0,
  remote_port: 0,
  virq: 0,
  direction: 0,
  deassign: false,
  domid: 0,
  server: 0,
  addr: 0,
  addr_len: 0,
  vq: 0,
  ports: [] as number[],
};

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

export class ScriptActors {
  readonly #box: ReturnType<typeof sandbox>;
  readonly #handlers: Readonly<Record<string, Handler>>;
  readonly #peer: Peer;
  /** Counters of event descriptors, by doorbell bit. */
  readonly #counters = new Map<number, number>();
  readonly #files = new Map<number, { words: Uint32Array; written: NotifyHandle }>();
  /** Each guest's process and exit bit. */
  readonly #vcpus = new Map<Domain, { process: object; exit: NotifyHandle }>();

  constructor(box: ReturnType<typeof sandbox>) {
    this.#box = box;
    const { host, kernel } = box;
    this.#peer = {
      name: 'script',
      domid: 0,
      incarnation: 1,
      pid: 0,
      emit: () => {},
      drop: () => {},
      onClose: () => {},
    };
    const handlers = hypervisorHandlers({ host, kernel, domainOf: () => host.dom0 });
    this.#handlers = handlers as unknown as Record<string, Handler>;
  }

  /** Undefined when the operation is none of theirs. */
  run(caller: Domain, op: string, args: Args): Out | number | undefined {
    const [group, verb = ''] = op.split('.');
    if (group === 'vcpu') return this.#vcpu(caller, verb, args);
    const own = { dev_evtchn: this.#device, privcmd: this.#device, eventfd: this.#eventfd, ioreq: this.#slot }[group!];
    if (own === undefined) return undefined;
    if (!caller.privileged) return -EPERM;
    return own.call(this, op, args);
  }

  #device(op: string, args: Args): Out | number {
    if (op === 'dev_evtchn.read') return this.#read(args);
    if (op === 'dev_evtchn.write') return this.#write(args);
    const handler = this.#handlers[op.replace('.', '_')];
    if (handler === undefined) return -ENOSYS;
    const { handle, dm_op, ...rest } = { ...BLANK, ...args } as Args & typeof BLANK;
    for (const [name, value] of Object.entries(rest)) {
      const fits =
        name === 'deassign' ? typeof value === 'boolean' : name === 'ports' ? isPorts(value) : isCount(value);
      if (!fits) return -EINVAL;
    }
    const bell = isCount(handle) ? { bell: this.#box.doorbell.name, bit: handle } : undefined;
    const stored = typeof dm_op === 'string' && /^([0-9a-f]{2})*$/.test(dm_op) ? dm_op : '';
    const bytes = Uint8Array.from(stored.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
    const open = op === 'dev_evtchn.open';
    const readable = open ? this.#box.doorbell.bind(() => {}).handle : undefined;
    let out: Out;
    try {
      out = handler({ ...rest, handle: bell, dm_op: bytes, readable } as never, this.#peer);
    } catch (error) {
      if (error instanceof ErrnoError) return -error.errno;
      throw error;
    }
    if (open) return this.#opened(out as { fd: number; page: { path: string; size: number }; written: NotifyHandle });
    const given = out['handle'] as NotifyHandle | undefined;
    return given === undefined ? out : { handle: given.bit };
  }

  #opened({ fd, page, written }: { fd: number; page: { path: string; size: number }; written: NotifyHandle }): Out {
    const { buffer } = this.#box.files.map(page).bytes;
    this.#files.set(fd, { words: new Uint32Array(buffer), written });
    return { fd };
  }

  /** read(): EFBIG after an overflow, an empty list where the call would block. */
  #read(args: Args): Out | number {
    const file = this.#files.get(args['fd'] as number);
    if (file === undefined) return -ERRNO.EBADF;
    const { words } = file;
    if (words[DEV_EVTCHN.READ_OVERFLOW >>> 2] !== 0) return -EFBIG;
    const ports: number[] = [];
    let cons = words[DEV_EVTCHN.READ_CONS >>> 2]!;
    for (; cons !== words[DEV_EVTCHN.READ_PROD >>> 2]; cons = (cons + 1) >>> 0) {
      ports.push(words[(DEV_EVTCHN.READ_RING >>> 2) + (cons % DEV_EVTCHN_RING_SIZE)]!);
    }
    words[DEV_EVTCHN.READ_CONS >>> 2] = cons;
    return { ports };
  }

  /** write(): ports to enable again. */
  #write(args: Args): Out | number {
    const file = this.#files.get(args['fd'] as number);
    if (file === undefined) return -ERRNO.EBADF;
    if (!isPorts(args['ports'])) return -EINVAL;
    for (const port of args['ports']) {
      const prod = file.words[DEV_EVTCHN.COMMAND_PROD >>> 2]!;
      file.words[(DEV_EVTCHN.COMMAND_RING >>> 2) + (prod % DEV_EVTCHN_RING_SIZE)] =
        ((COMMAND_WRITE_BACK << COMMAND_SHIFT) | (port & ((1 << COMMAND_SHIFT) - 1))) >>> 0;
      file.words[DEV_EVTCHN.COMMAND_PROD >>> 2] = (prod + 1) >>> 0;
      this.#box.doorbell.ring(file.written.bit);
    }
    return 0;
  }

  #eventfd(op: string, args: Args): Out | number {
    if (op === 'eventfd.new') {
      const bound = this.#box.doorbell.bind(() => this.#counters.set(bit, (this.#counters.get(bit) ?? 0) + 1));
      const { bit } = bound.handle;
      this.#counters.set(bit, 0);
      return { handle: bit };
    }
    const { handle } = args;
    if (!isCount(handle)) return -EINVAL;
    if (op === 'eventfd.signal') {
      this.#box.doorbell.ring(handle);
      return 0;
    }
    const count = this.#counters.get(handle);
    if (op !== 'eventfd.read') return -ENOSYS;
    if (count === undefined) return -ERRNO.EBADF;
    this.#counters.set(handle, 0);
    return { count };
  }

  #slot(op: string, args: Args): Out | number {
    const { domid = 0, id = 0, vcpu = 0 } = args;
    if (!isDomId(domid) || !isCount(id) || !isCount(vcpu)) return -EINVAL;
    const path = `shm/dom${domid}.ioreq${id}`;
    const server = this.#box.host.domains.find(domid)?.ioreqServers[id];
    if (!server?.page || server.ports[vcpu] === undefined) return -ENOENT;
    const { bytes } = this.#box.files.map({ path, size: IOREQ_PAGE_SIZE });
    const at = vcpu * IOREQ.size;
    const slot = IOREQ.decode(bytes, at);
    if (op === 'ioreq.respond') {
      const { state = STATE_IORESP_READY, data = 0 } = args;
      if (!isCount(state) || state > IOREQ_STATE_MASK || !isCount(data)) return -EINVAL;
      IOREQ.encode({ ...slot, data: BigInt(data), flags: (slot.flags & ~IOREQ_STATE_MASK) | state }, bytes, at);
      return 0;
    }
    if (op !== 'ioreq.slot') return -ENOSYS;
    const { addr, data, count, size, vp_eport, flags, type } = slot;
    const hex = (value: bigint) => `0x${value.toString(16)}`;
    return { addr: hex(addr), data: hex(data), count, size, vp_eport, flags, type };
  }

  #vcpu(domain: Domain, verb: string, args: Args): Out | number {
    const guest = this.#box.host.runOf(domain);
    if (guest === undefined) return -EPERM;
    if (verb === 'kill') {
      const running = this.#vcpus.get(domain);
      this.#vcpus.delete(domain);
      if (running !== undefined) this.#box.host.processEnded(running.process);
      return 0;
    }
    const { addr = 0, size = 4, dir = EXIT_DIR.READ, data = 0, port = 0 } = args;
    if (![addr, size, dir, data, port].every(isCount)) return -EINVAL;
    let running = this.#vcpus.get(domain);
    if (running === undefined) {
      const process = {};
      const silent = this.#box.doorbell.bind(() => {}).handle;
      running = { process, exit: guest.attach(process, silent, silent) };
      this.#vcpus.set(domain, running);
    }
    const page = guest.files.vcpu.bytes;
    const blank = { state: VCPU_STATE.EXIT, addr: 0n, data: 0n, size: 0, dir: 0, rc: 0, count: 0 };
    const reasons = { access: EXIT_REASON.MMIO, send: EXIT_REASON.EVTCHN_SEND, unmask: EXIT_REASON.EVTCHN_UNMASK };
    const reason = reasons[verb as keyof typeof reasons];
    if (reason === undefined && verb !== 'answer') return -ENOSYS;
    if (reason === EXIT_REASON.MMIO) {
      const access = {
        addr: BigInt(addr as number),
        data: BigInt(data as number),
        size: size as number,
        dir: dir as number,
      };
      VCPU_EXIT.encode({ ...blank, reason, ...access }, page);
    } else if (reason !== undefined) VCPU_EXIT.encode({ ...blank, reason, data: BigInt(port as number) }, page);
    this.#box.doorbell.ring(running.exit.bit);
    const { state, data: answer, rc } = VCPU_EXIT.decode(page);
    if (state !== VCPU_STATE.ENTRY) return { blocked: true };
    return reason === EXIT_REASON.MMIO || verb === 'answer' ? { data: `0x${answer.toString(16)}` } : rc | 0;
  }
}

function isPorts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((port) => isCount(port) && port <= 0xffffffff);
}
