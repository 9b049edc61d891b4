// One virtio device between its guest and its device server. How far it stands is one state (LinkState) with its data inside; the
// backend's machine (lib/xenbus/backend.ts) takes it up and down, step by step, in order. The effects of register accesses are
// done here: on the device server's session, on the wires, on the guest's interrupt. Leaves the handshake over xenbus to device.ts,
// the session through the server's deaths to server-link.ts, the order of accesses to registers.ts, wires to paths.ts.

import type { Remote } from '../../lib/core/bus.js';
import type { Timer } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { assert, ErrnoError, errorMessage, isOurBug } from '../../lib/core/errors.js';
import type { EvtchnPort } from '../../lib/core/ids.js';
import type { Log } from '../../lib/core/log.js';
import type { NotificationPath } from '../../lib/core/notification-path.js';
import type { Doorbell, Notifier } from '../../lib/core/notify.js';
import type { Probe } from '../../lib/core/probe.js';
import { HOP } from '../../lib/trace/hops.js';
import { POINT } from '../../lib/trace/points.js';
import type { FrontendRing } from '../../lib/vhost-user/frontend-session.js';
import { freshBase } from '../../lib/virtio/device-ring.js';
import type { MmioEffect, QueueSetup } from '../../lib/virtio/mmio-registers.js';
import type { FrontendPorts } from '../../lib/xenbus/backend.js';
import type { DeviceMemory } from './device-memory.js';
import type { ServerHandle, ServerSession } from './device-server.js';
import { type DeviceType, guestFeatures, VENDOR_ID } from './device-types.js';
import type { EvtchnClient } from './evtchn-client.js';
import type { IoreqClient } from './ioreq-client.js';
import { callsPassUs, Wires } from './paths.js';
import { Registers } from './registers.js';
import { ServerLink, type ServerLinkDeps } from './server-link.js';

export interface LinkDeps extends ServerLinkDeps {
  readonly hypervisor: Remote<'Hypervisor'>;
  readonly evtchn: EvtchnClient;
  readonly doorbell: Doorbell;
  readonly probe: Probe;
  readonly log: Log;
}

export interface LinkId {
  readonly name: string;
  readonly ioreq: IoreqClient;
  /** What of the guest's memory the device server is given; its owner closes it. */
  readonly memory: DeviceMemory;
  readonly type: DeviceType;
  readonly path: NotificationPath;
}

/** The guest's port of the interrupt, and dom0's ends of it and of the queues' own ones. */
interface Ports {
  readonly guestPort: EvtchnPort;
  readonly port: EvtchnPort;
  readonly queuePorts: readonly (EvtchnPort | undefined)[];
}
interface Claimed {
  readonly ports: Ports;
  readonly base: number;
  readonly registers: Registers;
}
type LinkState =
  | { readonly at: 'unbound' }
  | { readonly at: 'bound'; readonly ports: Ports }
  | ({ readonly at: 'claimed' } & Claimed)
  | ({ readonly at: 'wired'; readonly wires: Wires } & Claimed);
type At = LinkState['at'];

export class VirtioLink {
  readonly #deps: LinkDeps;
  readonly #id: LinkId;
  readonly #server: ServerLink;
  readonly #onSpoilt: () => void;
  #state: LinkState = { at: 'unbound' };
  /** What the driver accepted when the device last became live. */
  #features = 0n;
  #wakeOnWire = false;
  /** Until the driver resets a device that asked for it. */
  #patience: Timer | undefined;

