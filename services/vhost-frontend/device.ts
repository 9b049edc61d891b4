// One backend device: runs the machine of lib/xenbus/backend.ts on what the store shows, and does its effects. One look or
// one effect at a time; events that come meanwhile make it look again. Leaves the virtio half to virtio-link.ts.

import { isDeviceServerName } from '../../lib/core/device-server.js';
import { ERRNO } from '../../lib/core/errno.js';
import { helpFor } from '../../lib/core/error-codes.js';
import { ErrnoError, errorMessage, isOurBug, PeerDiedError, ProtocolError, passOver } from '../../lib/core/errors.js';
import type { DomId } from '../../lib/core/ids.js';
import type { NotificationPath } from '../../lib/core/notification-path.js';
import {
  backendNode,
  errorKey,
  frontendPath,
  VIRTIO_MMIO_KEY,
  XENBUS_KEY,
  XenbusState,
  xenbusStateName,
} from '../../lib/layout/xenbus.js';
import { edge, POINT } from '../../lib/trace/points.js';
import {
  BACK_REVIEW,
  BACK_START,
  type BackEffect,
  type BackEvent,
  type BackState,
  type BackTables,
  backStep,
  type FrontendKeys,
  frontendKeysRead,
  isBackRest,
} from '../../lib/xenbus/backend.js';
import { parseDeviceType, parseDomid, parseOnline, parseState } from '../../lib/xenbus/keys.js';
import { protocolOf } from '../../lib/xenbus/protocols.js';
import { assertReads, keyRule } from '../../lib/xenbus/rules.js';
import type { StoreClient, StoreOps } from '../../lib/xenstore/api.js';
import type { DeviceServer } from './device-server.js';
import { DeviceSession, type SessionDeps } from './device-session.js';
import { DEVICE_TYPES, type DeviceType } from './device-types.js';
import { checkedPath } from './paths.js';
import { orMissing, removeWithParents } from './store-values.js';
import type { VirtioLink } from './virtio-link.js';

export interface DeviceDeps extends SessionDeps {
  /** Of that name; undefined: the one without. Throws ErrnoError where this backend has none of that name. */
  readonly serverNamed: (name: string | undefined) => DeviceServer;
  readonly store: StoreClient;
  /** Of the directories that are its own: says which version of the protocol they are held to. */
  readonly kind: string;
  /** Doorbells are memory that others write (`notify = doorbell`), not messages. */
  readonly sharedBells: boolean;
}

/** What the toolstack wrote of a device. */
interface Setup {
  readonly type: DeviceType;
  readonly path: NotificationPath;
  readonly server: DeviceServer;
  /** The device server is to see granted pages only. */
  readonly grants: boolean;
}

export interface DeviceEvents {
  /** Nothing is held and the directory is gone; `again`: something happened there meanwhile. */
  onGone(again: boolean): void;
  /** At rest: whatever range it is to have in its present state is claimed. */
  onRest(): void;
}

/** A device as devices.ts keeps it. */
export interface BackDevice {
  readonly domid: DomId;
  readonly devid: number;
  /** Begins to follow both ends. */
  start(): Promise<void>;
  /** Something in one of the two directories changed. */
  changed(): void;
  /** The guest's domain is no more. */
  guestEnded(): void;
  /** This process ends: closes in order, as far as the guest goes along; resolves once nothing is held. */
  shutDown(): Promise<void>;
  /** Gives back everything whatever the guest does; nothing is written. */
  abandon(): Promise<void>;
  /** Both ends were looked at, and no effect is under way. */
  readonly atRest: boolean;
}

export class Device implements BackDevice {
  readonly domid: DomId;
  readonly devid: number;
  readonly #deps: DeviceDeps;
  readonly #tables: BackTables;
  /** Own directory, relative to dom0's home. */
  readonly #node: string;
  readonly #frontend: string;
  readonly #events: DeviceEvents;
  #state: BackState = BACK_START;
  #dirty = false;
  #lookedAt = false;
  #pumping: Promise<void> | undefined;
  /** The guest's domain ended: whatever its keys say, its frontend does nothing any more. */
  #guestEnded = false;
  #cancelOpen: ((error: Error) => void) | undefined;
  #setup: Setup | undefined;
  #session: DeviceSession | undefined;
  /** Its driver does not reset it though it should. */
  #spoilt = false;
  /** Something may stand there: also of an earlier life of this process. */
  #errorWritten = false;
  #unwatched = (): void => {};
  #rested = (): void => {};

