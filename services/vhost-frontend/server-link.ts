// The session of one device with its device server, through the server's deaths: the first one is waited for, and when the server
// ends the next one is opened at once. What of the device the server alone knows, its features and configuration space, is kept
// here over a loss. Leaves what a loss means to the guest to virtio-link.ts, and transports to device-server.ts.

import type { Clock } from '../../lib/core/clock.js';
import { assert, ErrnoError, isOurBug, PeerDiedError, passOver } from '../../lib/core/errors.js';
import type { DomId } from '../../lib/core/ids.js';
import { type NotWanted, Wish } from '../../lib/core/not-wanted.js';
import type { BackendRequest } from '../../lib/vhost-user/messages.js';
import type { DeviceServer, ServerHandle, ServerSession } from './device-server.js';
import type { DeviceType } from './device-types.js';
import type { Ledger } from './ledger.js';

export interface ServerLinkDeps {
  readonly server: DeviceServer;
  readonly ledger: Ledger;
  readonly clock: Clock;
  /** A bug of ours. */
  onFailure(error: unknown): void;
}

export interface ServerLinkEvents {
  /** The server ended; the next session is being opened. */
  onLost(): void;
  /** A session stands after a loss. */
  onBack(): void;
  /** The next server refused the device, or what it sent cannot be used. */
  onRefused(what: string, error: unknown): void;
  onConfigChanged(config: Uint8Array): void;
  /** The server gave a ring up. */
  onRingError(ring: number): void;
}

/**
 * `closed` before the first opening and for good after close(). `refused`: the server that came after a loss would not have the
 * device; ask() does so again.
 */
type LinkState =
  | { readonly at: 'closed' }
  | { readonly at: 'opening'; readonly opening: Promise<ServerSession>; readonly wish: Wish }
  | { readonly at: 'open'; readonly session: ServerSession; readonly giveBack: () => void }
  | { readonly at: 'refused' };

export class ServerLink {
  readonly #name: string;
  readonly #domid: DomId;
  readonly #type: DeviceType;
  readonly #deps: ServerLinkDeps;
  readonly #events: ServerLinkEvents;
  #state: LinkState = { at: 'closed' };
  #features = 0n;
  #config: Uint8Array = new Uint8Array(0);

  /** `name`: of the device at the server. */
  constructor(id: { name: string; domid: DomId; type: DeviceType }, deps: ServerLinkDeps, events: ServerLinkEvents) {
    this.#name = id.name;
    this.#domid = id.domid;
    this.#type = id.type;
    this.#deps = deps;
    this.#events = events;
  }

  /** Of the newest session: what the server offers. */
  get features(): bigint {
    return this.#features;
  }

  /** Configuration space as last read. */
  get config(): Uint8Array {
    return this.#config;
  }

  /** Undefined while there is no server. */
  get session(): ServerSession | undefined {
    return this.#state.at === 'open' ? this.#state.session : undefined;
  }

  /** Waits for the server. Rejects when it refuses the device, with ENODEV when this link is closed meanwhile. */
  open(): Promise<ServerSession> {
    assert(this.#state.at === 'closed' || this.#state.at === 'refused', `a session is opened while ${this.#state.at}`);
    const wish = new Wish();
    const opening = this.#open(wish);
    this.#state = { at: 'opening', opening, wish };
    return opening;
  }

  /** Not wanted once this link is closed. */
  async #open(notWanted: NotWanted): Promise<ServerSession> {
    await undefined; // the state names this opening before anything of it happens
    let lost: boolean;
    const onLost = (): void => {
      lost = true;
      if (this.#state.at === 'open') this.#lost(this.#state.giveBack);
    };
    const onBackendRequest = (request: BackendRequest<ServerHandle>): void => this.#backendRequest(request);
    try {
      for (;;) {
        lost = false;
        const queueCount = this.#type.queueSizesMax.length;
        const session = await this.#deps.server.open(this.#name, queueCount, { onLost, onBackendRequest }, notWanted);
        try {
          if (notWanted.reason !== undefined) throw notWanted.reason;
          this.#config = await this.#readConfig(session);
          if (notWanted.reason !== undefined) throw notWanted.reason;
          if (lost) throw new PeerDiedError('device server');
        } catch (error) {
          await session.close().catch(passOver);
          // It ended in the middle of it: the next one.
          if (error instanceof PeerDiedError && notWanted.reason === undefined) continue;
          throw error;
        }
        this.#features = session.frontend.features;
        const giveBack = this.#deps.ledger.take('session', this.#type.id, this.#domid);
        this.#state = { at: 'open', session, giveBack };
        return session;
      }
    } catch (error) {
      if (notWanted.reason === undefined) this.#state = { at: 'refused' };
      throw error;
    }
  }

  /** The driver wants the device: a server that refused it is asked again. onBack() or onRefused() follows. */
  ask(): void {
    if (this.#state.at === 'refused') this.#reopen();
  }

  /**
   * Gives up the session. Resolves when the server knows the device no more, one that was still being opened included: the next
   * link opens a session of the same name.
   */
  async close(): Promise<void> {
    const state = this.#state;
    this.#state = { at: 'closed' };
    if (state.at === 'opening') {
      state.wish.giveUp(new ErrnoError('ENODEV', `device ${this.#name} is gone`));
      await state.opening.catch(passOver);
    }
    if (state.at !== 'open') return;
    state.giveBack();
    await state.session.close();
  }

  #lost(giveBack: () => void): void {
    this.#state = { at: 'refused' };
    giveBack();
    this.#reopen();
    this.#events.onLost();
  }

  #reopen(): void {
    this.open().then(
      () => this.#events.onBack(),
      (error: unknown) => {
        if (isOurBug(error)) this.#deps.onFailure(error);
        else if (this.#state.at !== 'closed') this.#events.onRefused('next session', error);
      },
    );
  }

  /** Rejects when there is no such space. What of it is the front-end's to say is filled in. */
  async #readConfig(session: ServerSession): Promise<Uint8Array> {
    const { configSize, complete } = this.#type;
    const config = Uint8Array.from(await session.frontend.getConfig(configSize));
    return complete?.(config) ?? config;
  }

  /** Writes configuration space, and reads what came of it. */
  async setConfig(session: ServerSession, offset: number, data: Uint8Array): Promise<void> {
    await session.frontend.setConfig(offset, data);
    this.#config = await this.#readConfig(session);
  }

  #backendRequest(request: BackendRequest<ServerHandle>): void {
    const { session } = this;
    if (session === undefined) return;
    switch (request.type) {
      case 'CONFIG_CHANGE_MSG':
        this.#configChanged(session).catch(this.#deps.onFailure);
        return;
      case 'VRING_ERR':
        this.#events.onRingError(request.index);
        return;
      case 'VRING_CALL':
        return; // in-band notifications are not negotiated
    }
  }

  async #configChanged(session: ServerSession): Promise<void> {
    try {
      this.#config = await this.#readConfig(session);
    } catch (error) {
      if (isOurBug(error)) throw error;
      this.#events.onRefused('read of config space', error);
      return;
    }
    if (this.session === session) this.#events.onConfigChanged(this.#config);
  }
}