  /** `onSpoilt`: the device needs a reset, and its driver does not make it. */
  constructor(id: LinkId, deps: LinkDeps, onSpoilt: () => void) {
    this.#id = id;
    this.#deps = deps;
    this.#onSpoilt = onSpoilt;
    const { name, type, ioreq } = id;
    this.#server = new ServerLink({ name, type, domid: ioreq.domid }, deps, {
      onLost: () => this.#serverLost(),
      onBack: () => this.#serverBack(),
      onRefused: (what, error) => this.#refused(what, error),
      onConfigChanged: (config) => this.#claimed?.registers.apply(this.#claimed.registers.device.configChanged(config)),
      onRingError: (ring) => {
        deps.log.warn({ device: name, ring }, 'the device server gave a ring up');
        this.#needsReset();
      },
    });
  }

  /** Waits for the device server. Rejects when it refuses the device. */
  async open(): Promise<void> {
    await this.#server.open();
  }

  /** Gives up the session, or what there is of it. */
  close(): Promise<void> {
    return this.#server.close();
  }

  // What is taken away is gone, also where the hypervisor refuses: its domain has ended, and all of it with the domain.

  /** Binds the guest's port, its interrupt, and those of its queues: all or none. */
  async bindPort({ port: guestPort, queuePorts }: FrontendPorts): Promise<void> {
    this.#in('unbound');
    const { evtchn } = this.#deps;
    // What the guest sends on the interrupt's port means nothing, and without a write-back only the first one comes; what
    // it sends on a queue's waits, the port disabled, for the event descriptor that takes it from there.
    const bind = (port: EvtchnPort) => evtchn.bindInterdomain(this.#id.ioreq.domid, port, () => {});
    const bound: (EvtchnPort | undefined)[] = [];
    const port = await bind(guestPort);
    try {
      for (const queue of queuePorts) bound.push(queue === undefined ? undefined : await bind(queue));
    } catch (error) {
      await this.#unbind([...bound, port]);
      throw error;
    }
    this.#state = { at: 'bound', ports: { guestPort, port, queuePorts: bound } };
  }

  async unbindPort(): Promise<void> {
    const { ports } = this.#in('bound');
    this.#state = { at: 'unbound' };
    await this.#unbind([...ports.queuePorts, ports.port]);
  }

  /** All of them, whatever becomes of each; rejects with the first refusal. */
  async #unbind(ports: readonly (EvtchnPort | undefined)[]): Promise<void> {
    const unbound = ports.map((port) => (port === undefined ? undefined : this.#deps.evtchn.unbind(port)));
    const refused = (await Promise.allSettled(unbound)).find((outcome) => outcome.status === 'rejected');
    if (refused !== undefined) throw refused.reason;
  }

  /**
   * Answers registers from here on. `broken`: a driver was at work on registers that are lost; `probing`: it is told by an
   * interrupt, once there are wires for one, since it may sleep in its probe.
   */
  async claim(base: number, size: number, { broken, probing }: { broken: boolean; probing: boolean }): Promise<void> {
    const { ports } = this.#in('bound');
    const { type, ioreq, memory, path } = this.#id;
    const model = {
      deviceId: type.id,
      vendorId: VENDOR_ID,
      features: guestFeatures(this.#server.features) | memory.features,
      accepts: (features: bigint) => memory.accepts(features),
      queueSizesMax: type.queueSizesMax,
      // Where calls do not pass this process, it cannot know the bit. Where they do, the bit is real: a driver acknowledges
      // before it looks at its rings, so that a call between its read and its acknowledgement is not lost.
      usedBit: callsPassUs(path) ? 'tracked' : 'always',
    } as const;
    const { onFailure } = this.#deps;
    const registers = new Registers(model, this.#server.config, { broken, onFailure }, (effect) => this.#do(effect));
    this.#wakeOnWire = probing;
    // Accesses may come before the range is acknowledged.
    this.#state = { at: 'claimed', ports, base, registers };
    try {
      await ioreq.addRange(base, size, registers);
    } catch (error) {
      this.#state = { at: 'bound', ports };
      throw error;
    }
  }

  async unclaim(): Promise<void> {
    const { ports, base, registers } = this.#in('claimed');
    this.#patience?.cancel();
    try {
      await this.#id.ioreq.removeRange(base);
    } finally {
      await registers.settled();
      this.#state = { at: 'bound', ports };
    }
  }

  /** Lays the wires that kicks and calls take; those of a device whose server is away are laid when its rings start. */
  async wire(): Promise<void> {
    const claimed = this.#in('claimed');
    const { ioreq, path } = this.#id;
    const wires = new Wires(path, { ioreq, base: claimed.base, ...claimed.ports }, this.#deps, () => this.#called());
    this.#state = { ...claimed, at: 'wired', wires };
    const { session } = this.#server;
    try {
      if (session !== undefined) await wires.attach(session);
    } catch (error) {
      // It may have ended meanwhile.
      if (this.#server.session === session || isOurBug(error)) {
        this.#state = claimed;
        throw error;
      }
    }
    const { device } = claimed.registers;
    if (this.#wakeOnWire && device.needsReset) claimed.registers.apply(device.wake());
  }

  /** No kick reaches the device server any more, and it touches no guest memory. */
  async unwire(): Promise<void> {
    const { wires, ...claimed } = this.#in('wired');
    await claimed.registers.settled();
    this.#state = { ...claimed, at: 'claimed' };
    try {
      await this.#server.session?.frontend.reset();
    } catch (error) {
      this.#refused('stop', error);
    }
    await this.#unpin();
    await wires.detach();
  }

  /** The state, which is this one: the backend's machine sees to the order. */
  #in<A extends At>(at: A): Extract<LinkState, { at: A }> {
    const state = this.#state;
    assert(state.at === at, `the device is ${state.at}, not ${at}`);
    return state as Extract<LinkState, { at: A }>;
  }

  /** Undefined while no registers are answered. */
  get #claimed(): Claimed | undefined {
    const state = this.#state;
    return state.at === 'claimed' || state.at === 'wired' ? state : undefined;
  }
  get #wires(): Wires | undefined {
    return this.#state.at === 'wired' ? this.#state.wires : undefined;
  }

  #do(effect: MmioEffect): Promise<void> | undefined {
    this.#deps.probe.at(POINT['mmio.effect'], effect.type, this.#id.type.id, 0, this.#id.ioreq.domid);
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
        this.#patience?.cancel();
        return this.#reset();
      case 'stopQueue':
        return this.#tell('stop of a queue', async ({ frontend }) => {
          await frontend.stopRing(effect.index);
          await this.#unpin(effect.index);
        });
      case 'startQueue':
        return this.#tell('start of a queue', async (session) => {
          const wires = this.#wires;
          if (wires === undefined) throw new ErrnoError('ENODEV', 'the device is closing');
          await this.#id.memory.pinRing(effect.queue);
          await session.frontend.startRing(this.#ringOf(effect.queue, session, wires));
          this.#kick(effect.queue.index);
        });
      case 'writeConfig':
        return this.#tell('write of config space', async (session) => {
          await this.#server.setConfig(session, effect.offset, effect.data);
          this.#claimed?.registers.device.setConfig(this.#server.config);
        });
    }
  }

  /** Asks something of the device server; where it refuses, the device needs a reset. */
  async #tell(what: string, action: (session: ServerSession) => Promise<void>): Promise<void> {
    const { session } = this.#server;
    if (session === undefined) return;
    try {
      await action(session);
    } catch (error) {
      this.#refused(what, error);
      this.#needsReset();
    }
  }

  /** Of all that runs; undefined when nothing does. */
  #reset(): Promise<void> | undefined {
    const { session } = this.#server;
    const runs = session !== undefined && session.frontend.running.size > 0;
    if (!runs && !this.#id.memory.pinned) return undefined;
    return (async () => {
      try {
        if (runs) await session.frontend.reset();
      } catch (error) {
        this.#refused('reset', error); // the driver is resetting it already
      }
      await this.#unpin();
    })();
  }

  /** The device server does not touch the rings any more: the guest may take their pages back. */
  async #unpin(index?: number): Promise<void> {
    try {
      await this.#id.memory.unpin(index);
    } catch (error) {
      this.#refused('unpin', error);
    }
  }

  async #activate({ features, queues }: Extract<MmioEffect, { type: 'activate' }>): Promise<void> {
    const { session } = this.#server;
    if (session === undefined) {
      // The driver goes on, and finds that it needs a reset: it is told so once there is a server to make it for.
      this.#claimed?.registers.device.setNeedsReset();
      this.#server.ask();
      return;
    }
    try {
      const wires = this.#wires;
      if (wires === undefined) throw new ErrnoError('ENODEV', 'the device is closing');
      await wires.attach(session);
      const { memory } = this.#id;
      await memory.pin(queues);
      this.#features = features;
      await session.frontend.start({
        features: features & session.frontend.features,
        memory: memory.regions(session),
        rings: queues.map((queue) => this.#ringOf(queue, session, wires)),
      });
      // Once each, for what was made available before.
      for (const { index } of queues) this.#kick(index);
    } catch (error) {
      this.#refused('start', error);
      this.#needsReset();
    }
  }

  /** From its start. */
  #ringOf(queue: QueueSetup, session: ServerSession, { call }: Wires): FrontendRing<ServerHandle> {
    const kick = session.bellHandle(session.kicks[queue.index]!);
    return { ...queue, base: freshBase(this.#features), kick, call: session.bellHandle(call) };
  }

  /** QueueNotify that no IOEVENTFD took before us, and the first look after a start. */
  #kick(index: number): void {
    const handle = this.#server.session?.kicks[index];
    if (handle === undefined) return;
    const { probe, doorbell } = this.#deps;
    probe.at(HOP.frontendKick.point, '', index, 0, this.#id.ioreq.domid);
    if (this.#wires?.kick(index)) return;
    let notifier: Notifier;
    try {
      notifier = doorbell.open(handle);
    } catch (error) {
      this.#refused('kick', error); // it has just ended; its loss is told by the bus
      return;
    }
    notifier.signal();
    notifier.close();
  }

  /** A used buffer, where calls pass this process. */
  #called(): void {
    if (this.#state.at !== 'wired') return;
    const { registers, wires } = this.#state;
    if (registers.device.usedBuffer().length > 0) wires.raise();
  }

  #interrupt(): void {
    if (this.#state.at !== 'wired') return; // not live yet, or not any more
    const { ports, wires } = this.#state;
    this.#deps.probe.at(POINT['event.config'], '', ports.port, 0, this.#id.ioreq.domid);
    wires.raise();
  }

  /** The driver is told that it is to reset the device. One that does not, though it could, has the device connected anew. */
  #needsReset(): void {
    const { clock } = this.#deps;
    const registers = this.#claimed?.registers;
    if (registers === undefined) return;
    registers.apply(registers.device.setNeedsReset());
    this.#patience?.cancel();
    if (this.#server.session !== undefined)
      this.#patience = clock.after(DEADLINE_MS.driverResets, () => {
        if (registers === this.#claimed?.registers && registers.device.needsReset) this.#onSpoilt();
      });
  }

  #serverLost(): void {
    const { log, onFailure } = this.#deps;
    log.warn({ device: this.#id.name }, 'its device server ended');
    // It may have died with an event half raised: the hypervisor finishes that when its descriptors are taken back.
    this.#wires?.detach().catch(onFailure);
    // Before DRIVER_OK the server has nothing of the driver's that could be lost.
    if (this.#claimed?.registers.device.live) this.#needsReset();
  }

  #serverBack(): void {
    const device = this.#claimed?.registers.device;
    device?.setConfig(this.#server.config);
    // A driver that has reset the device meanwhile, or waited, is asked once more.
    if (device?.needsReset) this.#needsReset();
  }

  /** The device server, or the hypervisor for it, did not do something: that is the device's affair. A bug of ours is thrown. */
  #refused(what: string, error: unknown): void {
    if (isOurBug(error)) throw error;
    const { probe, log } = this.#deps;
    probe.at(POINT['error.device'], what, error instanceof ErrnoError ? error.errno : 0, 0, this.#id.ioreq.domid);
    log.warn({ device: this.#id.name }, `${what}: ${errorMessage(error)}`);
  }
}
