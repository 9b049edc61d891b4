// The FIFO ABI (xen/common/event_fifo.c): an event word a port in pages of the guest's own memory, sixteen
// queues a vCPU. A primer. A raised port is put at the end of the queue of its vCPU and priority: into the link of the
// word before it, or, when that was consumed already (its LINKED bit is clear), into the control block's head, with the
// queue's ready bit and the upcall. The guest unlinks words from the head. Both sides change words by compare-exchange.
// Leaves which calls are allowed when to event-channels.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import type { GuestMemory } from '../../../lib/core/memory.js';
import {
  EVTCHN_FIFO_CONTROL_BLOCK,
  EVTCHN_FIFO_EVENT_WORDS_PER_PAGE,
  EVTCHN_FIFO_LINK_MASK,
  EVTCHN_FIFO_LINKED,
  EVTCHN_FIFO_MASKED,
  EVTCHN_FIFO_MAX_EVENT_ARRAY_PAGES,
  EVTCHN_FIFO_MAX_QUEUES,
  EVTCHN_FIFO_NR_CHANNELS,
  EVTCHN_FIFO_PENDING,
  EVTCHN_FIFO_PRIORITY_DEFAULT,
  EVTCHN_FIFO_PRIORITY_MIN,
} from '../../../lib/layout/evtchn.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';
import type { Domain } from '../domain/domain.js';
import { type EventAbi, wakePollers } from './event-abi.js';
import type { Port } from './ports.js';

const { EINVAL, ENOSPC } = ERRNO;
const LINK_TRIES_MAX = 8;
const PENDING = 1 << EVTCHN_FIFO_PENDING;
const MASKED = 1 << EVTCHN_FIFO_MASKED;
const LINKED = 1 << EVTCHN_FIFO_LINKED;
const READY = EVTCHN_FIFO_CONTROL_BLOCK.offset.ready >>> 2;
const HEAD = EVTCHN_FIFO_CONTROL_BLOCK.offset.head >>> 2;

/** One vCPU's control block and the last port of each of its queues. */
interface VcpuQueues {
  block: Int32Array | undefined;
  readonly tails: Uint32Array;
}

export class Fifo implements EventAbi {
  readonly name = 'fifo';
  readonly maxPorts = EVTCHN_FIFO_NR_CHANNELS;
  readonly #domain: Domain;
  readonly #memory: GuestMemory;
  readonly #vcpus: VcpuQueues[];
  readonly #pages: Int32Array[] = [];

  /** Ports bound before keep their events: what was pending in the 2-level words is raised once its word exists. */
  constructor(domain: Domain, memory: GuestMemory) {
    this.#domain = domain;
    this.#memory = memory;
    this.#vcpus = domain.vcpus.map(() => ({ block: undefined, tails: new Uint32Array(EVTCHN_FIFO_MAX_QUEUES) }));
  }

  /** Called once this is the domain's ABI; `before` is the one it had. */
  takeOver(before: EventAbi): void {
    for (const port of this.#domain.ports.all()) {
      if (before.isPending(port)) port.heldPending = true;
      this.init(port);
    }
  }

  /** A control block in guest memory; once a vCPU. 0 or -errno. */
  mapControlBlock(vcpuId: number, gfn: bigint, offset: number): number {
    const queues = this.#vcpus[vcpuId]!;
    if (queues.block !== undefined) return -EINVAL;
    const page = this.#map(gfn);
    if (page === undefined) return -EINVAL;
    queues.block = page.subarray(offset >>> 2, (offset + EVTCHN_FIFO_CONTROL_BLOCK.size) >>> 2);
    return 0;
  }

