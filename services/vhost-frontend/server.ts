// dom0's backend of virtio-mmio devices as a process: connects to hypervisor, store and device server, and gives everything
// back at its end. One process for all guests. Leaves which devices there are to devices.ts.
import { errorMessage, PeerDiedError } from '../../lib/core/errors.js';
import type { ServiceContext } from '../../lib/core/service.js';
import { busStoreClient } from '../../lib/xenstore/bus-client.js';
import { DevEvtchn } from './dev-evtchn.js';
import { BusDeviceServer } from './device-server.js';
import { Devices } from './devices.js';
import { Guests } from './guests.js';
import { Ledger } from './ledger.js';

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

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : errorMessage(error);
}
