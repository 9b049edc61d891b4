// dom0's backend of virtio-mmio devices: follows its directories in the store and keeps a device for each; one process for
// all guests. Leaves the handshake to device.ts, guests to guest.ts, the device server to device-server.ts.
import { errorMessage, PeerDiedError } from '../../lib/core/errors.js';
import type { ServiceContext } from '../../lib/core/service.js';
import { KIND_VIRTIO_MMIO } from '../../lib/layout/xenbus.js';
import type { StoreClient } from '../../lib/xenstore/api.js';
import { busStoreClient } from '../../lib/xenstore/bus-client.js';
import { DevEvtchn } from './dev-evtchn.js';
import { Device, type DeviceDeps } from './device.js';
import { BusDeviceServer } from './device-server.js';
import { Guests } from './guests.js';
import { Ledger } from './ledger.js';

/** Guests get this long to close their devices when this process ends; then it goes without them. */
const SHUTDOWN_MS = 1500;
const ROOT = `backend/${KIND_VIRTIO_MMIO}`;
const NUMBER = /^(0|[1-9][0-9]{0,8})$/;

export async function start(context: ServiceContext): Promise<void> {
  const hypervisorClient = await context.connect('hypervisor');
  const storeClient = await context.connect('xenstored');
  const hypervisor = hypervisorClient.remote('Hypervisor');
  const store = busStoreClient(storeClient, context.history);
  const ledger = new Ledger(context.history);
  const evtchn = await DevEvtchn.open(context, hypervisor, ledger);
  const { log, history, shared, doorbell, clock } = context;
  // What is owned last is given back first: devices close before the connection that they need for it does.
  let shutDown = async (): Promise<void> => {};
  const server = new BusDeviceServer(async () => {
    const client = await context.connect('vhost-gpu', { onLost: 'keep' });
    context.own('devices', () => shutDown());
    return client;
  }, log);
  const guests = new Guests({ hypervisor, evtchn, shared, ledger, history, log });
  const onFailure = (error: unknown): void => {
    // Whoever lost the peer ends this process with a message of its own.
    if (!(error instanceof PeerDiedError)) void context.stop(`internal error: ${stackOf(error)}`);
  };
  const devices = new Devices({
    hypervisor,
    evtchn,
    ledger,
    history,
    log,
    doorbell,
    clock,
    server,
    store,
    guests,
    onFailure,
  });
  let lost = false;
  for (const client of [hypervisorClient, storeClient]) client.onLost(() => (lost = true));
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    if (lost) return;
    await devices.shutDown();
    const left = ledger.held.map(({ what, number, domid }) => `${what} ${number} of domain ${domid}`);
    if (left.length === 0) log.info('everything is given back');
    else log.warn({ left }, 'not everything is given back');
  };
  shutDown = () => (closing ??= close());
  context.own('devices', () => shutDown());
  await devices.watch();
  context.ready();
}

class Devices {
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
    const late = new Promise<void>((resolve) => {
      clock.after(SHUTDOWN_MS, resolve);
    });
    const devices = [...this.#devices.values()];
    await Promise.race([late, Promise.all(devices.map((device) => device.shutDown()))]);
    for (const device of devices) await Promise.race([late, device.abandon()]);
    await store.unwatch(ROOT, 'backend');
    await store.unwatch('@releaseDomain', 'release');
  }

  /** An event: `backend/virtio-mmio/<domid>/<devid>/...`, or a folder above. */
  async #changed(path: string): Promise<void> {
    const [, , domid, devid] = path.split('/');
    if (domid === undefined || devid === undefined) {
      await this.#list(domid);
    } else if (NUMBER.test(domid) && NUMBER.test(devid)) {
      this.#device(Number(domid), Number(devid)).changed();
    }
  }

  async #list(only: string | undefined): Promise<void> {
    const { store } = this.#deps;
    for (const domid of only === undefined ? await listed(store, ROOT) : [only]) {
      if (!NUMBER.test(domid)) continue;
      for (const devid of await listed(store, `${ROOT}/${domid}`))
        if (NUMBER.test(devid)) this.#device(Number(domid), Number(devid)).changed();
    }
  }

  #device(domid: number, devid: number): Device {
    const key = `${domid}/${devid}`;
    const known = this.#devices.get(key);
    if (known !== undefined) return known;
    const device = new Device(domid, devid, this.#deps, (again) => {
      this.#devices.delete(key);
      if (again && !this.#closing) this.#device(domid, devid);
    });
    this.#devices.set(key, device);
    device.start().catch(this.#deps.onFailure);
    return device;
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

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : errorMessage(error);
}
