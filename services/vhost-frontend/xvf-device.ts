// One backend device as xen-vhost-frontend has it: does what the machine of lib/xenbus/xvf.ts asks for, one look or one effect at a
// time. Without that program's sleep of 400 ms before it looks: the directory is made in one transaction here. device.ts is the
// backend that keeps the protocol.
import { ERRNO } from '../../lib/core/errno.js';
import { ErrnoError, errorMessage, isOurBug, PeerDiedError, passOver } from '../../lib/core/errors.js';
import { type DomId, EvtchnPort } from '../../lib/core/ids.js';
import { DEFAULT_PATH } from '../../lib/core/notification-path.js';
import { backendNode, frontendPath, VIRTIO_MMIO_KEY, XENBUS_KEY, XenbusState } from '../../lib/layout/xenbus.js';
import { edge, POINT } from '../../lib/trace/points.js';
import { MMIO_SIZE, parseDeviceType, parseState } from '../../lib/xenbus/keys.js';
import {
  XVF_START,
  type XvfEffect,
  type XvfEvent,
  type XvfState,
  type XvfTree,
  xvfStep,
} from '../../lib/xenbus/xvf.js';
import type { BackDevice, DeviceDeps, DeviceEvents } from './device.js';
import { DeviceSession } from './device-session.js';
import { DEVICE_TYPES } from './device-types.js';
import { orMissing } from './store-values.js';

/** The tree that a guest of this machine can use. */
const TREE: XvfTree = 'x86';
/** A driver is never at work on registers that are lost: this backend takes none over. */
const FRESH = { broken: false, probing: false } as const;

export class XvfDevice implements BackDevice {
  readonly domid: DomId;
  readonly devid: number;
  readonly #deps: DeviceDeps;
  readonly #node: string;
  readonly #frontend: string;
  readonly #events: DeviceEvents;
  #state: XvfState = XVF_START;
  #back: number = XenbusState.Initialising;
  #dirty = false;
  #lookedAt = false;
  /** This process ends: as if the directory were gone. */
  #ending = false;
  #pumping: Promise<void> | undefined;
  #session: DeviceSession | undefined;
  #unwatched = (): void => {};

  constructor(domid: DomId, devid: number, deps: DeviceDeps, events: DeviceEvents) {
    this.domid = domid;
    this.devid = devid;
    this.#deps = deps;
    this.#node = backendNode({ kind: deps.kind, domid, devid });
    this.#frontend = frontendPath({ kind: deps.kind, domid, devid });
    this.#events = events;
  }

  async start(): Promise<void> {
    await this.#deps.store.watch(this.#frontState, this.#watchToken, () => this.changed());
    this.#unwatched = this.#deps.ledger.take('watch', this.devid, this.domid);
    this.changed();
  }

  changed(): void {
    this.#dirty = true;
    this.#pumping ??= this.#pump()
      .catch(this.#deps.onFailure)
      .finally(() => {
        this.#pumping = undefined;
        this.#lookedAt = true;
        if (this.#dirty && this.#state.phase !== 'gone') this.changed();
        else this.#events.onRest();
      });
  }

  /** It does not ask: the toolstack's removal of the directory tells it. */
  guestEnded(): void {}

  /** Nothing is closed with the guest: what is held is given back. */
  async shutDown(): Promise<void> {
    this.#ending = true;
    this.changed();
    await this.#pumping;
  }

  async abandon(): Promise<void> {
    await this.#pumping;
  }

  get atRest(): boolean {
    return this.#lookedAt && this.#pumping === undefined;
  }

  get #frontState(): string {
    return `${this.#frontend}/${XENBUS_KEY.state}`;
  }
  get #watchToken(): string {
    return `front-${this.domid}-${this.devid}`;
  }

