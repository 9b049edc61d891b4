// Event channels as a guest kernel uses them: ports bound to interrupts, masks, and the upcall loop over the 2-level words of
// shared_info (drivers/xen/events/events_2l.c and events_base.c are what it follows).
// Order against lost events: evtchn_upcall_pending is cleared before the selector is taken, the selector before the pending
// words are read, and a pending bit before its handler runs; unmasking clears the mask before it looks at pending.
// Leaves how a port comes to be, and the exits, to the vCPU and the hypervisor.
import { ErrnoError } from '../../lib/core/errors.js';
import type { History } from '../../lib/core/history.js';
import { EVTCHN_2L_NR_CHANNELS, SHARED_INFO, VCPU_INFO } from '../../lib/layout/evtchn.js';
import { HOP } from '../../lib/trace/hops.js';
import type { Vcpu } from './vcpu.js';

/** First interrupt that Linux on x86 gives to an event channel: below lie the legacy ones. */
const FIRST_IRQ = 16;
const WORDS = EVTCHN_2L_NR_CHANNELS / 64;
const PENDING = SHARED_INFO.offset.evtchn_pending >>> 2;
const MASK = SHARED_INFO.offset.evtchn_mask >>> 2;
const SELECTOR = (SHARED_INFO.offset.vcpu_info + VCPU_INFO.offset.evtchn_pending_sel) >>> 2;
const UPCALL_PENDING = SHARED_INFO.offset.vcpu_info + VCPU_INFO.offset.evtchn_upcall_pending;

export interface EventCalls {
  /** EVTCHNOP_alloc_unbound for ourselves. */
  allocUnbound(remoteDomid: number): Promise<number>;
  close(port: number): Promise<void>;
}

interface Binding {
  readonly irq: number;
  readonly port: number;
  handler: (() => Promise<void>) | undefined;
}

export class Events {
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #vcpu: Vcpu;
  readonly #calls: EventCalls;
  readonly #history: History;
  readonly #byPort = new Map<number, Binding>();
  readonly #byIrq = new Map<number, Binding>();
  /** Bound ports that are not ours to close. */
  #lent = 0;
  #startWord = 0;
  #startBit = 0;

