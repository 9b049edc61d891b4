// The guest's store on its ring page, as a real guest has it: the page that the toolstack set aside is granted to dom0 under
// the reference reserved for it, the store's port is an interrupt, and what is sent is told by an event. Leaves the ring's
// bytes to lib/xenstore; nothing here is used when the store is reached over the bus.

import { ErrnoError } from '../../lib/core/errors.js';
import type { EvtchnPort } from '../../lib/core/ids.js';
import { DOM0 } from '../../lib/core/ids.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import { GNTTAB_RESERVED_XENSTORE, GRANT_ENTRY_V1, GTF_permit_access } from '../../lib/layout/grant-table.js';
import type { XsMessage } from '../../lib/layout/xs-wire.js';
import { POINT } from '../../lib/trace/points.js';
import type { StoreChannel } from '../../lib/xenstore/channel.js';
import type { RingStoreChannel } from '../../lib/xenstore/ring-client.js';
import { lastingRingChannel } from '../../lib/xenstore/ring-lasting.js';
import { RingEnd } from '../../lib/xenstore/ring-stream.js';
import type { Events } from './events.js';
import { PAGE_SIZE } from './pages.js';
import type { Vcpu } from './vcpu.js';

export interface StoreRingParts {
  readonly vcpu: Vcpu;
  readonly events: Events;
  readonly memory: GuestMemory;
  readonly probe: Probe;
  /** The store's port. */
  readonly port: EvtchnPort;
  /** HVM_PARAM_STORE_PFN: the frame of the page. */
  readonly frame: () => Promise<number>;
  /** The grant table, mapped. */
  readonly grantTable: () => Promise<Uint8Array>;
  /** The ring broke: nothing can be asked any more. */
  readonly onLost: (error: Error) => void;
}

/** A channel that takes messages before its ring is open. */
export class StoreRing implements StoreChannel {
  readonly #parts: StoreRingParts;
  #channel: RingStoreChannel | undefined;
  readonly #early: XsMessage[] = [];
  #deliver: (message: XsMessage) => void = () => {};
  #lost: (error: Error) => void = () => {};
  #kickWanted = false;

  constructor(parts: StoreRingParts) {
    this.#parts = parts;
  }

  /** Once, at boot, on the vCPU. Rejects with ErrnoError when the domain was built without a store. */
  async open(): Promise<void> {
    const { events, memory, probe, port } = this.#parts;
    const frame = await this.#parts.frame();
    if (frame === 0 || port === 0) throw new ErrnoError('ENOENT', 'the domain has no store page');
    const page = memory.view(frame * PAGE_SIZE, PAGE_SIZE);
    const entry = { flags: GTF_permit_access, domid: DOM0, frame };
    GRANT_ENTRY_V1.encode(entry, await this.#parts.grantTable(), GNTTAB_RESERVED_XENSTORE * GRANT_ENTRY_V1.size);
    probe.at(POINT['store-ring.take'], '', port);
    const channel = lastingRingChannel(new RingEnd(page, 'guest'), () => this.#kick());
    channel.onMessage((message) => this.#deliver(message));
    channel.onLost((error) => {
      this.#lost(error);
      this.#parts.onLost(error);
    });
    this.#channel = channel;
    await events.request(events.bind(port), async () => channel.poll());
    for (const message of this.#early.splice(0)) channel.send(message);
  }

  /** An exit of its own, when the vCPU gets to it: one tells of all that was written by then. */
  #kick(): void {
    if (this.#kickWanted) return;
    this.#kickWanted = true;
    const { vcpu, port } = this.#parts;
    vcpu.run(() => {
      this.#kickWanted = false;
      vcpu.send(port).catch((error: unknown) => {
        // The other end is gone: a store that comes back binds the port anew, and looks at the page then.
        if (!(error instanceof ErrnoError)) throw error;
      });
    });
  }

  send(message: XsMessage): void {
    if (this.#channel === undefined) this.#early.push(message);
    else this.#channel.send(message);
  }
  onMessage(action: (message: XsMessage) => void): void {
    this.#deliver = action;
  }
  onLost(action: (error: Error) => void): void {
    this.#lost = action;
  }
  close(): void {
    this.#channel?.close();
  }
}
