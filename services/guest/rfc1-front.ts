// The xenbus driver of the patch as posted: performs what the machine of lib/xenbus/rfc1.ts asks for with the guest's ports and
// virtio transport, as Linux's functions do it for a caller that is wrong. What the patch leaks stays taken until the domain
// ends. virtio-mmio-front.ts is the driver of the reviewed protocol.
import { errnoName } from '../../lib/core/errno.js';
import { assert, ErrnoError } from '../../lib/core/errors.js';
import type { EvtchnPort } from '../../lib/core/ids.js';
import type { XenbusState } from '../../lib/layout/xenbus.js';
import { POINT } from '../../lib/trace/points.js';
import { KIND_OF } from '../../lib/xenbus/protocols.js';
import { RFC1_START, type Rfc1Effect, type Rfc1Event, type Rfc1State, rfc1Step } from '../../lib/xenbus/rfc1.js';
import { type VirtioDriver, VirtioMmio } from './virtio-mmio.js';
import type { FrontParts } from './virtio-mmio-front.js';
import { asErrno, type Mover, type XenbusDevice, type XenbusDriver } from './xenbus-device.js';

export interface Rfc1Parts extends FrontParts {
  /** EVTCHNOP_close, whatever the port is bound to. */
  readonly closePort: (port: EvtchnPort) => Promise<void>;
}

interface Info {
  state: Rfc1State;
  irq: number | undefined;
  driver: VirtioDriver | undefined;
}

const MINE: Mover = { by: 'frontend' };

export class Rfc1Front implements XenbusDriver {
  readonly name = 'virtio-mmio';
  readonly kinds = [KIND_OF.rfc1];
  readonly #parts: Rfc1Parts;
  readonly #infos = new Map<XenbusDevice, Info>();
  /** Platform devices by their address: they outlive the xenbus device that registered them. */
  readonly #registered = new Map<number, VirtioMmio>();

  constructor(parts: Rfc1Parts) {
    this.#parts = parts;
  }

  /** Devices that are registered, for shutdown. */
  get transports(): VirtioMmio[] {
    return [...this.#registered.values()];
  }

  async probe(device: XenbusDevice): Promise<void> {
    const info: Info = { state: RFC1_START, irq: undefined, driver: undefined };
    this.#infos.set(device, info);
    await this.#drive(device, info, { type: 'probe' });
    if (info.state.phase !== 'refused') return;
    this.#infos.delete(device);
    const { errno, text } = info.state.failure!;
    this.#parts.onFailed(device, text);
    throw new ErrnoError(errnoName(errno), text);
  }

  async otherendChanged(device: XenbusDevice, state: number): Promise<void> {
    const info = this.#infos.get(device);
    if (info !== undefined) await this.#drive(device, info, { type: 'backend', state, own: device.state });
  }

  /** Forgets what it has, and gives back none of it. */
  async remove(device: XenbusDevice): Promise<void> {
    const info = this.#infos.get(device);
    if (info === undefined) return;
    await this.#drive(device, info, { type: 'remove' });
    this.#infos.delete(device);
  }

  async #drive(device: XenbusDevice, info: Info, first: Rfc1Event): Promise<void> {
    let step = rfc1Step(info.state, first);
    info.state = step.state;
    while (step.effect !== undefined) {
      const { phase } = info.state;
      step = rfc1Step(info.state, await this.#outcome(device, info, step.effect));
      info.state = step.state;
      if (phase === 'confirming' && info.driver !== undefined) this.#parts.onConnected(info.driver);
    }
  }

  async #outcome(device: XenbusDevice, info: Info, effect: Rfc1Effect): Promise<Rfc1Event> {
    this.#parts.probe.at(POINT['front.effect'], effect.type, device.devid);
    try {
      const value = await this.#perform(device, info, effect);
      return value === undefined ? { type: 'done' } : { type: 'done', value };
    } catch (error) {
      return { type: 'failed', ...asErrno(error, effect.type) };
    }
  }

  async #perform(device: XenbusDevice, info: Info, effect: Rfc1Effect): Promise<string | number | undefined> {
    const { events, closePort } = this.#parts;
    switch (effect.type) {
      case 'readOther':
        return device.readOther(effect.key);
      case 'allocPort':
        return this.#allocate(device, info);
      case 'writeInTransaction':
        await device.writeInTransaction(effect.key, effect.value);
        return undefined;
      case 'switchState':
        await device.switchState(effect.state as XenbusState, MINE);
        return undefined;
      case 'register':
        info.driver = await this.#register(device, info, effect.base);
        return undefined;
      case 'unregister':
        // What Linux does then is undefined; a kernel that checks its memory stops.
        assert(!effect.freed, 'the guest kernel: use after free in platform_device_unregister');
        info.driver = undefined;
        await this.#unregister(info.state.held.base);
        return undefined;
      case 'unbindIrq':
        await events.unbind(info.irq!);
        return undefined;
      case 'closePort':
        await closePort(effect.port as EvtchnPort).catch(async (error: unknown) => {
          const { errno } = asErrno(error, '');
          await device.error(errno, `freeing event channel ${effect.port}`);
        });
        return undefined;
      case 'fatal':
        await device.fatal(effect.errno, effect.text, MINE);
        return undefined;
      // bind_evtchn_to_irq: the port came with its interrupt.
      case 'bindIrq':
        return undefined;
    }
  }

  /** xenbus_alloc_evtchn reports by itself, and its caller once more. */
  async #allocate(device: XenbusDevice, info: Info): Promise<number> {
    try {
      const { port, irq } = await this.#parts.events.allocate(device.otherendId);
      info.irq = irq;
      return port;
    } catch (error) {
      const { errno } = asErrno(error, '');
      await device.fatal(errno, 'allocating event channel', MINE);
      throw error;
    }
  }

  /** platform_device_register: whether a driver could probe it is not looked at. */
  async #register(device: XenbusDevice, info: Info, base: number): Promise<VirtioDriver | undefined> {
    const { makeDrivers, log } = this.#parts;
    try {
      if (this.#registered.has(base)) throw new ErrnoError('EBUSY', 'an earlier driver has the registers');
      const parts = { ...this.#parts, base, irq: info.irq!, queuePorts: [], backendDomid: device.otherendId };
      const transport = new VirtioMmio(parts);
      const driver = await transport.probe(makeDrivers());
      this.#registered.set(base, transport);
      return driver;
    } catch (error) {
      log.error({ device: device.nodename }, asErrno(error, 'probe').text);
      return undefined;
    }
  }

  async #unregister(base: number | undefined): Promise<void> {
    if (base === undefined) return;
    const transport = this.#registered.get(base);
    this.#registered.delete(base);
    await transport?.remove();
  }

  /** What its data name, for the audit at the end. */
  held(): string[] {
    return [...this.#infos.entries()].flatMap(([{ nodename }, { state }]) =>
      Object.entries(state.held).map(([what, value]) => `${nodename}: ${what} ${String(value)}`),
    );
  }
}
