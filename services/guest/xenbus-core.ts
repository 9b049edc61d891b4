// The guest's xenbus: which devices there are, who drives them, and the watches behind it, with the store operations of
// Linux's core in their order (drivers/xen/xenbus/xenbus_probe.c, xenbus_probe_frontend.c). Every callback runs in the one
// xenwatch task. Leaves a device's own operations to xenbus-device.ts and the boot-time reset to xenbus-reset.ts.

import type { Clock } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { ERRNO } from '../../lib/core/errno.js';
import { DeadlineError, ErrnoError, errorMessage } from '../../lib/core/errors.js';
import type { DomId } from '../../lib/core/ids.js';
import type { Log } from '../../lib/core/log.js';
import type { Probe } from '../../lib/core/probe.js';
import { XEN_BUS_ID_SIZE, XENBUS_KEY, XenbusState } from '../../lib/layout/xenbus.js';
import { POINT } from '../../lib/trace/points.js';
import { parseDomid } from '../../lib/xenbus/keys.js';
import type { Protocol } from '../../lib/xenbus/protocol.js';
import type { CoreRules } from './core-rules.js';
import type { GuestStore } from './guest-store.js';
import type { Vcpu } from './vcpu.js';
import { Completion } from './wait.js';
import { asErrno, readState, XenbusDevice, type XenbusDriver } from './xenbus-device.js';
import { resetFrontends } from './xenbus-reset.js';
import type { Xenwatch } from './xenwatch.js';

const ROOT = 'device';
/** Watch tokens look like the kernel pointers that Linux uses. */
const TOKEN_BASE = 0xffff888000000000n;

export interface XenbusParts {
  readonly protocol: Protocol;
  readonly store: GuestStore;
  readonly vcpu: Vcpu;
  readonly xenwatch: Xenwatch;
  readonly rules: CoreRules;
  readonly drivers: readonly XenbusDriver[];
  readonly clock: Clock;
  readonly probe: Probe;
  readonly log: Log;
  readonly domid: DomId;
}

interface Entry {
  readonly device: XenbusDevice;
  /** The watch on the other end's state, while there is one. */
  watch: { readonly path: string; readonly token: string } | undefined;
}

export class XenbusCore {
  readonly #parts: XenbusParts;
  readonly #devices = new Map<string, Entry>();
  #tokenCount = 0;
  #shuttingDown = false;

  constructor(parts: XenbusParts) {
    this.#parts = parts;
  }

