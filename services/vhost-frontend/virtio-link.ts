// One virtio device between its guest and its device server: the register file on one side, the vhost-user session on the
// other, and the wires past this process (kicks by IOEVENTFD, calls by an event descriptor bound to the event channel).
// Does what the register file's effects ask for, in order, and answers an access only then. Leaves the handshake over
// xenbus to device.ts.
import type { Remote } from '../../lib/core/bus.js';
import type { Clock } from '../../lib/core/clock.js';
import { DeadlineError, ErrnoError, errorMessage } from '../../lib/core/errors.js';
import type { History } from '../../lib/core/history.js';
import type { Log } from '../../lib/core/log.js';
import type { Doorbell, Notifier, NotifyHandle } from '../../lib/core/notify.js';
import type { BellHandle } from '../../lib/core/proto-types.js';
import { VIRTIO_MMIO_QUEUE_NOTIFY } from '../../lib/layout/virtio-mmio.js';
import type { BackendRequest } from '../../lib/vhost-user/messages.js';
import { VirtioMmioDevice } from '../../lib/virtio/mmio-device.js';
import type { MmioEffect } from '../../lib/virtio/mmio-registers.js';
import type { DevEvtchn } from './dev-evtchn.js';
import type { DeviceServer, ServerHandle, ServerSession } from './device-server.js';
import { type DeviceType, guestFeatures, VENDOR_ID } from './device-types.js';
import type { Guest, RangeOwner } from './guest.js';
import type { IoRequest } from './ioreq-slots.js';
import type { Ledger } from './ledger.js';

/** How long DRIVER_OK waits for a lost device server before the device reports that it needs a reset. */
const SERVER_WAIT_MS = 1000;
/** linux.md 5.4: width of a kick; QueueNotify is a 32-bit register. */
const NOTIFY_LEN = 4;
/** DEV_EVTCHN_EVENTFD: a signal on the handle sends on the port. */
const TO_PORT = 0;

export interface LinkDeps {
  readonly hypervisor: Remote<'Hypervisor'>;
  readonly evtchn: DevEvtchn;
  readonly doorbell: Doorbell;
  readonly server: DeviceServer;
  readonly ledger: Ledger;
  readonly history: History;
  readonly clock: Clock;
  readonly log: Log;
}

export interface LinkId {
  readonly name: string;
  readonly guest: Guest;
  readonly type: DeviceType;
}

/** What stands while kicks and calls pass us by. */
interface Wires {
  readonly call: NotifyHandle;
  readonly callGivenBack: () => void;
  kicks: { handle: NotifyHandle; giveBack: () => void }[];
  /** Whose kicks they are. */
  session: ServerSession | undefined;
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
  #port: number | undefined;
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
      const late = () => reject(new DeadlineError(`no device server within ${SERVER_WAIT_MS} ms`));
      const timer = this.#deps.clock.after(SERVER_WAIT_MS, late);
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

  /** Binds the guest's port: its interrupt. */
  async bindPort(port: number): Promise<void> {
    // Events that the guest sends on its own port mean nothing, and without a write-back only the first one comes.
    this.#port = await this.#deps.evtchn.bindInterdomain(this.#id.guest.domid, port, () => {});
  }

  async unbindPort(): Promise<void> {
    const port = this.#port;
    this.#port = undefined;
    if (port !== undefined) await this.#deps.evtchn.unbind(port);
  }

