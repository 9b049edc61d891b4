// The dom0 kernel's event-channel interrupts (drivers/xen/events): which ports have handlers, the upcall loop
// over the 2-level words, late EOI. Ports without a handler stay masked, as Linux leaves them.
// Leaves what handlers do to evtchn-file.ts and ioeventfds.ts, and the ports themselves to event-channels.ts.
import { SHARED_INFO, VCPU_INFO } from '../../../lib/layout/evtchn.js';
import type { Domain } from '../domain/domain.js';
import type { EventChannels } from '../event/event-channels.js';

const PENDING = SHARED_INFO.offset.evtchn_pending >>> 2;
const MASK = SHARED_INFO.offset.evtchn_mask >>> 2;
const SELECTOR = VCPU_INFO.offset.evtchn_pending_sel >>> 2;
const MASK_WORDS = (SHARED_INFO.offset.wc_version - SHARED_INFO.offset.evtchn_mask) >>> 2;

export interface IrqHandler {
  /** Runs in the upcall. True when nobody will write the port back: it is re-enabled at once. */
  onEvent(): boolean;
}

interface Irq {
  readonly port: number;
  /** Shared by several users of the port; the kernel's own come first, so that a kick leaves before a daemon wakes. */
  handlers: IrqHandler[];
  references: number;
  /** Masked from an event until the late EOI. */
  eoiPending: boolean;
  /** disable_irq that nobody undoes: no handler runs any more (Linux's leak). */
  disabled: boolean;
}

export class KernelIrqs {
  readonly #dom0: Domain;
  readonly #channels: EventChannels;
  readonly #irqs: (Irq | undefined)[] = [];
  readonly #words: Int32Array;
  #running = false;

  constructor(dom0: Domain, channels: EventChannels) {
    this.#dom0 = dom0;
    this.#channels = channels;
    const { buffer, byteOffset } = dom0.sharedInfo;
    this.#words = new Int32Array(buffer, byteOffset, SHARED_INFO.size >>> 2);
    this.#words.fill(-1, MASK, MASK + MASK_WORDS); // Linux masks every port at boot
    dom0.vcpus[0]!.onUpcall = () => this.#upcall();
  }

  has(port: number): boolean {
    return this.#irqs[port] !== undefined;
  }

  /** Adds a user of a port of dom0; the first one unmasks it. `first` puts its handler before the others'. */
  bind(port: number, handler: IrqHandler, first = false): void {
    const irq = this.#irqs[port];
    if (irq !== undefined) {
      irq.references++;
      if (first) irq.handlers = [handler, ...irq.handlers];
      else irq.handlers = [...irq.handlers, handler];
      return;
    }
    this.#irqs[port] = { port, handlers: [handler], references: 1, eoiPending: false, disabled: false };
    this.#channels.unmask(this.#dom0, port);
  }

  /** Takes a user away; the last one masks and closes the port. */
  unbind(port: number, handler: IrqHandler): void {
    const irq = this.#irqs[port];
    if (irq === undefined) return;
    irq.handlers = irq.handlers.filter((each) => each !== handler);
    if (--irq.references > 0) return;
    this.#irqs[port] = undefined;
    this.#mask(port);
    this.#channels.close(this.#dom0, port);
  }

  /** What closing /dev/xen/evtchn does to an interrupt that another kernel user still holds: it stays disabled. */
  disable(port: number): void {
    const irq = this.#irqs[port];
    if (irq !== undefined && irq.references > 1) {
      irq.disabled = true;
      this.#mask(port);
    }
  }

  /** xen_irq_lateeoi with no flags: the port may fire again; what came meanwhile fires now. */
  lateEoi(port: number): void {
    const irq = this.#irqs[port];
    if (irq === undefined || !irq.eoiPending) return;
    irq.eoiPending = false;
    if (!irq.disabled) this.#channels.unmask(this.#dom0, port);
  }

  #mask(port: number): void {
    Atomics.or(this.#words, MASK + (port >>> 5), 1 << (port & 31));
  }

  /** The upcall loop. Handlers may raise further events of dom0: they are found by the next round, not by recursion. */
  #upcall(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      const { sharedInfo } = this.#dom0;
      do {
        Atomics.store(sharedInfo, VCPU_INFO.offset.evtchn_upcall_pending, 0);
        this.#scan(Atomics.exchange(this.#words, SELECTOR, 0), 0);
        this.#scan(Atomics.exchange(this.#words, SELECTOR + 1, 0), 32);
      } while ((Atomics.load(sharedInfo, VCPU_INFO.offset.evtchn_upcall_pending) & 1) !== 0);
    } finally {
      this.#running = false;
    }
  }

  /** Half a selector word: each bit names a 64-bit word of ports, which is two of ours. */
  #scan(selected: number, firstWord: number): void {
    let left = selected;
    while (left !== 0) {
      const bit = 31 - Math.clz32(left & -left);
      left &= left - 1;
      this.#scanWord((firstWord + bit) * 2);
      this.#scanWord((firstWord + bit) * 2 + 1);
    }
  }

  #scanWord(word: number): void {
    let active = Atomics.load(this.#words, PENDING + word) & ~Atomics.load(this.#words, MASK + word);
    while (active !== 0) {
      const bit = 31 - Math.clz32(active & -active);
      active &= active - 1;
      this.#handle(word * 32 + bit);
    }
  }

  #handle(port: number): void {
    const irq = this.#irqs[port];
    if (irq === undefined) return;
    // The acknowledgement of late-EOI interrupts: mask, then clear, before any handler runs.
    this.#mask(port);
    Atomics.and(this.#words, PENDING + (port >>> 5), ~(1 << (port & 31)));
    irq.eoiPending = true;
    if (irq.disabled) return;
    let eoi = false;
    for (const handler of irq.handlers) if (handler.onEvent()) eoi = true;
    if (eoi) this.lateEoi(port);
  }
}