  /** Masks every port, as Linux does at boot, and takes the vCPU's upcalls. `sharedInfo` is the page, mapped. */
  constructor(parts: { sharedInfo: Uint8Array; vcpu: Vcpu; calls: EventCalls; history: History }) {
    const { sharedInfo } = parts;
    this.#bytes = sharedInfo;
    this.#words = new Uint32Array(sharedInfo.buffer, sharedInfo.byteOffset, SHARED_INFO.size >>> 2);
    this.#vcpu = parts.vcpu;
    this.#calls = parts.calls;
    this.#history = parts.history;
    for (let word = 0; word < WORDS * 2; word++) Atomics.store(this.#words, MASK + word, 0xffffffff);
    parts.vcpu.onUpcall(() => this.#upcall());
  }

  /** Ports that are bound, for the audit at the end. */
  get boundCount(): number {
    return this.#byPort.size - this.#lent;
  }

  /** xenbus_alloc_evtchn and bind_evtchn_to_irq: a port for that domain, masked, with an interrupt and no handler yet. */
  async allocate(remoteDomid: number): Promise<{ port: number; irq: number }> {
    const port = await this.#calls.allocUnbound(remoteDomid);
    if (port <= 0 || port >= EVTCHN_2L_NR_CHANNELS) throw new ErrnoError('EINVAL', `port ${port}`);
    this.#history.record('acquire', 'port', port, remoteDomid);
    const irq = this.#freeIrq();
    const binding: Binding = { irq, port, handler: undefined };
    this.#byPort.set(port, binding);
    this.#byIrq.set(irq, binding);
    return { port, irq };
  }

  /** bind_evtchn_to_irq: an interrupt for a port that somebody else made. It is ours to the end, and no leak. */
  bind(port: number): number {
    const irq = this.#freeIrq();
    const binding: Binding = { irq, port, handler: undefined };
    this.#byPort.set(port, binding);
    this.#byIrq.set(irq, binding);
    this.#lent++;
    return irq;
  }

  portOf(irq: number): number | undefined {
    return this.#byIrq.get(irq)?.port;
  }

  /** request_irq: from now on, events before now included, the handler runs. It awaits nothing but exits. */
  async request(irq: number, handler: () => Promise<void>): Promise<void> {
    const binding = this.#byIrq.get(irq);
    if (binding === undefined || binding.handler !== undefined) throw new ErrnoError('EBUSY', `interrupt ${irq}`);
    binding.handler = handler;
    await this.unmask(binding.port);
  }

  /** free_irq: the port stays, masked. */
  free(irq: number): void {
    const binding = this.#byIrq.get(irq);
    if (binding === undefined) return;
    this.mask(binding.port);
    binding.handler = undefined;
  }

  /** unbind_from_irqhandler: masks, forgets, closes the port. A second call finds nothing and does nothing. */
  async unbind(irq: number): Promise<void> {
    const binding = this.#byIrq.get(irq);
    if (binding === undefined) return;
    this.free(irq);
    this.#byIrq.delete(irq);
    this.#byPort.delete(binding.port);
    this.#history.record('release', 'port', binding.port);
    await this.#calls.close(binding.port);
  }

  mask(port: number): void {
    Atomics.or(this.#words, MASK + (port >>> 5), 1 << (port & 31));
  }

  async unmask(port: number): Promise<void> {
    const bit = 1 << (port & 31);
    Atomics.and(this.#words, MASK + (port >>> 5), ~bit);
    if ((Atomics.load(this.#words, PENDING + (port >>> 5)) & bit) === 0) return;
    // Pending meanwhile: only Xen can raise the upcall of a PVH guest.
    this.mask(port);
    await this.#vcpu.unmask(port);
  }

  #freeIrq(): number {
    let irq = FIRST_IRQ;
    while (this.#byIrq.has(irq)) irq++;
    return irq;
  }

  async #upcall(): Promise<void> {
    do {
      Atomics.store(this.#bytes, UPCALL_PENDING, 0);
      await this.#scan();
    } while (Atomics.load(this.#bytes, UPCALL_PENDING) !== 0);
  }

  /** All selected words once, from where the last scan stopped; the first one again at the end, for its earlier bits. */
  async #scan(): Promise<void> {
    const selected = [Atomics.exchange(this.#words, SELECTOR, 0), Atomics.exchange(this.#words, SELECTOR + 1, 0)];
    const startWord = this.#startWord;
    const startBit = this.#startBit;
    for (let step = 0; step <= WORDS; step++) {
      const word = (startWord + step) % WORDS;
      if (((selected[word >>> 5]! >>> (word & 31)) & 1) === 0) continue;
      await this.#scanWord(word, step === 0 ? startBit : 0, step === WORDS ? startBit : 64);
    }
  }

  async #scanWord(word: number, from: number, to: number): Promise<void> {
    const active = [this.#active(word * 2), this.#active(word * 2 + 1)];
    for (let bit = from; bit < to; bit++) {
      if (((active[bit >>> 5]! >>> (bit & 31)) & 1) === 0) continue;
      this.#startBit = (bit + 1) % 64;
      this.#startWord = this.#startBit === 0 ? (word + 1) % WORDS : word;
      await this.#handle(word * 64 + bit);
    }
  }

  #active(half: number): number {
    return Atomics.load(this.#words, PENDING + half) & ~Atomics.load(this.#words, MASK + half);
  }

  async #handle(port: number): Promise<void> {
    const handler = this.#byPort.get(port)?.handler;
    // Without a handler the event stays pending, as Linux leaves it: it is delivered when somebody asks for the interrupt.
    if (handler === undefined) return;
    this.#history.record(HOP.guestUpcall.kind, HOP.guestUpcall.name, port);
    Atomics.and(this.#words, PENDING + (port >>> 5), ~(1 << (port & 31)));
    await handler();
  }
}
