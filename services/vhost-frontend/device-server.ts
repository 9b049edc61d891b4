// The vhost-user device server, as a device here sees it, and the one on the bus: sessions on whatever connection there is
// now. When the server ends, its sessions are lost and the next ones wait for the server that comes after it.
// Leaves the order of messages to lib/vhost-user/frontend-session.ts.
import type { Remote } from '../../lib/core/bus.js';
import { type DeviceServerProcess, deviceServerProcess } from '../../lib/core/device-server.js';
import { ErrnoError, errorMessage, isOurBug, PeerDiedError, passOver } from '../../lib/core/errors.js';
import { DEVICE_SERVERS_MAX } from '../../lib/core/limits.js';
import type { Log } from '../../lib/core/log.js';
import type { NotWanted } from '../../lib/core/not-wanted.js';
import type { NotifyHandle } from '../../lib/core/notify.js';
import type { Probe } from '../../lib/core/probe.js';
import type { FileHandle, GrantHandle, VhostUserHandle, VhostUserMessage } from '../../lib/core/proto-types.js';
import type { BusClient } from '../../lib/core/service.js';
import { VHOST_USER_BUS_NO_REPLY } from '../../lib/layout/vhost-user.js';
import { type DeviceName, parseDevice } from '../../lib/trace/devices.js';
import { POINT } from '../../lib/trace/points.js';
import { type FrontendChannel, FrontendSession } from '../../lib/vhost-user/frontend-session.js';
import { type BackendRequest, decodeBackendRequest } from '../../lib/vhost-user/messages.js';
import { backendRequestName, requestName } from '../../lib/vhost-user/names.js';

/** What stands for a descriptor on whatever transport the server is reached by. */
export type ServerHandle = object;

/** What a session tells of itself. */
export interface SessionEvents {
  /** The server ended: nothing of the session is left there. Runs once, not after close(). */
  onLost(): void;
  onBackendRequest(request: BackendRequest<ServerHandle>): void;
}

export interface ServerSession {
  readonly frontend: FrontendSession<ServerHandle>;
  /** Kick handles, index = queue: what an IOEVENTFD signals. */
  readonly kicks: readonly NotifyHandle[];
  /** Stands for guest memory. */
  memoryHandle(file: FileHandle): ServerHandle;
  /** Stands for what is granted of it; absent: this server cannot be given that. */
  grantHandle?(grants: GrantHandle): ServerHandle;
  /** Stands for one of `kicks`, or for a call that the server is to signal. */
  bellHandle(handle: NotifyHandle): ServerHandle;
  close(): Promise<void>;
}

export interface DeviceServer {
  /** Its sessions have grantHandle. */
  readonly grants?: boolean;
  /**
   * Waits for the server. `queueCount`: rings that the device has. Rejects when the server refuses, and with the reason of
   * `notWanted` where that comes while there is no server.
   */
  open(name: string, queueCount: number, events: SessionEvents, notWanted: NotWanted): Promise<ServerSession>;
}

const file = (handle: FileHandle) => ({ file: handle }) as VhostUserHandle;
const granted = (handle: GrantHandle) => ({ grants: handle }) as VhostUserHandle;
const bell = (handle: NotifyHandle) => ({ bell: handle }) as VhostUserHandle;

/** One connection to the server and its sessions. */
class Connection {
  readonly #server: Remote<'VhostUser'>;
  readonly #sessions = new Map<number, { readonly events: SessionEvents; readonly device: DeviceName | undefined }>();
  readonly #log: Log;
  readonly #probe: Probe;

  constructor(client: BusClient, log: Log, probe: Probe) {
    this.#probe = probe;
    this.#server = client.remote('VhostUser');
    this.#log = log;
    client.on('VhostUserEvents', 'backend_message', (message) => this.#backendMessage(message));
  }

  /** The server ended. */
  lost(): void {
    const lost = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const { events } of lost) events.onLost();
  }

