// One virtio device between its guest and its device server: the register file on one side, the vhost-user session on the
// other. Does what the register file's effects ask for, in order, and answers an access only then. Leaves the handshake over
// xenbus to device.ts, and the wires that kicks and calls take to paths.ts.

import type { Remote } from '../../lib/core/bus.js';
import type { Clock } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { DeadlineError, ErrnoError, errorMessage } from '../../lib/core/errors.js';
import type { Log } from '../../lib/core/log.js';
import type { NotificationPath } from '../../lib/core/notification-path.js';
import type { Doorbell, Notifier } from '../../lib/core/notify.js';
import type { Probe } from '../../lib/core/probe.js';
import { HOP } from '../../lib/trace/hops.js';
import { POINT } from '../../lib/trace/points.js';
import type { BackendRequest } from '../../lib/vhost-user/messages.js';
import { VirtioMmioDevice } from '../../lib/virtio/mmio-device.js';
import type { MmioEffect } from '../../lib/virtio/mmio-registers.js';
import type { FrontendPorts } from '../../lib/xenbus/backend.js';
import type { DevEvtchn } from './dev-evtchn.js';
import type { DeviceMemory } from './device-memory.js';
import type { DeviceServer, ServerHandle, ServerSession } from './device-server.js';
import { type DeviceType, guestFeatures, VENDOR_ID } from './device-types.js';
import type { Guest, RangeOwner } from './guest.js';
import type { IoRequest } from './ioreq-slots.js';
import type { Ledger } from './ledger.js';
import { callsPassUs, Wires } from './paths.js';

export interface LinkDeps {
  readonly hypervisor: Remote<'Hypervisor'>;
  readonly evtchn: DevEvtchn;
  readonly doorbell: Doorbell;
  readonly server: DeviceServer;
  readonly ledger: Ledger;
  readonly probe: Probe;
  readonly clock: Clock;
  readonly log: Log;
}

export interface LinkId {
  readonly name: string;
  readonly guest: Guest;
  /** What of the guest's memory the device server is given; its owner closes it. */
  readonly memory: DeviceMemory;
  readonly type: DeviceType;
  readonly path: NotificationPath;
}

/** The guest's port of the interrupt, and dom0's ends of it and of the queues' own ones. */
interface Ports {
  readonly guestPort: number;
  readonly port: number;
  readonly queuePorts: (number | undefined)[];
}

