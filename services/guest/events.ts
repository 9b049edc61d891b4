// Event channels as a guest kernel uses them: ports bound to interrupts, masks, handlers run at upcalls
// (drivers/xen/events/events_base.c is what it follows). Unmasking clears the mask before it looks at pending.
// Leaves the words and the order of an upcall to lib/events, how a port comes to be, and the exits, to vCPU and hypervisor.

import { ErrnoError } from '../../lib/core/errors.js';
import type { DomId, EvtchnPort } from '../../lib/core/ids.js';
import type { Probe } from '../../lib/core/probe.js';
import { TwoLevelWords } from '../../lib/events/two-level.js';
import { NO_PORT, UpcallScan } from '../../lib/events/upcall-scan.js';
import { EVTCHN_2L_NR_CHANNELS } from '../../lib/layout/evtchn.js';
import { HOP } from '../../lib/trace/hops.js';
import { POINT } from '../../lib/trace/points.js';
import type { Vcpu } from './vcpu.js';

/** First interrupt that Linux on x86 gives to an event channel: below lie the legacy ones. */
const FIRST_IRQ = 16;
/** A guest here has one vCPU. */
const VCPU = 0;

export interface EventCalls {
  /** EVTCHNOP_alloc_unbound for ourselves. */
  allocUnbound(remoteDomid: DomId): Promise<EvtchnPort>;
  close(port: EvtchnPort): Promise<void>;
}

interface Binding {
  readonly irq: number;
  readonly port: EvtchnPort;
  handler: (() => Promise<void>) | undefined;
}

export class Events {
  readonly #words: TwoLevelWords;
  readonly #scan: UpcallScan;
  readonly #vcpu: Vcpu;
  readonly #calls: EventCalls;
  readonly #probe: Probe;
  readonly #byPort = new Map<number, Binding>();
  readonly #byIrq = new Map<number, Binding>();
  /** Bound ports that are not ours to close. */
  #lent = 0;

  /** Masks every port, as Linux does at boot, and takes the vCPU's upcalls. `sharedInfo` is the page, mapped. */
  constructor(parts: { sharedInfo: Uint8Array; vcpu: Vcpu; calls: EventCalls; probe: Probe }) {
    this.#words = new TwoLevelWords(parts.sharedInfo);
    this.#scan = new UpcallScan(this.#words, VCPU);
    this.#vcpu = parts.vcpu;
    this.#calls = parts.calls;
    this.#probe = parts.probe;
    this.#words.maskAll();
    parts.vcpu.onUpcall(() => this.#upcall());
    // Raised before there was a vCPU to hear the doorbell: hardware interrupts as soon as it may, and Xen will not raise it again.
    if (this.#words.upcallPending(VCPU)) parts.vcpu.wantUpcall();
  }

  /** Ports that are bound, for the audit at the end. */
  get boundCount(): number {
    return this.#byPort.size - this.#lent;
  }

  /** xenbus_alloc_evtchn and bind_evtchn_to_irq: a port for that domain, masked, with an interrupt and no handler yet. */
  async allocate(remoteDomid: DomId): Promise<{ port: EvtchnPort; irq: number }> {
    const port = await this.#calls.allocUnbound(remoteDomid);
    if (port <= 0 || port >= EVTCHN_2L_NR_CHANNELS) throw new ErrnoError('EINVAL', `port ${port}`);
    this.#probe.at(POINT['port.take'], '', port, remoteDomid);
    const irq = this.#freeIrq();
    const binding: Binding = { irq, port, handler: undefined };
    this.#byPort.set(port, binding);
    this.#byIrq.set(irq, binding);
    return { port, irq };
  }

  /** bind_evtchn_to_irq: an interrupt for a port that the toolstack made (the store's). It stays to the end, and is no leak. */
  bind(port: EvtchnPort): number {
    const irq = this.#freeIrq();
    const binding: Binding = { irq, port, handler: undefined };
    this.#byPort.set(port, binding);
    this.#byIrq.set(irq, binding);
    this.#lent++;
    return irq;
  }

  portOf(irq: number): EvtchnPort | undefined {
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
    this.#probe.at(POINT['port.give'], '', binding.port);
    await this.#calls.close(binding.port);
  }

  mask(port: EvtchnPort): void {
    this.#words.setMask(port);
  }

  async unmask(port: EvtchnPort): Promise<void> {
    this.#words.clearMask(port);
    if (!this.#words.isPending(port)) return;
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
      this.#scan.begin();
      for (let port = this.#scan.next(); port !== NO_PORT; port = this.#scan.next()) await this.#handle(port);
    } while (this.#words.upcallPending(VCPU));
  }

  async #handle(port: number): Promise<void> {
    const handler = this.#byPort.get(port)?.handler;
    // Without a handler the event stays pending, as Linux leaves it: it is delivered once request() gives the interrupt a handler.
    if (handler === undefined) return;
    this.#probe.at(HOP.guestUpcall.point, '', port);
    this.#words.clearPending(port);
    await handler();
  }
}
