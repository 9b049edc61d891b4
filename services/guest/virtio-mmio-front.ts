// The xenbus driver of virtio-mmio devices: performs what the frontend machine of lib/xenbus/frontend.ts asks for, one effect
// after another inside the xenwatch callback, with the guest's ranges, ports and virtio transport.

import { assert } from '../../lib/core/errors.js';
import type { DomId } from '../../lib/core/ids.js';
import type { Log } from '../../lib/core/log.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import { KIND_VIRTIO_MMIO, XenbusState } from '../../lib/layout/xenbus.js';
import { POINT } from '../../lib/trace/points.js';
import {
  FRONT_START,
  type FrontEffect,
  type FrontEvent,
  type FrontState,
  frontStep,
} from '../../lib/xenbus/frontend.js';
import type { DmaSpaces } from './dma.js';
import type { Events } from './events.js';
import type { MmioRanges } from './mmio-ranges.js';
import type { Vcpu } from './vcpu.js';
import { type VirtioDriver, VirtioMmio } from './virtio-mmio.js';
import { asErrno, type Mover, type Switched, type XenbusDevice, type XenbusDriver } from './xenbus-device.js';

export interface FrontParts {
  readonly vcpu: Vcpu;
  readonly events: Events;
  readonly ranges: MmioRanges;
  readonly memory: GuestMemory;
  readonly dma: DmaSpaces;
  readonly probe: Probe;
  readonly log: Log;
  readonly domid: DomId;
  /** Fresh virtio drivers for one device. */
  readonly makeDrivers: () => readonly VirtioDriver[];
  /** The device reached Connected with this driver. */
  readonly onConnected: (driver: VirtioDriver) => void;
  /** The frontend gave up on this device. */
  readonly onFailed: (device: XenbusDevice, reason: string) => void;
  /** A device has given back what it held. */
  readonly onReleased: () => void;
}

interface Info {
  state: FrontState;
  /** Interrupt of each port. */
  readonly irqs: Map<number, number>;
  transport: VirtioMmio | undefined;
  driver: VirtioDriver | undefined;
}

export class VirtioMmioFront implements XenbusDriver {
  readonly name = 'virtio-mmio';
  readonly kinds = [KIND_VIRTIO_MMIO];
  readonly #parts: FrontParts;
  readonly #infos = new Map<XenbusDevice, Info>();

  constructor(parts: FrontParts) {
    this.#parts = parts;
  }

  /** Devices that are registered, for shutdown. */
  get transports(): VirtioMmio[] {
    return [...this.#infos.values()].flatMap(({ transport }) => (transport === undefined ? [] : [transport]));
  }

  /** Nothing is taken yet: what there is to read is not published before the backend's state 2. */
  async probe(device: XenbusDevice): Promise<void> {
    this.#infos.set(device, { state: FRONT_START, irqs: new Map(), transport: undefined, driver: undefined });
  }

  async otherendChanged(device: XenbusDevice, state: number): Promise<void> {
    await this.#drive(device, { type: 'backend', state });
  }

  async remove(device: XenbusDevice): Promise<void> {
    await this.#drive(device, { type: 'remove' });
    this.#infos.delete(device);
  }

  async #drive(device: XenbusDevice, first: FrontEvent): Promise<void> {
    const info = this.#infos.get(device);
    if (info === undefined) return;
    const before = info.state;
    let step = frontStep(info.state, first);
    info.state = step.state;
    while (step.effect !== undefined) {
      step = frontStep(info.state, await this.#outcome(device, info, step.effect));
      info.state = step.state;
    }
    if (before.phase !== 'connected' && info.state.phase === 'connected') {
      await device.forgetError();
      this.#parts.onConnected(info.driver!);
    }
    if (Object.keys(before.held).length > 0 && Object.keys(info.state.held).length === 0) this.#parts.onReleased();
    if (before.failure === undefined && info.state.failure !== undefined) {
      this.#parts.onFailed(device, info.state.failure.text);
    }
  }

  async #outcome(device: XenbusDevice, info: Info, effect: FrontEffect): Promise<FrontEvent> {
    this.#parts.probe.at(POINT['front.effect'], effect.type, device.devid);
    try {
      const value = await this.#perform(device, info, effect);
      return value === undefined ? { type: 'done' } : { type: 'done', value };
    } catch (error) {
      return { type: 'failed', ...asErrno(error, describe(effect)) };
    }
  }

  async #perform(device: XenbusDevice, info: Info, effect: FrontEffect): Promise<string | number | undefined> {
    const { ranges, events } = this.#parts;
    const mover: Mover = { by: 'frontend', otherEnd: info.state.backend };
    switch (effect.type) {
      case 'read':
        return device.readOther(effect.key);
      case 'claimRange':
        return ranges.claim(effect.size);
      case 'allocPort': {
        const { port, irq } = await events.allocate(device.otherendId);
        info.irqs.set(port, irq);
        return port;
      }
      case 'write':
        await device.write(effect.key, effect.value);
        return undefined;
      case 'switchState':
        return (await this.#switchState(device, effect.state, mover)) === 'refused' ? XenbusState.Closing : undefined;
      case 'register':
        await this.#register(device, info, effect);
        return undefined;
      case 'unregister':
        await this.#unregister(info);
        return undefined;
      case 'freePort':
        await events.unbind(info.irqs.get(effect.port)!);
        info.irqs.delete(effect.port);
        return undefined;
      case 'freeRange':
        ranges.release(effect.base);
        return undefined;
      case 'fatal':
        await device.fatal(effect.errno, effect.text, mover);
        return undefined;
      case 'error':
        await device.error(effect.errno, effect.text);
        return undefined;
      default:
        effect satisfies never;
        return undefined;
    }
  }

  /** Closed also tells a shutdown that waits for this device. */
  #switchState(device: XenbusDevice, state: XenbusState, mover: Mover): Promise<Switched> {
    return state === XenbusState.Closed ? device.frontendClosed(mover) : device.switchState(state, mover);
  }

  async #register(
    device: XenbusDevice,
    info: Info,
    { base, port, queuePorts }: Extract<FrontEffect, { type: 'register' }>,
  ): Promise<void> {
    const irq = info.irqs.get(port)!;
    const transport = new VirtioMmio({ ...this.#parts, base, irq, queuePorts, backendDomid: device.otherendId });
    const drivers = this.#parts.makeDrivers();
    info.driver = await transport.probe(drivers);
    info.transport = transport;
  }

  async #unregister(info: Info): Promise<void> {
    const { transport } = info;
    assert(transport !== undefined, 'a device is registered before it is unregistered');
    info.transport = undefined;
    info.driver = undefined;
    await transport.remove();
  }

  /** Ports, ranges and devices that are out, for the audit at the end. */
  held(): string[] {
    return [...this.#infos.entries()].flatMap(([{ nodename }, { state }]) =>
      Object.entries(state.held).map(([what, value]) => `${nodename}: ${what} ${String(value)}`),
    );
  }
}

function describe(effect: FrontEffect): string {
  switch (effect.type) {
    case 'read':
      return `reading ${effect.key}`;
    case 'write':
      return `writing ${effect.key}`;
    case 'claimRange':
      return 'choosing an address';
    case 'allocPort':
      return 'allocating event channel';
    case 'register':
      return 'registering the device';
    default:
      return effect.type;
  }
}