  async open(name: string, queueCount: number, events: SessionEvents): Promise<ServerSession> {
    const { session, first_kick: first } = await this.#server.open({ name, queue_count: queueCount });
    const device = parseDevice(name);
    this.#sessions.set(session, { events, device });
    const channel: FrontendChannel<ServerHandle> = {
      exchange: async ({ request, flags, payload, handles }) => {
        const passed = [...handles] as VhostUserHandle[];
        const asked = requestName(request);
        this.#probe.at(POINT['vhost-user.request'], asked, session, device?.devid, device?.domid);
        const answer = await this.#server.message({ session, request, flags, payload, handles: passed });
        if (answer.request === VHOST_USER_BUS_NO_REPLY) return undefined;
        this.#probe.at(POINT['vhost-user.reply'], asked, session, device?.devid, device?.domid);
        return answer;
      },
    };
    const close = async (): Promise<void> => {
      if (!this.#sessions.delete(session)) return;
      await this.#server.close({ session });
    };
    const frontend = new FrontendSession(channel);
    try {
      await frontend.connect(queueCount);
    } catch (error) {
      await close().catch(passOver);
      throw error;
    }
    const kicks = Array.from({ length: queueCount }, (_, index) => ({ bell: first.bell, bit: first.bit + index }));
    return { frontend, kicks, memoryHandle: file, grantHandle: granted, bellHandle: bell, close };
  }

  #backendMessage(message: VhostUserMessage): void {
    const session = this.#sessions.get(message.session);
    if (session === undefined) return;
    const { events, device } = session;
    const asked = backendRequestName(message.request);
    this.#probe.at(POINT['vhost-user.backend-request'], asked, message.session, device?.devid, device?.domid);
    try {
      events.onBackendRequest(decodeBackendRequest(message));
    } catch (error) {
      if (isOurBug(error)) throw error;
      this.#log.warn({ session: message.session }, `device server: ${errorMessage(error)}`);
    }
  }
}

export interface BusDeviceServerSetup {
  /** The server's process, for the log. */
  readonly process: string;
  /** Waits for the server; rejects when this process ends. The client closes with its loss (lib/node/process/service.ts). */
  readonly connect: () => Promise<BusClient>;
  readonly log: Log;
  readonly probe: Probe;
  /** A bug of ours. */
  readonly onFailure: (error: unknown) => void;
}

/** The server on the bus. Connects at once, and again whenever it was lost, until `connect` rejects. */
export class BusDeviceServer implements DeviceServer {
  readonly grants = true;
  readonly #setup: BusDeviceServerSetup;
  #connection: Promise<Connection>;

  constructor(setup: BusDeviceServerSetup) {
    this.#setup = setup;
    this.#connection = this.#next();
  }

  #next(): Promise<Connection> {
    const { process, connect, log, probe, onFailure } = this.#setup;
    const connecting = connect().then((client) => {
      const connection = new Connection(client, log, probe);
      client.onLost(() => {
        log.warn(`${process} ended; its devices need a reset`);
        // Their next sessions are to find the next connection.
        this.#connection = this.#next();
        connection.lost();
      });
      return connection;
    });
    // A process that ends connects no more: an open() that waits is told.
    connecting.catch((error) => isOurBug(error) && onFailure(error));
    return connecting;
  }

  async open(name: string, queueCount: number, events: SessionEvents, notWanted: NotWanted): Promise<ServerSession> {
    for (;;) {
      const connection = await this.#connected(notWanted);
      try {
        return await connection.open(name, queueCount, events);
      } catch (error) {
        // Lost in the middle of it: the next one. Anything else is the server's answer.
        if (!(error instanceof PeerDiedError) || (await this.#connected(notWanted)) === connection) throw error;
      }
    }
  }

  /** The connection that there is, or is next; rejects with the reason where it is not wanted before. */
  #connected(notWanted: NotWanted): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const stopListening = notWanted.listen(reject);
      this.#connection.then(resolve, reject).finally(stopListening);
    });
  }
}

/**
 * The servers on the bus, by name. The one without a name is connected to at once, any other when the first device names it, and
 * from then on as long as this process lives: a few, since dom0's toolstack alone names them.
 */
export class BusDeviceServers {
  readonly #make: (process: DeviceServerProcess) => BusDeviceServer;
  readonly #servers = new Map<DeviceServerProcess, BusDeviceServer>();

  constructor(make: (process: DeviceServerProcess) => BusDeviceServer) {
    this.#make = make;
    this.named(undefined);
  }

  /** Throws ErrnoError ENOSPC where that were one too many. */
  named(name: string | undefined): BusDeviceServer {
    const process = deviceServerProcess(name);
    const known = this.#servers.get(process);
    if (known !== undefined) return known;
    if (this.#servers.size >= DEVICE_SERVERS_MAX)
      throw new ErrnoError('ENOSPC', `this backend uses ${DEVICE_SERVERS_MAX} device servers already`);
    const made = this.#make(process);
    this.#servers.set(process, made);
    return made;
  }
}