  constructor(domid: DomId, devid: number, deps: DeviceDeps, events: DeviceEvents) {
    this.domid = domid;
    this.devid = devid;
    this.#deps = deps;
    const { kind } = deps;
    this.#tables = { ...BACK_REVIEW, protocol: protocolOf(kind) };
    this.#node = backendNode({ kind, domid, devid });
    this.#frontend = frontendPath({ kind, domid, devid });
    this.#events = events;
  }

  get #watchToken(): string {
    return `front-${this.domid}-${this.devid}`;
  }

  async start(): Promise<void> {
    const path = `${this.#frontend}/${XENBUS_KEY.state}`;
    await this.#deps.store.watch(path, this.#watchToken, () => this.changed());
    this.#unwatched = this.#deps.ledger.take('watch', this.devid, this.domid);
    this.changed();
  }

  changed(): void {
    this.#dirty = true;
    if (this.#cancelOpen !== undefined) this.#stillWanted().catch(this.#deps.onFailure);
    this.#pumping ??= this.#pump()
      .catch(this.#deps.onFailure)
      .finally(() => {
        this.#pumping = undefined;
        this.#lookedAt = true;
        if (this.#dirty && this.#state.phase !== 'gone') this.changed();
        else this.#events.onRest();
      });
  }

  guestEnded(): void {
    this.#guestEnded = true;
    this.changed();
  }

  async shutDown(): Promise<void> {
    this.#state = { ...this.#state, stopping: true };
    const closed = new Promise<void>((resolve) => {
      this.#rested = () => {
        if (!this.held) resolve();
      };
    });
    this.changed();
    await closed;
  }

  async abandon(): Promise<void> {
    await this.#pumping;
    if (isBackRest(this.#state.phase)) await this.#run({ type: 'look', front: 0, back: 0, online: false });
  }

  get held(): boolean {
    return Object.keys(this.#state.held).length > 0;
  }

  get atRest(): boolean {
    return this.#lookedAt && this.#pumping === undefined;
  }

  async #pump(): Promise<void> {
    while (this.#dirty && this.#state.phase !== 'gone') {
      this.#dirty = false;
      await this.#run(await this.#look());
    }
    this.#rested();
  }

  async #look(): Promise<BackEvent> {
    const { store } = this.#deps;
    const read = (path: string): Promise<string> => orMissing(store.read(path));
    const [back, front, online] = await Promise.all([
      read(`${this.#node}/${XENBUS_KEY.state}`),
      read(`${this.#frontend}/${XENBUS_KEY.state}`),
      read(`${this.#node}/${XENBUS_KEY.online}`),
    ]);
    // The toolstack made it anew, for a domain that lives.
    if (parseState(back) === XenbusState.Initialising) this.#guestEnded = false;
    else if (!this.#lookedAt) this.#errorWritten = true;
    return {
      type: 'look',
      front: this.#guestEnded ? XenbusState.Unknown : parseState(front),
      back: parseState(back),
      online: parseOnline(online),
      spoilt: this.#spoilt,
    };
  }

  async #run(first: BackEvent): Promise<void> {
    let { state, effect } = backStep(this.#state, first, this.#tables);
    this.#state = this.#keepStopping(state);
    // Once work was done the world may have moved on: look again.
    if (effect !== undefined) this.#dirty = true;
    while (effect !== undefined) {
      ({ state, effect } = backStep(this.#state, await this.#perform(effect), this.#tables));
      this.#state = this.#keepStopping(state);
    }
    if (state.phase === 'gone') await this.#gone();
  }

  /** shutDown() may have come while an effect was under way. */
  #keepStopping(state: BackState): BackState {
    return this.#state.stopping ? { ...state, stopping: true } : state;
  }

  async #perform(effect: BackEffect): Promise<BackEvent> {
    this.#deps.probe.at(POINT['back.effect'], effect.type, this.devid, 0, this.domid);
    try {
      const value = await this.#effect(effect);
      return value === undefined ? { type: 'done' } : { type: 'done', value };
    } catch (error) {
      // Without the hypervisor or the store this process ends; a state that cannot be written is our bug.
      const host = error instanceof PeerDiedError && ['hypervisor', 'xenstored'].includes(error.peer);
      if (host || effect.type === 'switchState' || isOurBug(error)) throw error;
      const errno = error instanceof ErrnoError ? error.errno : ERRNO.EIO;
      const help = error instanceof ProtocolError ? helpFor(error.code) : undefined;
      this.#deps.probe.at(POINT['error.effect'], effect.type, errno, 0, this.domid);
      this.#deps.log.warn({ device: this.#node, errno, help }, `${effect.type}: ${errorMessage(error)}`);
      return { type: 'failed', errno, text: errorMessage(error) };
    }
  }

  async #effect(effect: BackEffect): Promise<number | FrontendKeys | undefined> {
    switch (effect.type) {
      case 'readSetup':
        this.#setup = await this.#readSetup();
        return this.#setup.path === 'evtchn' ? this.#setup.type.queueSizesMax.length : 0;
      case 'openSession':
        await this.#openSession(this.#setup!, effect.adopting);
        return undefined;
      case 'write':
        this.#deps.probe.at(
          POINT['back.key'],
          `${this.#node}/${effect.key}=${effect.value}`,
          this.devid,
          0,
          this.domid,
        );
        await this.#write(effect.key, effect.value);
        return undefined;
      case 'readFrontend': {
        const read = (key: string) => orMissing(this.#deps.store.read(`${this.#directoryOf(key)}/${key}`));
        const [base, eventChannel, ...queues] = await Promise.all(frontendKeysRead(effect.queues).map(read));
        return { base: base!, eventChannel: eventChannel!, queues };
      }
      case 'bindPort':
        await this.#link.bindPort(effect);
        return undefined;
      case 'claimRange':
        await this.#link.claim(effect.base, effect.size, effect);
        return undefined;
      case 'wire':
        await this.#link.wire();
        return undefined;
      case 'switchState':
        return this.#switchState(effect);
      case 'error':
        await this.#writeError(effect.errno, effect.text);
        return undefined;
      case 'unwire':
        await this.#link.unwire();
        return undefined;
      case 'unclaimRange':
        await this.#link.unclaim();
        return undefined;
      case 'unbindPort':
        await this.#link.unbindPort();
        return undefined;
      case 'closeSession':
        await this.#closeSession();
        return undefined;
    }
  }

  /** The patch as posted has `base` in the backend's own directory. */
  #directoryOf(key: string): string {
    return keyRule(this.#tables.protocol, 'front', key) === undefined ? this.#node : this.#frontend;
  }

  /** What the toolstack wrote; rejects with EINVAL or EOPNOTSUPP where this backend cannot do it, ENODEV where it is gone. */
  async #readSetup(): Promise<Setup> {
    // In one transaction: of a directory that is made anew meanwhile all is read, or nothing.
    const [state, frontend, frontendId, type, transport, grants, path, name] = await this.#deps.store.transaction(
      (tx) => {
        const read = (key: string) => {
          assertReads(this.#tables.protocol, 'back', key, this.#state.back);
          return orMissing(tx.read(`${this.#node}/${key}`));
        };
        return Promise.all([
          read(XENBUS_KEY.state),
          read(XENBUS_KEY.frontend),
          read(XENBUS_KEY.frontendId),
          read(VIRTIO_MMIO_KEY.type),
          read(VIRTIO_MMIO_KEY.transport),
          read(VIRTIO_MMIO_KEY.grantUsage),
          read(VIRTIO_MMIO_KEY.path),
          read(VIRTIO_MMIO_KEY.server),
        ]);
      },
    );
    if (state === '') throw new ErrnoError('ENODEV', 'the device was removed');
    if (frontend !== this.#frontend || parseDomid(frontendId) !== this.domid)
      throw new ErrnoError('EINVAL', `frontend ${show(frontend)} of domain ${show(frontendId)} is not ours`);
    if (transport !== 'mmio') throw new ErrnoError('EOPNOTSUPP', `transport ${show(transport)}; this backend has mmio`);
    if (name !== '' && !isDeviceServerName(name)) throw new ErrnoError('EINVAL', `server ${show(name)} is no name`);
    const server = this.#deps.serverNamed(name === '' ? undefined : name);
    if (grants === '1' && !server.grants)
      throw new ErrnoError('EOPNOTSUPP', 'grant_usage 1: this device server cannot be given granted pages');
    const id = parseDeviceType(type);
    const known = id === undefined ? undefined : DEVICE_TYPES.get(id);
    if (known === undefined) throw new ErrnoError('EINVAL', `type ${show(type)} is no device of this backend`);
    return { type: known, path: await checkedPath(path, this.domid, this.#deps), server, grants: grants === '1' };
  }

  async #openSession({ type, path, server, grants }: Setup, adopting: boolean): Promise<void> {
    const cancelled = new Promise<never>((_, reject) => {
      this.#cancelOpen = reject;
    });
    cancelled.catch(passOver); // it may be over before anything is awaited
    this.#spoilt = false;
    const onSpoilt = (): void => {
      this.#spoilt = true;
      this.changed();
    };
    const id = { domid: this.domid, devid: this.devid, type, path, server, grants };
    try {
      this.#session = await DeviceSession.open(id, this.#deps, {
        onSpoilt,
        // What happened while the guest was opened.
        onGuestOpen: () => {
          if (this.#dirty) this.#stillWanted().catch(this.#deps.onFailure);
        },
        opened: (link) =>
          Promise.race([link.open(), cancelled]).catch((error) => {
            if (!adopting || isOurBug(error)) throw error;
            this.#deps.log.warn({ device: this.#node }, `adopting without a device server: ${errorMessage(error)}`);
          }),
      });
    } finally {
      this.#cancelOpen = undefined;
    }
  }

  async #closeSession(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }

  get #link(): VirtioLink {
    return this.#session!.link;
  }

  /** While the device server is awaited: gives up once the device is not wanted any more. */
  async #stillWanted(): Promise<void> {
    const event = await this.#look();
    if (event.type !== 'look') return;
    // Another own state is the toolstack's doing; the one that the opening began at may also be Closed.
    const over = event.back !== this.#state.back || event.front === XenbusState.Unknown || !event.online;
    if (over || this.#state.stopping) this.#cancelOpen?.(new ErrnoError('ENODEV', 'the device is not wanted any more'));
  }

  /** A key of our directory, which must not come back by it after the toolstack has removed it. */
  async #write(key: string, value: string): Promise<void> {
    await this.#deps.store.transaction(async (tx: StoreOps) => {
      if ((await orMissing(tx.read(`${this.#node}/${XENBUS_KEY.state}`))) === '')
        throw new ErrnoError('ENODEV', 'the device was removed');
      await tx.write(`${this.#node}/${key}`, value);
    });
  }

  async #switchState({ from, to, ifOnline, ifKey }: Extract<BackEffect, { type: 'switchState' }>): Promise<number> {
    const { store, probe, log } = this.#deps;
    const path = `${this.#node}/${XENBUS_KEY.state}`;
    probe.at(POINT['back.state'], path, this.devid, edge(from, to), this.domid);
    const stands = await store.transaction(async (tx: StoreOps) => {
      const found = parseState(await orMissing(tx.read(path)));
      if (found !== from) return found;
      if (ifOnline && !parseOnline(await orMissing(tx.read(`${this.#node}/${XENBUS_KEY.online}`)))) return found;
      if (ifKey !== undefined && (await orMissing(tx.read(`${this.#node}/${ifKey}`))) === '') return found;
      await tx.write(path, String(to));
      return to;
    });
    if (stands === to) {
      probe.at(POINT['back.state-written'], path, this.devid, edge(from, to), this.domid);
      log.info({ device: this.#node, from: xenbusStateName(from), to: xenbusStateName(to) }, 'state');
      if (to === XenbusState.Connected) await this.#forgetError();
    }
    return stands;
  }

  async #writeError(errno: number, text: string): Promise<void> {
    this.#errorWritten = true;
    await this.#deps.store.write(errorKey(this.#node), `${errno} ${text}`);
  }

  /** Everything is given back: stop listening, and remove what was said of a device that is no more. */
  async #gone(): Promise<void> {
    const { store } = this.#deps;
    await store.unwatch(`${this.#frontend}/${XENBUS_KEY.state}`, this.#watchToken).catch(passOver);
    this.#unwatched();
    await this.#forgetError();
    this.#events.onGone(this.#dirty);
  }

  /** What went wrong is over. */
  async #forgetError(): Promise<void> {
    if (!this.#errorWritten) return;
    this.#errorWritten = false;
    await removeWithParents(this.#deps.store, errorKey(this.#node), 'error').catch(passOver);
  }
}

const show = (text: string): string => `"${text.slice(0, 40)}"`;