  /** Answers registers from here on. `broken`: a driver was at work on registers that are lost. */
  async claim(base: number, size: number, broken: boolean): Promise<void> {
    const { type, guest } = this.#id;
    const model = {
      deviceId: type.id,
      vendorId: VENDOR_ID,
      features: this.#features,
      queueSizesMax: type.queueSizesMax,
      usedBit: 'always',
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

  /** Lets kicks and calls pass this process by. */
  async wire(): Promise<void> {
    const { evtchn, hypervisor, ledger } = this.#deps;
    const port = this.#port!;
    const session = await this.#ready();
    const { handle } = await hypervisor.dev_evtchn_eventfd({ fd: evtchn.fd, port, direction: TO_PORT });
    const callGivenBack = ledger.take('eventfd', port, this.#id.guest.domid);
    this.#wires = { call: { bell: handle.bell, bit: handle.bit }, callGivenBack, kicks: [], session: undefined };
    await this.#wireKicks(session);
  }

  /** No kick reaches the device server any more, and it touches no guest memory. */
  async unwire(): Promise<void> {
    const { evtchn, hypervisor } = this.#deps;
    await this.#busy;
    await this.#unwireKicks();
    await this.#session?.frontend.stop().catch((error) => this.#refused('stop', error));
    const wires = this.#wires;
    this.#wires = undefined;
    if (wires === undefined) return;
    try {
      await hypervisor.dev_evtchn_eventfd({ fd: evtchn.fd, port: this.#port!, direction: TO_PORT, deassign: true });
    } finally {
      wires.callGivenBack();
    }
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
    this.#deps.history.step(`virtio ${effect.type}`, this.#id.type.id, 0, this.#id.guest.domid);
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
        return this.#session?.frontend.running.size ? this.#tell('reset', (s) => s.frontend.stop()) : undefined;
      case 'stopQueue':
        return this.#tell('stop of a queue', (s) => s.frontend.stopRing(effect.index));
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

  async #activate({ features, queues }: Extract<MmioEffect, { type: 'activate' }>): Promise<void> {
    try {
      const session = await this.#ready();
      await this.#wireKicks(session);
      const { memory } = this.#id.guest;
      const { call } = this.#wires!;
      await session.frontend.start({
        features: features & session.frontend.features,
        memory: [
          {
            guestAddr: 0n,
            size: BigInt(memory.size),
            mmapOffset: BigInt(memory.offset),
            handle: session.memoryHandle(memory),
          },
        ],
        rings: queues.map((queue) => ({
          ...queue,
          base: 0,
          kick: session.bellHandle(session.kicks[queue.index]!),
          call: session.bellHandle(call),
        })),
      });
      // Once each, for what was made available before (vhost-user.md 6).
      for (const { index } of queues) this.#kick(index);
    } catch (error) {
      this.#refused('start', error);
      this.#needsReset();
    }
  }

  /** Kicks go to the session that there is now: after a loss it is another one. */
  async #wireKicks(session: ServerSession): Promise<void> {
    const { hypervisor, ledger } = this.#deps;
    const wires = this.#wires!;
    if (wires.session === session) return;
    await this.#unwireKicks();
    for (const [vq, handle] of session.kicks.entries()) {
      await hypervisor.privcmd_ioeventfd(this.#ioeventfd(vq, handle));
      wires.kicks.push({ handle, giveBack: ledger.take('ioeventfd', vq, this.#id.guest.domid) });
    }
    wires.session = session;
  }

  async #unwireKicks(): Promise<void> {
    const kicks = this.#wires?.kicks ?? [];
    if (this.#wires !== undefined) this.#wires.session = undefined;
    for (let kick = kicks.pop(); kick !== undefined; kick = kicks.pop()) {
      const { handle, giveBack } = kick;
      await this.#deps.hypervisor
        .privcmd_ioeventfd({ ...this.#ioeventfd(kicks.length, handle), deassign: true })
        .catch((error) => this.#refused('ioeventfd deassign', error))
        .finally(giveBack);
    }
  }

  #ioeventfd(vq: number, handle: NotifyHandle) {
    const { domid, serverId, vcpuPorts } = this.#id.guest;
    return {
      domid,
      server: serverId,
      addr: this.#base,
      addr_len: NOTIFY_LEN,
      vq,
      handle: handle as BellHandle,
      ports: vcpuPorts,
      fd: this.#deps.evtchn.fd,
    };
  }

  async #readConfig(session: ServerSession): Promise<Uint8Array> {
    const { configSize, complete } = this.#id.type;
    const config = Uint8Array.from(await session.frontend.getConfig(configSize));
    return complete?.(config) ?? config;
  }

  /** QueueNotify that no IOEVENTFD took (another width), and the first look after a start. */
  #kick(index: number): void {
    const handle = this.#session?.kicks[index];
    if (handle === undefined) return;
    let notifier: Notifier;
    try {
      notifier = this.#deps.doorbell.open(handle);
    } catch (error) {
      this.#refused('kick', error); // it has just ended; its loss is told by the bus
      return;
    }
    this.#deps.history.record('notify', 'kick', index, VIRTIO_MMIO_QUEUE_NOTIFY, this.#id.guest.domid);
    notifier.signal();
    notifier.close();
  }

  #interrupt(): void {
    if (this.#port === undefined) return;
    this.#deps.history.record('notify', 'config interrupt', this.#port, 0, this.#id.guest.domid);
    this.#deps.evtchn.notify(this.#port);
    this.#deps.evtchn.flush();
  }

  #needsReset(): void {
    if (this.#mmio !== undefined) void this.#perform(this.#mmio.setNeedsReset());
  }

  #serverLost(): void {
    this.#session = undefined;
    this.#sessionGivenBack();
    this.#deps.log.warn({ device: this.#id.name }, 'its device server ended');
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
    this.#deps.history.record('error', what, error instanceof ErrnoError ? error.errno : 0, 0, this.#id.guest.domid);
    this.#deps.log.warn({ device: this.#id.name }, `${what}: ${errorMessage(error)}`);
  }
}
