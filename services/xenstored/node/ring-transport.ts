// Guests on ring pages, as in real Xen: the store's event channel is bound when a domain is introduced; the page, which
// the domain grants under the reference that is reserved for it, is mapped when that channel first fires, so that a
// guest which uses another transport needs none. Leaves the ring's rules to ring-session.ts.

import { ErrnoError, passOver } from '../../../lib/core/errors.js';
import { STORE_REQUESTS_PER_TURN } from '../../../lib/core/limits.js';
import type { BoundBell, Notifier, NotifyHandle } from '../../../lib/core/notify.js';
import type { Held } from '../../../lib/core/proto-types.js';
import type { BusClient, ServiceContext } from '../../../lib/core/service.js';
import { EVENTFD_DIRECTION } from '../../../lib/layout/ours/dev-evtchn.js';
import { type XsdError, xsdError } from '../../../lib/layout/xs-wire.js';
import { POINT } from '../../../lib/trace/points.js';
import { RingEnd } from '../../../lib/xenstore/ring-stream.js';
import type { Connection } from '../connection.js';
import type { LiveConnection } from '../live-state.js';
import type { CarriedRing } from '../ring-resume.js';
import { RingSession } from '../ring-session.js';
import type { Store } from '../store.js';
import { mapRingPage, type RingPage } from './ring-page.js';

interface Ring {
  readonly domid: number;
  readonly port: number;
  readonly notifier: Notifier;
  release(): void;
  /** Once the page is mapped. */
  session: RingSession | undefined;
  page: RingPage | undefined;
  mappingNow: boolean;
  /** It has another turn coming. */
  turnComes: boolean;
}

export interface RingTransportOptions {
  readonly context: ServiceContext;
  readonly hypervisor: BusClient;
  readonly store: Store;
  /** Guests' connections that the server before us had, by domid; each is taken out when it is gone on with. */
  readonly carried: Map<number, CarriedRing>;
  /** Before anything leaves: what it acknowledges must be written. */
  readonly beforeSend: () => void;
  /** Requests were done: connections of other transports may have something to send. */
  readonly afterRequests: () => void;
}

export class RingTransport {
  readonly #options: RingTransportOptions;
  readonly #hypervisor;
  readonly #rings = new Map<number, Ring>();
  readonly #dirty = new Set<Ring>();
  readonly #fd: number;

  private constructor(options: RingTransportOptions, fd: number) {
    this.#options = options;
    this.#hypervisor = options.hypervisor.remote('Hypervisor');
    this.#fd = fd;
  }

  static async open(options: RingTransportOptions): Promise<RingTransport> {
    const { context } = options;
    // Ports of rings signal bells of their own; the file's read ring stays empty.
    const readable = context.doorbell.bind(() => {});
    context.own('ring event channels bell', () => readable.release());
    const hypervisor = options.hypervisor.remote('Hypervisor');
    const { fd } = await hypervisor.dev_evtchn_open({ readable: readable.handle });
    const transport = new RingTransport(options, fd);
    context.own('ring event channels', async () => {
      // The streams stay as they stand: the next server finds in the journal how to go on with them.
      for (const ring of [...transport.#rings.values()]) transport.#release(ring);
      await hypervisor.dev_evtchn_close({ fd }).catch(passOver);
    });
    return transport;
  }

  /** INTRODUCE: binds the domain's port, anew if it had one. Answers what the client is told. */
  async introduce(domid: number, remotePort: number): Promise<XsdError | 'ok'> {
    this.drop(domid);
    const { context } = this.#options;
    let bell: BoundBell | undefined;
    let bound: number | undefined;
    try {
      const ours = context.doorbell.bind(() => this.#event(ring));
      bell = ours;
      const { local_port: port } = await this.#hypervisor.dev_evtchn_bind_interdomain({
        fd: this.#fd,
        remote_dom: domid,
        remote_port: remotePort,
      });
      bound = port;
      const notifier = await this.#join(port, ours.handle);
      const ring: Ring = {
        domid,
        port,
        notifier,
        release: () => ours.release(),
        session: undefined,
        page: undefined,
        mappingNow: false,
        turnComes: false,
      };
      this.#rings.set(domid, ring);
      // What it asked and was told before its port was bound is found in the page.
      if (this.#options.carried.has(domid)) await this.#map(ring);
      return 'ok';
    } catch (error) {
      bell?.release();
      if (bound !== undefined) await this.#unbind(bound);
      if (error instanceof ErrnoError) return xsdError(error.code);
      throw error;
    }
  }

  /** Makes the port ring our bell; returns what signals the port. */
  async #join(port: number, bell: NotifyHandle): Promise<Notifier> {
    const { FROM_PORT, TO_PORT } = EVENTFD_DIRECTION;
    const { handle } = await this.#hypervisor.dev_evtchn_eventfd({ fd: this.#fd, port, direction: TO_PORT });
    if (handle === undefined) throw new ErrnoError('EIO', 'no handle for the port');
    await this.#hypervisor.dev_evtchn_eventfd({ fd: this.#fd, port, direction: FROM_PORT, handle: bell });
    return this.#options.context.doorbell.open(handle);
  }

  #unbind(port: number): Promise<void> {
    return this.#hypervisor.dev_evtchn_unbind({ fd: this.#fd, port }).then(() => {}, passOver);
  }

