// The open /dev/xen/evtchn of this process: binds ports, runs what waits for each, notifies and writes back. One open
// device serves all guests. Leaves the page to evtchn-page.ts, and what an event means to the function that a port was bound with.

import type { Remote } from '../../lib/core/bus.js';
import type { Clock } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { passOver } from '../../lib/core/errors.js';
import { type DomId, EvtchnPort, evtchnPortFrom } from '../../lib/core/ids.js';
import type { BoundBell, Notifier } from '../../lib/core/notify.js';
import type { BellHandle } from '../../lib/core/proto-types.js';
import type { ServiceContext } from '../../lib/core/service.js';
import type { Mapping } from '../../lib/core/shared.js';
import { EvtchnPage } from './evtchn-page.js';
import type { Ledger } from './ledger.js';

type Hypervisor = Remote<'Hypervisor'>;

interface Port {
  readonly onEvent: () => void;
  readonly giveBack: () => void;
}

export class EvtchnClient {
  readonly fd: number;
  readonly #hypervisor: Hypervisor;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #page: EvtchnPage;
  readonly #mapping: Mapping;
  readonly #written: Notifier;
  readonly #ports = new Map<EvtchnPort, Port>();
  /** Events of ports whose binding has not been answered yet; the doorbell is quicker than the bus. */
  readonly #early = new Set<EvtchnPort>();
  #commanded = false;
  #reading = false;
  #open = true;

  private constructor(
    opened: { fd: number; mapping: Mapping; written: Notifier },
    hypervisor: Hypervisor,
    ledger: Ledger,
    clock: Clock,
  ) {
    this.#clock = clock;
    this.fd = opened.fd;
    this.#mapping = opened.mapping;
    this.#written = opened.written;
    this.#page = new EvtchnPage(opened.mapping.bytes);
    this.#hypervisor = hypervisor;
    this.#ledger = ledger;
  }

  /** Opens the device; it closes with the context. */
  static async open(context: ServiceContext, hypervisor: Hypervisor, ledger: Ledger): Promise<EvtchnClient> {
    let device: EvtchnClient | undefined;
    const readable: BoundBell = context.doorbell.bind(() => device?.readable());
    context.own('evtchn doorbell', () => readable.release());
    const { fd, page, written } = await hypervisor.dev_evtchn_open({ readable: readable.handle as BellHandle });
    const mapping = context.shared.map(page);
    device = new EvtchnClient(
      { fd, mapping, written: context.doorbell.open(written) },
      hypervisor,
      ledger,
      context.clock,
    );
    const opened = device;
    context.own('/dev/xen/evtchn', () => opened.close());
    return device;
  }

  /** Binds a guest's port; `onEvent` runs at each event, which is the last until writeBack. Answers the local port. */
  async bindInterdomain(
    domid: DomId,
    remotePort: EvtchnPort,
    onEvent: (port: EvtchnPort) => void,
  ): Promise<EvtchnPort> {
    const { local_port } = await this.#hypervisor.dev_evtchn_bind_interdomain({
      fd: this.fd,
      remote_dom: domid,
      remote_port: remotePort,
    });
    const port = evtchnPortFrom(local_port);
    this.#ports.set(port, { onEvent: () => onEvent(port), giveBack: this.#ledger.take('port', port, domid) });
    if (this.#early.delete(port)) onEvent(port);
    this.flush();
    return port;
  }

  async unbind(port: EvtchnPort): Promise<void> {
    const bound = this.#ports.get(port);
    this.#ports.delete(port);
    try {
      await this.#hypervisor.dev_evtchn_unbind({ fd: this.fd, port });
    } finally {
      bound?.giveBack();
      // An event of the old binding may have come after the handler went.
      this.#early.delete(port);
    }
  }

  /** Sends on a port; told to the kernel's half with the next flush, or at the end of the event being handled. */
  notify(port: EvtchnPort): void {
    if (!this.#open) return;
    this.#page.notify(port);
    this.#commanded = true;
  }

  /** DM_OP evtchn_raise at a guest's own port, told with the next flush; a refusal shows in the hypervisor's log only. */
  dmRaise(domid: DomId, port: EvtchnPort): void {
    if (!this.#open) return;
    this.#page.dmRaise(domid, port);
    this.#commanded = true;
  }

  writeBack(port: EvtchnPort): void {
    if (!this.#open) return;
    this.#page.writeBack(port);
    this.#commanded = true;
  }

  /** Tells the kernel's half of the commands put in; inside an event handler that happens by itself. */
  flush(): void {
    if (!this.#commanded || this.#reading || !this.#open) return;
    this.#commanded = false;
    this.#page.flush();
    this.#written.signal();
    if (!this.#page.full) return;
    // Only a kernel half that does not run leaves the ring full.
    this.#commanded = true;
    this.#clock.after(DEADLINE_MS.evtchnRetry, () => this.flush());
  }

  /** The doorbell rang: ports can be read. */
  readable(): void {
    if (!this.#open) return;
    this.#reading = true;
    try {
      this.#page.read((number) => {
        const port = EvtchnPort(number);
        const bound = this.#ports.get(port);
        if (bound === undefined) this.#early.add(port);
        else bound.onEvent();
      });
    } finally {
      this.#reading = false;
      this.flush();
    }
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#written.close();
    this.#mapping.close();
    await this.#hypervisor.dev_evtchn_close({ fd: this.fd }).catch(passOver); // it closes with our connection too
  }
}
