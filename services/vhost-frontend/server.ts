// dom0's backend of virtio-mmio devices as a process: connects to hypervisor, store and device server, and gives everything
// back at its end. One process for all guests. Leaves which devices there are to devices.ts.
import { statSync } from 'node:fs';
import { ErrnoError, errorMessage, isOurBug, UserError } from '../../lib/core/errors.js';
import { SOCKET_PATH_BYTES_MAX } from '../../lib/core/limits.js';
import type { NotifyMode } from '../../lib/core/notify.js';
import type { ServiceContext } from '../../lib/core/service.js';
import { serveControl } from '../../lib/node/process/control.js';
import { type BackendName, type FrontendName, kindServed } from '../../lib/xenbus/protocols.js';
import { lastingStoreClient } from '../../lib/xenstore/bus-client.js';
import type { DeviceDeps } from './device.js';
import { BusDeviceServer, BusDeviceServers } from './device-server.js';
import { Devices } from './devices.js';
import { EvtchnClient } from './evtchn-client.js';
import { IoreqClients } from './ioreq-clients.js';
import { Ledger } from './ledger.js';
import { UnixDeviceServer } from './node/unix-device-server.js';

export interface VhostFrontendOptions {
  /** Foreign vhost-user servers instead of the one on the bus: the path of their sockets. */
  readonly deviceSocket?: string;
  /** Which version of the protocol its frontends speak. */
  readonly frontend: FrontendName;
  readonly backend: BackendName;
  /** Folder for pictures of what foreign servers show. */
  readonly frames?: string;
}

export async function start(
  context: ServiceContext,
  options: VhostFrontendOptions & { readonly notify: NotifyMode },
): Promise<void> {
  checkOptions(options);
  const hypervisorClient = await context.connect('hypervisor', { onLost: 'keep' });
  let lost = false;
  // Noted before the process begins to end: with the host gone there is no device left to take through its states.
  hypervisorClient.onLost(() => {
    lost = true;
    void context.stop('hypervisor ended');
  });
  const hypervisor = hypervisorClient.remote('Hypervisor');
  // The store may be replaced by its next program, or killed and started anew, under running devices.
  const store = lastingStoreClient(() => context.connect('xenstored', { onLost: 'keep' }), context.probe);
  context.own('store client', () => store.close());
  const ledger = new Ledger(context.probe);
  const evtchn = await EvtchnClient.open(context, hypervisor, ledger);
  const { log, probe, shared, doorbell, clock } = context;
  const onFailure = (error: unknown): void => {
    // The hypervisor's end has stopped this process by then, with a reason of its own; the first one counts.
    void context.stop(isOurBug(error) ? `internal error: ${stackOf(error)}` : errorMessage(error));
  };
  const serverNamed =
    options.deviceSocket === undefined ? busServers(context, onFailure) : unixServer(context, options);
  const ioreqs = new IoreqClients({ hypervisor, evtchn, shared, ledger, probe, log, onFailure });
  const deps = {
    ...{ hypervisor, evtchn, ledger, probe, log, doorbell, clock, serverNamed, store },
    kind: kindServed(options.backend, options.frontend),
    ioreqs,
    sharedBells: options.notify === 'doorbell',
    onFailure,
  };
  const devices = new Devices(deps, options.backend);
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    if (lost) return;
    await devices.shutDown();
    const left = ledger.held.map(({ what, number, domid }) => `${what} ${number} of domain ${domid}`);
    if (left.length === 0) log.info('everything is given back');
    else log.warn({ left }, 'not everything is given back');
  };
  context.own('devices', () => (closing ??= close()));
  await serveControl(context, () =>
    ledger.held.map(({ what, number, domid }) => ({ kind: what, name: `${domid}/${number}` })),
  );
  await devices.watch();
  context.ready();
}

function busServers(context: ServiceContext, onFailure: (error: unknown) => void): DeviceDeps['serverNamed'] {
  const { log, probe } = context;
  const servers = new BusDeviceServers((process) => {
    const connect = () => context.connect(process, { onLost: 'keep' });
    return new BusDeviceServer({ process, connect, log, probe, onFailure });
  });
  return (name) => servers.named(name);
}

function unixServer(
  context: ServiceContext,
  { deviceSocket, frames }: VhostFrontendOptions,
): DeviceDeps['serverNamed'] {
  const abort = new AbortController();
  context.own('waiting for device servers', () => abort.abort());
  const { runDir, doorbell, log, probe, clock } = context;
  const common = { runDir, frames, doorbell, log, probe, clock };
  const server = new UnixDeviceServer({ ...common, socketPath: deviceSocket!, signal: abort.signal });
  return (name) => {
    if (name === undefined) return server;
    throw new ErrnoError('EOPNOTSUPP', `server ${name}: with --device-socket devices have the servers on its sockets`);
  };
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