  /** A domain that an earlier server had introduced: one that has a ring may be on it, waiting. */
  async restore(domid: number, remotePort: number): Promise<void> {
    const taken = this.#options.carried.has(domid);
    const bound = await this.introduce(domid, remotePort);
    const ring = this.#rings.get(domid);
    if (bound === 'ok' && !taken && ring !== undefined) await this.#map(ring, true);
    // A port that is bound may ring at once, and its page is being mapped then: that takes the connection, or closes it.
    if (bound === 'ok') return;
    const left = this.#options.carried.get(domid);
    this.#options.carried.delete(domid);
    if (left !== undefined) this.#options.store.close(left.connection);
  }

  #event(ring: Ring): void {
    this.#options.context.activity();
    if (ring.session === undefined) void this.#map(ring);
    else this.#turn(ring);
  }

  /** Maps the domain's page and serves it; a domain that grants none is served by another transport. */
  async #map(ring: Ring, afterLoss = false): Promise<void> {
    if (ring.mappingNow) return;
    ring.mappingNow = true;
    const { context, store, beforeSend, carried: allCarried } = this.#options;
    const page = await mapRingPage(this.#hypervisor, context.shared, ring.domid);
    ring.mappingNow = false;
    const carried = allCarried.get(ring.domid);
    allCarried.delete(ring.domid);
    // Dropped meanwhile, or introduced anew.
    const isCurrent = this.#rings.get(ring.domid) === ring;
    if (page === undefined || !isCurrent) {
      page?.close();
      if (carried !== undefined) store.close(carried.connection);
      return;
    }
    ring.page = page;
    ring.session = new RingSession(
      ring.domid,
      `ring-${ring.domid}`,
      { store, ring: new RingEnd(page.bytes, 'server'), notify: () => ring.notifier.signal(), beforeSend },
      () => this.#dirty.add(ring),
      () => this.drop(ring.domid),
      carried,
    );
    context.probe.at(POINT['store-ring.take'], '', ring.port, 0, ring.domid);
    if (afterLoss) ring.session.beginAfterLoss();
    else ring.session.begin();
    this.#turn(ring);
  }

  /** Bounded, so that a guest which never stops asking does not keep the others waiting. */
  #turn(ring: Ring): void {
    this.#dirty.delete(ring);
    for (let count = 0; count < STORE_REQUESTS_PER_TURN; count++) {
      if (ring.session?.turn()) continue;
      this.#options.afterRequests();
      return;
    }
    this.#options.afterRequests();
    this.#giveTurn(ring);
  }

  /** What another program needs to go on with the guests; nothing changes here. */
  states(): { connection: Connection; state: Omit<LiveConnection, 'watches'> }[] {
    return [...this.#rings.values()].flatMap(({ domid, session }) => {
      if (session === undefined || session.ignored) return [];
      const { connection } = session;
      const { targetDomid, port = 0, uniqueId = '' } = connection.domain ?? {};
      const wire = {
        kind: 'ring',
        domid,
        targetDomid,
        port,
        uniqueId: BigInt(uniqueId === '' ? 0 : uniqueId),
      } as const;
      return [{ connection, state: { wire, ...session.state } }];
    });
  }

  /** Ports that are bound for guests, and pages of them that are mapped. */
  held(): Held[] {
    return [...this.#rings.values()].flatMap(({ domid, port, page }) => [
      { kind: 'store-port', name: `${domid} ${port}` },
      ...(page === undefined ? [] : [{ kind: 'store-page', name: String(domid) }]),
    ]);
  }

  /** Sends what waits, and serves guests whose requests had to wait. */
  flush(): void {
    this.#options.store.resume();
    for (const ring of this.#dirty) {
      this.#dirty.delete(ring);
      if (ring.session?.turn()) this.#giveTurn(ring);
    }
  }

  /** Another turn after all others had theirs. */
  #giveTurn(ring: Ring): void {
    if (ring.turnComes) return;
    ring.turnComes = true;
    setImmediate(() => {
      ring.turnComes = false;
      this.#turn(ring);
    });
  }

  /** The domain was released, or is dying: its port and page are given back at once, or it could never be gone. */
  drop(domid: number): void {
    const ring = this.#rings.get(domid);
    if (ring === undefined) return;
    const { session } = ring;
    this.#release(ring, () => session?.end());
  }

  /** `last` is done with the page while it is there. */
  #release(ring: Ring, last = (): void => {}): void {
    this.#rings.delete(ring.domid);
    this.#dirty.delete(ring);
    ring.session = undefined;
    last();
    ring.notifier.close();
    ring.release();
    if (ring.page !== undefined) {
      ring.page.close();
      this.#options.context.probe.at(POINT['store-ring.give'], '', ring.port, 0, ring.domid);
    }
    void this.#unbind(ring.port);
  }
}
