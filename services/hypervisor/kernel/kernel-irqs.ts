// The dom0 kernel's event-channel interrupts (drivers/xen/events): which ports have handlers, the upcall loop
// over the 2-level words, late EOI. Ports without a handler stay masked, as Linux leaves them.
// Leaves what handlers do to evtchn-file.ts and ioeventfds.ts, and the ports themselves to event-channels.ts.
import { EvtchnPort } from '../../../lib/core/ids.js';
import type { TwoLevelWords } from '../../../lib/events/two-level.js';
import { NO_PORT, UpcallScan } from '../../../lib/events/upcall-scan.js';
import type { Domain } from '../domain/domain.js';
import type { EventChannels } from '../event/event-channels.js';

/** dom0's kernel here has one vCPU. */
const VCPU = 0;

export interface IrqHandler {
  /** Runs in the upcall. True when no write-back will come for this event: the port is re-enabled at once. */
  onEvent(): boolean;
}

interface Irq {
  readonly port: EvtchnPort;
  /** Shared by several users of the port; the kernel's own come first, so that a kick leaves before a daemon wakes. */
  handlers: IrqHandler[];
  references: number;
  /** Masked from an event until the late EOI. */
  eoiPending: boolean;
  /** disable_irq without the enable_irq that belongs to it: no handler runs any more (Linux's leak). */
  disabled: boolean;
  /** The port stays when its last user goes (BIND_STATIC). */
  stays: boolean;
}

export class KernelIrqs {
  readonly #dom0: Domain;
  readonly #channels: EventChannels;
  readonly #irqs: (Irq | undefined)[] = [];
  readonly #words: TwoLevelWords;
  readonly #scan: UpcallScan;
  #running = false;

  constructor(dom0: Domain, channels: EventChannels) {
    this.#dom0 = dom0;
    this.#channels = channels;
    this.#words = dom0.words;
    this.#scan = new UpcallScan(this.#words, VCPU);
    this.#words.maskAll(); // as Linux does at boot
    dom0.vcpus[VCPU]!.onUpcall = () => this.#upcall();
  }

  has(port: EvtchnPort): boolean {
    return this.#irqs[port] !== undefined;
  }

  /** Adds a user of a port of dom0; the first one unmasks it. `first` puts its handler before the others'. */
  bind(port: EvtchnPort, handler: IrqHandler, first = false): void {
    const irq = this.#irqs[port];
    if (irq !== undefined) {
      irq.references++;
      if (first) irq.handlers = [handler, ...irq.handlers];
      else irq.handlers = [...irq.handlers, handler];
      return;
    }
    this.#irqs[port] = { port, handlers: [handler], references: 1, eoiPending: false, disabled: false, stays: false };
    this.#channels.unmask(this.#dom0, port);
  }

  /** The port is not closed when its last user goes. */
  keep(port: EvtchnPort): void {
    const irq = this.#irqs[port];
    if (irq !== undefined) irq.stays = true;
  }

  /** Takes a user away; the last one masks and closes the port. */
  unbind(port: EvtchnPort, handler: IrqHandler): void {
    const irq = this.#irqs[port];
    if (irq === undefined) return;
    irq.handlers = irq.handlers.filter((each) => each !== handler);
    if (--irq.references > 0) return;
    this.#irqs[port] = undefined;
    this.#words.setMask(port);
    if (!irq.stays) this.#channels.close(this.#dom0, port);
  }

  /** What closing /dev/xen/evtchn does to an interrupt that another kernel user still holds: it stays disabled. */
  disable(port: EvtchnPort): void {
    const irq = this.#irqs[port];
    if (irq !== undefined && irq.references > 1) {
      irq.disabled = true;
      this.#words.setMask(port);
    }
  }

  /** xen_irq_lateeoi with no flags: the port may fire again; what came meanwhile fires now. */
  lateEoi(port: EvtchnPort): void {
    const irq = this.#irqs[port];
    if (irq === undefined || !irq.eoiPending) return;
    irq.eoiPending = false;
    if (!irq.disabled) this.#channels.unmask(this.#dom0, port);
  }

  /** The upcall loop. Handlers may raise further events of dom0: they are found by the next round, not by recursion. */
  #upcall(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      do {
        this.#scan.begin();
        for (let port = this.#scan.next(); port !== NO_PORT; port = this.#scan.next()) this.#handle(EvtchnPort(port));
      } while (this.#words.upcallPending(VCPU));
    } finally {
      this.#running = false;
    }
  }

  #handle(port: EvtchnPort): void {
    const irq = this.#irqs[port];
    if (irq === undefined) return;
    // The acknowledgement of late-EOI interrupts: mask, then clear, before any handler runs.
    this.#words.setMask(port);
    this.#words.clearPending(port);
    irq.eoiPending = true;
    if (irq.disabled) return;
    let eoi = false;
    for (const handler of irq.handlers) if (handler.onEvent()) eoi = true;
    if (eoi) this.lateEoi(port);
  }
}