  async #pump(): Promise<void> {
    while (this.#dirty && this.#state.phase !== 'gone') {
      this.#dirty = false;
      let { state, effect } = xvfStep(this.#state, await this.#look(), TREE);
      if (effect !== undefined) this.#dirty = true;
      this.#state = state;
      while (effect !== undefined) {
        ({ state, effect } = xvfStep(this.#state, await this.#perform(effect), TREE));
        this.#state = state;
      }
      if (state.phase === 'gone') await this.#gone();
    }
  }

  async #look(): Promise<XvfEvent> {
    const { store } = this.#deps;
    const there = !this.#ending && (await orMissing(store.read(`${this.#node}/${XENBUS_KEY.state}`))) !== '';
    return { type: 'look', there, front: parseState(await orMissing(store.read(this.#frontState))) };
  }

  async #perform(effect: XvfEffect): Promise<XvfEvent> {
    const { probe, log } = this.#deps;
    probe.at(POINT['back.effect'], effect.type, this.devid, 0, this.domid);
    try {
      const value = await this.#effect(effect);
      return value === undefined ? { type: 'done' } : { type: 'done', value };
    } catch (error) {
      const host = error instanceof PeerDiedError && ['hypervisor', 'xenstored'].includes(error.peer);
      if (host || isOurBug(error)) throw error;
      const errno = error instanceof ErrnoError ? error.errno : ERRNO.EIO;
      probe.at(POINT['error.effect'], effect.type, errno, 0, this.domid);
      log.warn({ device: this.#node, errno }, `${effect.type}: ${errorMessage(error)}`);
      return { type: 'failed', errno };
    } finally {
      const { failure } = this.#state;
      if (failure !== undefined) log.warn({ device: this.#node, errno: failure.errno }, failure.text);
    }
  }

  async #effect(effect: XvfEffect): Promise<string | undefined> {
    const { store } = this.#deps;
    switch (effect.type) {
      case 'readOwn':
        return orMissing(store.read(`${this.#node}/${effect.key}`));
      case 'readFront':
        return orMissing(store.read(`${this.#frontend}/${effect.key}`));
      case 'writeState':
        await this.#writeState(effect.state);
        return undefined;
      case 'openSession':
        this.#session = await this.#open();
        return undefined;
      case 'bindPort':
        await this.#session!.link.bindPort({ port: EvtchnPort(effect.port), queuePorts: [] });
        return undefined;
      case 'claimRange':
        await this.#session!.link.claim(effect.base, MMIO_SIZE, FRESH);
        return undefined;
      case 'wire':
        await this.#session!.link.wire();
        return undefined;
      case 'unwire':
        await this.#session!.link.unwire();
        return undefined;
      case 'unclaimRange':
        await this.#session!.link.unclaim();
        return undefined;
      case 'unbindPort':
        await this.#session!.link.unbindPort();
        return undefined;
      case 'closeSession':
        await this.#session!.close();
        this.#session = undefined;
        return undefined;
    }
  }

  /** Whatever stands there. */
  async #writeState(to: XenbusState): Promise<void> {
    const { store, probe } = this.#deps;
    const path = `${this.#node}/${XENBUS_KEY.state}`;
    const step = edge(this.#back, to);
    probe.at(POINT['back.state'], path, this.devid, step, this.domid);
    await store.write(path, String(to));
    probe.at(POINT['back.state-written'], path, this.devid, step, this.domid);
    this.#back = to;
  }

  async #open(): Promise<DeviceSession> {
    const { store, log } = this.#deps;
    const type = DEVICE_TYPES.get(
      parseDeviceType(await orMissing(store.read(`${this.#node}/${VIRTIO_MMIO_KEY.type}`))) ?? 0,
    );
    if (type === undefined) throw new ErrnoError('EINVAL', 'the type is no device of this backend');
    const server = this.#deps.serverNamed(undefined);
    const id = { domid: this.domid, devid: this.devid, type, path: DEFAULT_PATH, server, grants: false };
    // A driver that does not reset its device keeps it as it is.
    const onSpoilt = (): void =>
      log.warn({ device: this.#node }, 'the device needs a reset that its driver does not make');
    return DeviceSession.open(id, this.#deps, { onSpoilt });
  }

  async #gone(): Promise<void> {
    await this.#deps.store.unwatch(this.#frontState, this.#watchToken).catch(passOver);
    this.#unwatched();
    this.#events.onGone(this.#dirty && !this.#ending);
  }
}