  /** One more page of event words. 0 or -errno. */
  addPage(gfn: bigint): number {
    if (this.#pages.length >= EVTCHN_FIFO_MAX_EVENT_ARRAY_PAGES) return -ENOSPC;
    const page = this.#map(gfn);
    if (page === undefined) return -EINVAL;
    const first = this.#pages.length * EVTCHN_FIFO_EVENT_WORDS_PER_PAGE;
    this.#pages.push(page);
    for (const port of this.#domain.ports.all()) {
      if (!port.heldPending || port.number < first || port.number >= first + EVTCHN_FIFO_EVENT_WORDS_PER_PAGE) continue;
      port.heldPending = false;
      if (port.usable) this.setPending(port);
    }
    return 0;
  }

  setPriority(port: Port, priority: number): number {
    if (priority > EVTCHN_FIFO_PRIORITY_MIN) return -EINVAL;
    port.priority = priority;
    return 0;
  }

  /**
   * evtchn_fifo_set_pending, in its order since Xen 4.17: without a word the event is remembered until expand_array; then,
   * for a vCPU without a control block, it is dropped, and neither PENDING nor a poller tells of it; only then PENDING is set.
   */
  setPending(port: Port): void {
    const page = this.#pageOf(port.number);
    if (page === undefined) {
      port.heldPending = true;
      return;
    }
    const { block } = this.#vcpus[port.vcpu]!;
    if (block === undefined) return;
    const at = wordOf(port.number);
    const before = Atomics.or(page, at, PENDING);
    if ((before & (MASKED | LINKED)) === 0) this.#link(port, page, at, block);
    if ((before & PENDING) === 0) wakePollers(port);
  }

  /** Puts an unmasked port at the end of its queue, unless another delivery was quicker. */
  #link(port: Port, page: Int32Array, at: number, block: Int32Array): void {
    const queues = this.#vcpus[port.vcpu]!;
    if ((Atomics.or(page, at, LINKED) & LINKED) !== 0) return;
    // It is out of its old queue: as that queue's tail it would tie the two queues together.
    const old = this.#vcpus[port.lastVcpu]!.tails;
    if (old[port.lastPriority] === port.number) old[port.lastPriority] = 0;
    const { priority } = port;
    port.lastVcpu = port.vcpu;
    port.lastPriority = priority;
    const tail = queues.tails[priority]!;
    const linked = tail !== 0 && this.#setLink(tail, port.number);
    if (!linked) Atomics.store(block, HEAD + priority, port.number);
    queues.tails[priority] = port.number;
    if (linked) return;
    const bit = 1 << priority;
    if ((Atomics.or(block, READY, bit) & bit) === 0) this.#domain.vcpus[port.vcpu]!.raiseUpcall();
  }

  /**
   * Writes the link of a word that is still in its queue; false when the guest took it out meanwhile. A guest that keeps
   * changing the word under us loses its own events after a few tries, not our time.
   */
  #setLink(number: number, link: number): boolean {
    const page = this.#pageOf(number);
    if (page === undefined) return false;
    const at = wordOf(number);
    for (let tries = 0; tries < LINK_TRIES_MAX; tries++) {
      const word = Atomics.load(page, at);
      if ((word & LINKED) === 0) return false;
      const next = (word & ~EVTCHN_FIFO_LINK_MASK) | link;
      if (Atomics.compareExchange(page, at, word, next) === word) return true;
    }
    return true;
  }

  /** Not unlinked: the guest finds it in its queue and ignores it. */
  clearPending(port: Port): void {
    port.heldPending = false;
    const page = this.#pageOf(port.number);
    if (page !== undefined) Atomics.and(page, wordOf(port.number), ~PENDING);
  }

  unmask(port: Port): void {
    const page = this.#pageOf(port.number);
    if (page === undefined) return;
    const before = Atomics.and(page, wordOf(port.number), ~MASKED);
    if ((before & PENDING) !== 0) this.setPending(port);
  }

  isPending(port: Port): boolean {
    return (this.#load(port) & PENDING) !== 0;
  }

  isMasked(port: Port): boolean {
    return this.#pageOf(port.number) === undefined || (this.#load(port) & MASKED) !== 0;
  }

  isBusy(port: Port): boolean {
    return (this.#load(port) & LINKED) !== 0;
  }

  init(port: Port): void {
    port.priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
  }

  /** The guest's memory is unmapped: nothing of it is touched any more. */
  dropPages(): void {
    for (const queues of this.#vcpus) queues.block = undefined;
    this.#pages.length = 0;
  }

  #load(port: Port): number {
    const page = this.#pageOf(port.number);
    return page === undefined ? 0 : Atomics.load(page, wordOf(port.number));
  }

  #pageOf(number: number): Int32Array | undefined {
    return this.#pages[Math.floor(number / EVTCHN_FIFO_EVENT_WORDS_PER_PAGE)];
  }

  #map(gfn: bigint): Int32Array | undefined {
    if (gfn >= BigInt(Math.floor(this.#memory.size / PAGE_SIZE))) return undefined;
    const bytes = this.#memory.view(Number(gfn) * PAGE_SIZE, PAGE_SIZE);
    return new Int32Array(bytes.buffer, bytes.byteOffset, PAGE_SIZE >>> 2);
  }
}

function wordOf(number: number): number {
  return number % EVTCHN_FIFO_EVENT_WORDS_PER_PAGE;
}
