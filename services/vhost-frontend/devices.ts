// The backend directories of this domain: a device for each, for as long as its directory is there. Leaves the handshake to
// device.ts and ioreq servers to ioreq-client.ts.

import type { Timer } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { ErrnoError } from '../../lib/core/errors.js';
import { DOMID_FIRST_RESERVED, type DomId, domIdFrom } from '../../lib/core/ids.js';
import { XENBUS_KEY } from '../../lib/layout/xenbus.js';
import type { BackendName } from '../../lib/xenbus/protocols.js';
import type { StoreClient } from '../../lib/xenstore/api.js';
import { type BackDevice, Device, type DeviceDeps } from './device.js';
import { orMissing } from './store-values.js';
import { XvfDevice } from './xvf-device.js';

const NUMBER = /^(0|[1-9][0-9]{0,8})$/;

/** What each backend is to a device. */
const DEVICE_OF = { review: Device, xvf: XvfDevice } as const satisfies Readonly<Record<BackendName, unknown>>;

export class Devices {
  readonly #deps: DeviceDeps;
  readonly #backend: BackendName;
  readonly #devices = new Map<string, BackDevice>();
  #closing = false;
  /** Directories that are being read: devices may come of them. */
  #listing = 0;

  /** Folder of all devices of the kind. */
  readonly #root: string;

  constructor(deps: DeviceDeps, backend: BackendName = 'review') {
    this.#deps = deps;
    this.#backend = backend;
    this.#root = `backend/${deps.kind}`;
  }

  async watch(): Promise<void> {
    const { store, onFailure } = this.#deps;
    await store.watch(this.#root, 'backend', (path) => this.#changed(path).catch(onFailure));
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
    await store.unwatch(this.#root, 'backend');
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
    this.#listing++;
    try {
      await this.#listAll(only);
    } finally {
      this.#listing--;
    }
    for (const domid of new Set([...this.#devices.values()].map((device) => device.domid))) this.#checkSettled(domid);
  }

  async #listAll(only: string | undefined): Promise<void> {
    const { store } = this.#deps;
    for (const device of this.#devices.values()) if (only === undefined || only === `${device.domid}`) device.changed();
    for (const domid of only === undefined ? await listed(store, this.#root) : [only])
      for (const devid of await listed(store, `${this.#root}/${domid}`)) await this.#look(domid, devid);
  }

  /** A directory without a state is no device: it is being made, or what is left of one. */
  async #look(domid: string, devid: string): Promise<void> {
    if (!NUMBER.test(domid) || !NUMBER.test(devid) || Number(domid) >= DOMID_FIRST_RESERVED) return;
    const key = `${domid}/${devid}`;
    const known = this.#devices.get(key);
    if (known !== undefined) {
      known.changed();
      return;
    }
    const state = await orMissing(this.#deps.store.read(`${this.#root}/${key}/${XENBUS_KEY.state}`));
    if (state === '' || this.#closing || this.#devices.has(key)) return;
    const of = domIdFrom(Number(domid));
    const device = new DEVICE_OF[this.#backend](of, Number(devid), this.#deps, {
      onGone: (again) => {
        this.#devices.delete(key);
        // Made anew meanwhile, or only our own watch that fired.
        if (again) this.#look(domid, devid).catch(this.#deps.onFailure);
      },
      onRest: () => this.#checkSettled(of),
    });
    this.#devices.set(key, device);
    device.start().catch(this.#deps.onFailure);
  }

  /** With every device of a domain at rest, none of them is about to claim a range that it had. */
  #checkSettled(domid: DomId): void {
    if (this.#listing > 0) return;
    const devices = [...this.#devices.values()].filter((device) => device.domid === domid);
    if (devices.every((device) => device.atRest)) this.#deps.ioreqs.settled(domid).catch(this.#deps.onFailure);
  }

  /** Domains that Xen does not have any more: their devices' frontends are gone, whatever the store says. */
  async #domainEnded(): Promise<void> {
    if (this.#devices.size === 0) return;
    const { domains } = await this.#deps.hypervisor.domctl_getdomaininfolist({});
    const alive = new Set<number>(domains.filter(({ state }) => state !== 'dying').map(({ domid }) => domid));
    for (const device of this.#devices.values()) if (!alive.has(device.domid)) device.guestEnded();
  }
}

/** [] for a directory that is not there (any more). */
async function listed(store: StoreClient, path: string): Promise<string[]> {
  try {
    return await store.directory(path);
  } catch (error) {
    if (error instanceof ErrnoError && error.code === 'ENOENT') return [];
    throw error;
  }
}
