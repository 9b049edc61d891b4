// dom0's backend of virtio-mmio devices as a process: connects to hypervisor, store and device server, and gives everything
// back at its end. One process for all guests. Leaves which devices there are to devices.ts.
import { statSync } from 'node:fs';
import { errorMessage, PeerDiedError, UserError } from '../../lib/core/errors.js';
import { SOCKET_PATH_BYTES_MAX } from '../../lib/core/limits.js';
import type { NotifyMode } from '../../lib/core/notify.js';
import type { BusClient, ServerName, ServiceContext } from '../../lib/core/service.js';
import { lastingStoreClient } from '../../lib/xenstore/bus-client.js';
import { DevEvtchn } from './dev-evtchn.js';
import { BusDeviceServer } from './device-server.js';
import { Devices } from './devices.js';
import { Guests } from './guests.js';
import { Ledger } from './ledger.js';
import { UnixDeviceServer } from './node/unix-device-server.js';

export interface VhostFrontendOptions {
  /** Foreign vhost-user servers instead of the one on the bus: the path of their sockets. */
  readonly deviceSocket?: string;
  /** Folder for pictures of what foreign servers show. */
  readonly frames?: string;
}

export async function start(
  context: ServiceContext,
  options: VhostFrontendOptions & { readonly notify: NotifyMode },
): Promise<void> {
  checkOptions(options);
  const hypervisorClient = await context.connect('hypervisor');
  const hypervisor = hypervisorClient.remote('Hypervisor');
  // The store may be replaced by its next program, or killed and started anew, under running devices.
  // What is owned last is given back first: devices close before the connections that they need for it do.
  let shutDown = async (): Promise<void> => {};
  const connectFirst = async (server: ServerName): Promise<BusClient> => {
    const client = await context.connect(server, { onLost: 'keep' });
    context.own('devices', () => shutDown());
    return client;
  };
  const store = lastingStoreClient(() => connectFirst('xenstored'), context.probe);
  context.own('store client', () => store.close());
  const ledger = new Ledger(context.probe);
  const evtchn = await DevEvtchn.open(context, hypervisor, ledger);
  const { log, probe, shared, doorbell, clock } = context;
  const server =
    options.deviceSocket === undefined
      ? new BusDeviceServer(() => connectFirst('vhost-gpu'), log)
      : unixServer(context, options.deviceSocket, options.frames);
  const guests = new Guests({ hypervisor, evtchn, shared, ledger, clock, probe, log });
  const onFailure = (error: unknown): void => {
    // Whoever lost the peer ends this process with a message of its own.
    if (!(error instanceof PeerDiedError)) void context.stop(`internal error: ${stackOf(error)}`);
  };
  const devices = new Devices({
    hypervisor,
    evtchn,
    ledger,
    probe,
    log,
    doorbell,
    clock,
    server,
    store,
    guests,
    sharedBells: options.notify === 'doorbell',
    onFailure,
  });
  let lost = false;
  hypervisorClient.onLost(() => (lost = true));
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

function unixServer(context: ServiceContext, socketPath: string, frames: string | undefined): UnixDeviceServer {
  const abort = new AbortController();
  context.own('waiting for device servers', () => abort.abort());
  const { runDir, doorbell, log } = context;
  return new UnixDeviceServer({ socketPath, runDir, frames, doorbell, log, signal: abort.signal });
}

function checkOptions({ deviceSocket, frames }: VhostFrontendOptions): void {
  if (deviceSocket !== undefined && Buffer.byteLength(deviceSocket) > SOCKET_PATH_BYTES_MAX)
    throw new UserError(`the socket path ${deviceSocket} is longer than ${SOCKET_PATH_BYTES_MAX} bytes`);
  if (frames !== undefined && deviceSocket === undefined)
    throw new UserError('--frames is for foreign device servers (--device-socket); ours writes pictures itself');
  if (frames !== undefined && !statSync(frames, { throwIfNoEntry: false })?.isDirectory())
    throw new UserError(`--frames ${frames} is no folder`);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : errorMessage(error);
}