export class VirtioLink implements RangeOwner {
  readonly #deps: LinkDeps;
  readonly #id: LinkId;
  readonly #events = {
    onLost: () => this.#serverLost(),
    onBackendRequest: (request: BackendRequest<ServerHandle>) => this.#backendRequest(request),
  };
  #session: ServerSession | undefined;
  #opening: Promise<ServerSession> | undefined;
  #closed = false;
  #sessionGivenBack = (): void => {};
  /** What the driver may use; from the first session on. */
  #features = 0n;
  #config: Uint8Array = new Uint8Array(0);
  #mmio: VirtioMmioDevice | undefined;
  #base = 0;
  #ports: Ports | undefined;
  #wires: Wires | undefined;
  /** Effects of earlier accesses that are still being done. */
  #busy: Promise<unknown> | undefined;

  constructor(id: LinkId, deps: LinkDeps) {
    this.#id = id;
    this.#deps = deps;
  }

  /** Waits for the server. Rejects when it refuses the device. */
  open(): Promise<ServerSession> {
    const opening = this.#open().finally(() => {
      if (this.#opening === opening) this.#opening = undefined;
    });
    this.#opening = opening;
    return opening;
  }

  async #open(): Promise<ServerSession> {
    const { name, type, guest } = this.#id;
    const session = await this.#deps.server.open(name, type.queueSizesMax.length, this.#events);
    try {
      if (this.#closed) throw new ErrnoError('ENODEV', `device ${name} is gone`);
      this.#config = await this.#readConfig(session);
    } catch (error) {
      await session.close().catch(() => {});
      throw error;
    }
    this.#features = guestFeatures(session.frontend.features);
    this.#session = session;
    this.#sessionGivenBack = this.#deps.ledger.take('session', type.id, guest.domid);
    return session;
  }

  /** The session, or the one that is being opened after a loss, for a while. */
  async #ready(): Promise<ServerSession> {
    if (this.#session !== undefined) return this.#session;
    const opening = this.#opening ?? this.open();
    return new Promise((resolve, reject) => {
      const late = () => reject(new DeadlineError(`no device server within ${DEADLINE_MS.deviceServerBack} ms`));
      const timer = this.#deps.clock.after(DEADLINE_MS.deviceServerBack, late);
      opening.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  /** Gives up the session; one that is still being opened closes by itself. */
  async close(): Promise<void> {
    this.#closed = true;
    const session = this.#session;
    this.#session = undefined;
    this.#sessionGivenBack();
    await session?.close();
  }

  /** Binds the guest's port, its interrupt, and those of its queues: all or none. */
  async bindPort({ port: guestPort, queuePorts }: FrontendPorts): Promise<void> {
    // What the guest sends on the interrupt's port means nothing, and without a write-back only the first one comes; what
    // it sends on a queue's waits, the port disabled, for the event descriptor that takes it from there.
    const bind = (port: number) => this.#deps.evtchn.bindInterdomain(this.#id.guest.domid, port, () => {});
    const ports: Ports = { guestPort, port: await bind(guestPort), queuePorts: [] };
    this.#ports = ports;
    try {
      for (const port of queuePorts) ports.queuePorts.push(port === undefined ? undefined : await bind(port));
    } catch (error) {
      await this.unbindPort();
      throw error;
    }
  }

  async unbindPort(): Promise<void> {
    const ports = this.#ports;
    this.#ports = undefined;
    for (const port of ports === undefined ? [] : [...ports.queuePorts, ports.port])
      if (port !== undefined) await this.#deps.evtchn.unbind(port);
  }

  /** Answers registers from here on. `broken`: a driver was at work on registers that are lost. */
  async claim(base: number, size: number, broken: boolean): Promise<void> {
    const { type, guest, memory, path } = this.#id;
    const model = {
      deviceId: type.id,
      vendorId: VENDOR_ID,
      features: this.#features | memory.features,
      accepts: (features: bigint) => memory.accepts(features),
      queueSizesMax: type.queueSizesMax,
      // Where calls pass us by nobody can know it. Where they pass us it is real: a driver acknowledges before it looks at its
      // rings, so that a call between its read and its acknowledgement is not lost.
      usedBit: callsPassUs(path) ? 'tracked' : 'always',
    } as const;
    this.#mmio = new VirtioMmioDevice(model, this.#config, { broken });
    this.#base = base;
    await guest.addRange(base, size, this);
  }

  async unclaim(): Promise<void> {
    await this.#id.guest.removeRange(this.#base);
    await this.#busy;
    this.#mmio = undefined;
  }

  /** Lays the wires that kicks and calls take. */
  async wire(): Promise<void> {
    const { guest, path } = this.#id;
    const session = await this.#ready();
    const site = { guest, base: this.#base, ...this.#ports! };
    this.#wires = new Wires(path, site, this.#deps, () => this.#called());
    await this.#wires.attach(session);
  }

  /** No kick reaches the device server any more, and it touches no guest memory. */
  async unwire(): Promise<void> {
    await this.#busy;
    const wires = this.#wires;
    this.#wires = undefined;
    await this.#session?.frontend.stop().catch((error) => this.#refused('stop', error));
    await this.#unpin();
    await wires?.detach();
  }

  access(offset: number, request: IoRequest): number | Promise<number> {
    const mmio = this.#mmio;
    if (mmio === undefined) return 0;
    // One access after the other: a reset under way is finished before anything else is answered.
    if (this.#busy !== undefined) return this.#busy.then(() => this.access(offset, request));
    if (request.read) return mmio.read(offset, request.size);
    const done = this.#perform(mmio.write(offset, request.size, request.value));
    return done === undefined ? 0 : done.then(() => 0);
  }

  /** Does the effects in order; undefined when none of them had to wait. */
  #perform(effects: readonly MmioEffect[]): Promise<void> | undefined {
    let waiting: Promise<void> | undefined;
    for (const effect of effects) {
      if (waiting === undefined) waiting = this.#effect(effect);
      else waiting = waiting.then(() => this.#effect(effect));
    }
    if (waiting === undefined) return undefined;
    const busy = waiting.finally(() => {
      if (this.#busy === busy) this.#busy = undefined;
    });
    this.#busy = busy;
    return busy;
  }

  #effect(effect: MmioEffect): Promise<void> | undefined {
    this.#deps.probe.at(POINT['mmio.effect'], effect.type, this.#id.type.id, 0, this.#id.guest.domid);
    switch (effect.type) {
      case 'interrupt':
        this.#interrupt();
        return undefined;
      case 'kick':
        this.#kick(effect.index);
        return undefined;
      case 'activate':
        return this.#activate(effect);
      case 'reset':
        return this.#stop();
      case 'stopQueue':
        return this.#tell('stop of a queue', async (s) => {
          await s.frontend.stopRing(effect.index);
          await this.#unpin(effect.index);
        });
      case 'writeConfig':
        return this.#tell('write of config space', async (s) => {
          await s.frontend.setConfig(effect.offset, effect.data);
          this.#config = await this.#readConfig(s);
          this.#mmio?.setConfig(this.#config);
        });
    }
  }

  /** Something of the device server; its refusal is the end of the device until the driver resets it. */
  async #tell(what: string, action: (session: ServerSession) => Promise<unknown>): Promise<void> {
    if (this.#session === undefined) return;
    try {
      await action(this.#session);
    } catch (error) {
      this.#refused(what, error);
      if (what !== 'reset') this.#needsReset();
    }
  }

  /** Of all that runs; undefined when nothing does. */
  #stop(): Promise<void> | undefined {
    const { memory } = this.#id;
    const stopped = this.#session?.frontend.running.size ? this.#tell('reset', (s) => s.frontend.stop()) : undefined;
    return memory.pinned ? Promise.resolve(stopped).then(() => this.#unpin()) : stopped;
  }

  /** Nobody touches the rings any more: the guest may take their pages back. */
  async #unpin(index?: number): Promise<void> {
    await this.#id.memory.unpin(index).catch((error) => this.#refused('unpin', error));
  }

  async #activate({ features, queues }: Extract<MmioEffect, { type: 'activate' }>): Promise<void> {
    try {
      const session = await this.#ready();
      const wires = this.#wires;
      if (wires === undefined) throw new ErrnoError('ENODEV', 'the device is closing');
      await wires.attach(session);
      const { call } = wires;
      const { memory } = this.#id;
      await memory.pin(queues);
      await session.frontend.start({
        features: features & session.frontend.features,
        memory: memory.regions(session),
        rings: queues.map((queue) => ({
          ...queue,
          base: 0,
          kick: session.bellHandle(session.kicks[queue.index]!),
          call: session.bellHandle(call),
        })),
      });
      // Once each, for what was made available before.
      for (const { index } of queues) this.#kick(index);
    } catch (error) {
      this.#refused('start', error);
      this.#needsReset();
    }
  }

  async #readConfig(session: ServerSession): Promise<Uint8Array> {
    const { configSize, complete } = this.#id.type;
    const config = Uint8Array.from(await session.frontend.getConfig(configSize));
    return complete?.(config) ?? config;
  }

  /** QueueNotify that nobody took before us, and the first look after a start. */
  #kick(index: number): void {
    const handle = this.#session?.kicks[index];
    if (handle === undefined) return;
    this.#deps.probe.at(HOP.frontendKick.point, '', index, 0, this.#id.guest.domid);
    if (this.#wires?.kick(index)) return;
    let notifier: Notifier;
    try {
      notifier = this.#deps.doorbell.open(handle);
    } catch (error) {
      this.#refused('kick', error); // it has just ended; its loss is told by the bus
      return;
    }
    notifier.signal();
    notifier.close();
  }

  /** A used buffer, where calls pass this process. */
  #called(): void {
    if (this.#mmio !== undefined && this.#mmio.usedBuffer().length > 0) this.#wires?.raise();
  }

  #interrupt(): void {
    if (this.#wires === undefined) return; // not live yet, or not any more
    this.#deps.probe.at(POINT['event.config'], '', this.#ports!.port, 0, this.#id.guest.domid);
    this.#wires.raise();
  }

  #needsReset(): void {
    if (this.#mmio !== undefined) void this.#perform(this.#mmio.setNeedsReset());
  }

  #serverLost(): void {
    this.#session = undefined;
    this.#sessionGivenBack();
    this.#deps.log.warn({ device: this.#id.name }, 'its device server ended');
    // It may have died with an event half raised: the hypervisor finishes that when its descriptors are taken back.
    void this.#wires?.detach();
    this.#needsReset();
    // The next one is there before the driver has reset the device, or DRIVER_OK waits for it.
    this.open().then(
      // A driver that has given up meanwhile is asked once more.
      () => this.#mmio?.needsReset && this.#needsReset(),
      (error) => this.#refused('next session', error),
    );
  }

  #backendRequest(request: BackendRequest<ServerHandle>): void {
    switch (request.type) {
      case 'CONFIG_CHANGE_MSG':
        void this.#configChanged();
        return;
      case 'VRING_ERR':
        this.#deps.log.warn({ device: this.#id.name, ring: request.index }, 'the device server gave a ring up');
        this.#needsReset();
        return;
      case 'VRING_CALL':
        return; // in-band notifications are not negotiated
    }
  }

  async #configChanged(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    try {
      this.#config = await this.#readConfig(session);
      if (this.#mmio !== undefined) void this.#perform(this.#mmio.configChanged(this.#config));
    } catch (error) {
      this.#refused('read of config space', error);
    }
  }

  #refused(what: string, error: unknown): void {
    this.#deps.probe.at(
      POINT['error.device'],
      what,
      error instanceof ErrnoError ? error.errno : 0,
      0,
      this.#id.guest.domid,
    );
    this.#deps.log.warn({ device: this.#id.name }, `${what}: ${errorMessage(error)}`);
  }
}