  get devices(): XenbusDevice[] {
    return [...this.#devices.values()].map(({ device }) => device);
  }

  newToken(): string {
    return (TOKEN_BASE + BigInt(++this.#tokenCount) * 64n).toString(16).toUpperCase();
  }

  /** xenbus is up: devices of an earlier kernel are reset, those that are there are found, then changes are watched. */
  async start(): Promise<void> {
    const { store, xenwatch } = this.#parts;
    await resetFrontends({ ...this.#parts, newToken: () => this.newToken() });
    await this.#enumerate();
    await store.watch(ROOT, this.newToken(), (path) => xenwatch.add(this, () => this.#frontendChanged(path)));
  }

  /** Every error ends the enumeration where it stands, as in Linux. */
  async #enumerate(): Promise<void> {
    const { store } = this.#parts;
    try {
      for (const kind of await store.directory(ROOT)) {
        for (const id of await store.directory(`${ROOT}/${kind}`)) {
          if (kind.startsWith('console') && id.startsWith('0')) continue;
          await this.#probeNode(kind, `${ROOT}/${kind}/${id}`);
        }
      }
    } catch (error) {
      asErrno(error, 'enumeration');
    }
  }

  /** The watch on `device`. */
  async #frontendChanged(path: string): Promise<void> {
    const parts = path.split('/');
    if (parts.length < 3 || this.#shuttingDown) return;
    const [root, kind, id] = parts as [string, string, string];
    if (!(await this.#exists(path))) {
      await this.#cleanUp(path);
      return;
    }
    if (kind.startsWith('console') && id.startsWith('0')) return;
    const nodename = `${root}/${kind}/${id}`;
    const known = this.#devices.get(nodename);
    if (known === undefined) await this.#probeNode(kind, nodename);
    else if (this.#parts.rules.resetMakesAnew && (await this.#wasReset(known.device))) {
      this.#parts.log.warn({ device: nodename }, 'the device was reset: making it anew');
      known.device.vanished = true;
      await this.#unregister(known);
      await this.#probeNode(kind, nodename);
    }
  }

  /** Linux asks for the children: an error of any kind means that the node is not there. */
  async #exists(path: string): Promise<boolean> {
    try {
      await this.#parts.store.directory(path);
      return true;
    } catch (error) {
      asErrno(error, path);
      return false;
    }
  }

  async #wasReset(device: XenbusDevice): Promise<boolean> {
    const state = await readState(this.#parts.store, device.nodename);
    const backendId = await device.read(XENBUS_KEY.backendId).then(parseDomid, (error) => {
      asErrno(error, XENBUS_KEY.backendId);
      return undefined;
    });
    if (state !== XenbusState.Initialising) return false;
    const moved = device.otherend !== '' && backendId !== undefined && backendId !== device.otherendId;
    return device.state !== XenbusState.Initialising || moved;
  }

  /** Unregisters every device at or below a path that is gone. */
  async #cleanUp(path: string): Promise<void> {
    for (const entry of [...this.#devices.values()]) {
      const { nodename } = entry.device;
      if (nodename !== path && !nodename.startsWith(`${path}/`)) continue;
      if (this.#parts.rules.vanish) {
        this.#parts.log.warn({ device: nodename }, 'the device was forcefully removed');
        entry.device.vanished = true;
      }
      await this.#unregister(entry);
    }
  }

  /** A node becomes a device only while its state reads 1. */
  async #probeNode(kind: string, nodename: string): Promise<void> {
    if ((await readState(this.#parts.store, nodename)) !== XenbusState.Initialising) return;
    if (nodename.length - ROOT.length - 1 >= XEN_BUS_ID_SIZE) {
      this.#parts.log.warn({ device: nodename }, 'the name is too long for a device');
      return;
    }
    const device = new XenbusDevice(nodename, kind, this.#parts);
    const entry: Entry = { device, watch: undefined };
    this.#devices.set(nodename, entry);
    const driver = this.#parts.drivers.find(({ kinds }) => kinds.includes(kind));
    if (driver !== undefined) await this.#probe(entry, driver);
  }

  /** xenbus_dev_probe. A device whose probe failed stays without a driver until its node is made anew. */
  async #probe(entry: Entry, driver: XenbusDriver): Promise<void> {
    const { device } = entry;
    const { store, probe } = this.#parts;
    probe.at(POINT['front.probe'], device.nodename, device.devid);
    if (!(await this.#findOtherend(device))) return;
    try {
      await driver.probe(device);
      device.driver = driver;
      const watch = { path: `${device.otherend}/${XENBUS_KEY.state}`, token: this.newToken() };
      entry.watch = watch;
      await store.watch(watch.path, watch.token, (path) => {
        this.#parts.xenwatch.add(entry, () => this.#otherendChanged(device, path));
      });
    } catch (error) {
      const { errno } = asErrno(error, '');
      entry.watch = undefined;
      if (device.driver !== undefined) await driver.remove(device);
      device.driver = undefined;
      await device.error(errno, `xenbus_dev_probe on ${device.nodename}: ${errorMessage(error)}`);
    }
  }

  /** False: reported as fatal. */
  async #findOtherend(device: XenbusDevice): Promise<boolean> {
    try {
      const backendId = parseDomid(await device.read(XENBUS_KEY.backendId));
      if (backendId === undefined) throw new ErrnoError('EINVAL');
      device.otherendId = backendId;
      device.otherend = await device.read(XENBUS_KEY.backend);
    } catch (error) {
      const { errno, text } = asErrno(error, `reading other end details from ${device.nodename}`);
      await device.fatal(errno, text);
      return false;
    }
    if (device.otherend !== '' && (await this.#exists(device.otherend))) return true;
    await device.fatal(ERRNO.ENOENT, `unable to read other end from ${device.nodename}. missing or inaccessible.`);
    return false;
  }

  async #otherendChanged(device: XenbusDevice, path: string): Promise<void> {
    if (device.otherend === '' || !path.startsWith(device.otherend)) return;
    const state = await device.otherState();
    this.#parts.probe.at(POINT['front.other-state'], path, device.devid, state);
    if (this.#shuttingDown) {
      if (state === XenbusState.Closing) await device.frontendClosed();
      return;
    }
    await device.driver?.otherendChanged(device, state);
  }

  /** device_unregister: xenbus_dev_remove, then the object is gone. */
  async #unregister(entry: Entry): Promise<void> {
    const { device, watch } = entry;
    this.#devices.delete(device.nodename);
    if (watch !== undefined) {
      await this.#parts.store.unwatch(watch.path, watch.token).catch((error) => asErrno(error, 'unwatch'));
      this.#parts.xenwatch.drop(entry);
    }
    if (device.driver === undefined) return;
    await device.driver.remove(device);
    device.driver = undefined;
    device.otherend = '';
    await device.switchState(XenbusState.Closed);
  }

  /** xenbus_frontend_dev_shutdown for each device that is connected; drivers are not called any more. */
  async shutdown(): Promise<void> {
    this.#shuttingDown = true;
    const { clock, log } = this.#parts;
    for (const device of this.devices) {
      if (device.state !== XenbusState.Connected) continue;
      // A device that was closed before and came back is to be down anew.
      device.down = new Completion(this.#parts.vcpu);
      await device.switchState(XenbusState.Closing);
      try {
        await device.down.wait({ clock, ms: DEADLINE_MS.deviceShutdown, what: `closing of ${device.nodename}` });
      } catch (error) {
        if (!(error instanceof DeadlineError)) throw error;
        log.warn(error.message);
      }
    }
  }
}
