// The backend directories of this domain: a device for each, for as long as its directory is there. Leaves the handshake to
// device.ts and guests to guest.ts.

import type { Timer } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { KIND_VIRTIO_MMIO, XENBUS_KEY } from '../../lib/layout/xenbus.js';
import type { StoreClient } from '../../lib/xenstore/api.js';
import { Device, type DeviceDeps } from './device.js';

const ROOT = `backend/${KIND_VIRTIO_MMIO}`;
const NUMBER = /^(0|[1-9][0-9]{0,8})$/;

export class Devices {
  readonly #deps: DeviceDeps;
  readonly #devices = new Map<string, Device>();
  #closing = false;

  constructor(deps: DeviceDeps) {
    this.#deps = deps;
  }

  async watch(): Promise<void> {
    const { store, onFailure } = this.#deps;
    await store.watch(ROOT, 'backend', (path) => this.#changed(path).catch(onFailure));
    await store.watch('@releaseDomain', 'release', () => this.#domainEnded().catch(onFailure));
  }

  /** Lets every device close in order, and gives back the rest. */
  async shutDown(): Promise<void> {
    this.#closing = true;
    const { store, clock } = this.#deps;
    const within = (ms: number, done: Promise<unknown>[]): Promise<unknown> => {
      let timer: Timer | undefined;
      const late = new Promise<void>((resolve) => {
        timer = clock.after(ms, resolve);
      });
      return Promise.race([late, Promise.all(done)]).finally(() => timer?.cancel());
    };
    const devices = [...this.#devices.values()];
    await within(
      DEADLINE_MS.devicesClose,
      devices.map((device) => device.shutDown()),
    );
    await within(
      DEADLINE_MS.devicesAbandon,
      devices.map((device) => device.abandon()),
    );
    await store.unwatch(ROOT, 'backend');
    await store.unwatch('@releaseDomain', 'release');
  }

  /** An event: `backend/virtio-mmio/<domid>/<devid>/...`, or a folder above. */
  async #changed(path: string): Promise<void> {
    const [, , domid, devid] = path.split('/');
    if (domid === undefined || devid === undefined) {
      await this.#list(domid);
    } else await this.#look(domid, devid);
  }

  /** A folder changed: devices may have come, and those known may have gone with it. */
  async #list(only: string | undefined): Promise<void> {
    const { store } = this.#deps;
    for (const device of this.#devices.values()) if (only === undefined || only === `${device.domid}`) device.changed();
    for (const domid of only === undefined ? await listed(store, ROOT) : [only])
      for (const devid of await listed(store, `${ROOT}/${domid}`)) await this.#look(domid, devid);
  }

  /** A directory without a state is no device: it is being made, or what is left of one. */
  async #look(domid: string, devid: string): Promise<void> {
    if (!NUMBER.test(domid) || !NUMBER.test(devid)) return;
    const key = `${domid}/${devid}`;
    const known = this.#devices.get(key);
    if (known !== undefined) {
      known.changed();
      return;
    }
    const state = await this.#deps.store.read(`${ROOT}/${key}/${XENBUS_KEY.state}`).catch(() => '');
    if (state === '' || this.#closing || this.#devices.has(key)) return;
    const device = new Device(Number(domid), Number(devid), this.#deps, (again) => {
      this.#devices.delete(key);
      // Made anew meanwhile, or only our own watch that fired.
      if (again) this.#look(domid, devid).catch(this.#deps.onFailure);
    });
    this.#devices.set(key, device);
    device.start().catch(this.#deps.onFailure);
  }

  /** Domains that Xen does not have any more: their devices' frontends are gone, whatever the store says. */
  async #domainEnded(): Promise<void> {
    if (this.#devices.size === 0) return;
    const { domains } = await this.#deps.hypervisor.domctl_getdomaininfolist({});
    const alive = new Set(domains.filter(({ state }) => state !== 'dying').map(({ domid }) => domid));
    for (const device of this.#devices.values()) if (!alive.has(device.domid)) device.guestEnded();
  }
}

async function listed(store: StoreClient, path: string): Promise<string[]> {
  try {
    return await store.directory(path);
  } catch {
    return []; // not there (any more)
  }
}
