// Foreign vhost-user servers on unix sockets: a connection each device, memory and eventfds as descriptors. The doorbells
// of a lab and eventfds are joined here: a kick rings a bit of ours, which writes the eventfd; a call read from its eventfd
// rings the event channel's handle. Leaves framing to lib/node/files/vhost-user-socket.ts.
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { PeerDiedError } from '../../../lib/core/errors.js';
import type { Log } from '../../../lib/core/log.js';
import type { Doorbell, NotifyHandle } from '../../../lib/core/notify.js';
import type { Probe } from '../../../lib/core/probe.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import { listenEventFd, makeEventFd, signalEventFd } from '../../../lib/node/files/event-fds.js';
import { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { connectUnix } from '../../../lib/node/files/unix-fds.js';
import { VhostUserSocket } from '../../../lib/node/files/vhost-user-socket.js';
import { retryOnChange } from '../../../lib/node/process/wait.js';
import { POINT } from '../../../lib/trace/points.js';
import { type FrontendChannel, FrontendSession } from '../../../lib/vhost-user/frontend-session.js';
import type { RawMessage } from '../../../lib/vhost-user/messages.js';
import { requestName } from '../../../lib/vhost-user/names.js';
import type { DeviceServer, ServerHandle, ServerSession, SessionEvents } from '../device-server.js';
import { openDisplay } from './display-viewer.js';

export interface UnixDeviceServerSetup {
  /** Path of a device's socket; `{device}` in it stands for `<domid>-<devid>`. */
  readonly socketPath: string;
  readonly runDir: string;
  /** Where PNG files of what is shown go. */
  readonly frames: string | undefined;
  readonly doorbell: Doorbell;
  readonly log: Log;
  readonly probe: Probe;
  /** Aborts when the process ends. */
  readonly signal: AbortSignal;
}

export class UnixDeviceServer implements DeviceServer {
  readonly #setup: UnixDeviceServerSetup;

  constructor(setup: UnixDeviceServerSetup) {
    this.#setup = setup;
  }

  /** Connects once a device server listens on the device's path. */
  async open(name: string, queueCount: number, events: SessionEvents): Promise<ServerSession> {
    const device = name.replace('/', '-');
    const path = this.#setup.socketPath.replaceAll('{device}', device);
    const attempt = () => connectUnix(path).catch(() => undefined);
    const connection = await retryOnChange(path, attempt, this.#setup.signal);
    if (connection === undefined) throw new PeerDiedError(path);
    const session = new UnixSession(connection, queueCount, events, this.#setup, { path, device });
    try {
      await session.frontend.connect(queueCount);
      await session.showDisplay();
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }
}

interface Waiting {
  resolve(message: RawMessage<unknown>): void;
  reject(error: Error): void;
}

/** Something to give back with the session. */
type Release = () => void;

class UnixSession implements ServerSession {
  readonly frontend: FrontendSession<ServerHandle>;
  readonly kicks: readonly NotifyHandle[];
  readonly #setup: UnixDeviceServerSetup;
  readonly #names: { path: string; device: string };
  readonly #socket: VhostUserSocket;
  readonly #waiting: Waiting[] = [];
  readonly #kickFds: OwnedFd[] = [];
  /** By handle: one eventfd, however often the rings start. */
  readonly #calls = new Map<string, OwnedFd>();
  readonly #memory = new Map<string, OwnedFd>();
  readonly #releases: Release[] = [];
  #open = true;

  constructor(
    connection: OwnedFd,
    queueCount: number,
    events: SessionEvents,
    setup: UnixDeviceServerSetup,
    names: { path: string; device: string },
  ) {
    this.#setup = setup;
    this.#names = names;
    for (let index = 0; index < queueCount; index++) this.#kickFds.push(this.#own(makeEventFd()));
    const bound = setup.doorbell.bind((index) => this.#open && signalEventFd(this.#kickFds[index]!.fd), queueCount);
    this.#releases.push(() => bound.release());
    const { bell, bit } = bound.handle;
    this.kicks = this.#kickFds.map((_, index) => ({ bell, bit: bit + index }));
    this.#socket = new VhostUserSocket(connection, {
      // Replies only: the back-end is given no channel for requests of its own.
      onMessage: (message) => {
        setup.probe.at(POINT['vhost-user.reply'], requestName(message.request));
        for (const handle of message.handles) handle.close();
        this.#waiting.shift()?.resolve({ ...message, handles: [] });
      },
      onEnd: (reason) => {
        setup.log.warn({ socket: names.path }, `the device server's connection ended: ${reason}`);
        this.#end();
        events.onLost();
      },
    });
    const channel: FrontendChannel<OwnedFd> = { exchange: (message, answered) => this.#exchange(message, answered) };
    this.frontend = new FrontendSession(channel) as FrontendSession<ServerHandle>;
  }

  /** A GPU answers nothing that needs a display until it has one. */
  async showDisplay(): Promise<void> {
    const { frames, log } = this.#setup;
    const files = frames === undefined ? undefined : { dir: frames, name: this.#names.device };
    const display = openDisplay(files, log);
    this.#releases.push(() => display.close());
    await this.frontend.setDisplay(display.theirs);
    display.theirs.close(); // or the server's end would never be seen to close
  }

  memoryHandle({ path }: FileHandle): OwnedFd {
    let fd = this.#memory.get(path);
    if (fd === undefined) {
      fd = this.#own(new OwnedFd(openSync(join(this.#setup.runDir, path), 'r+')));
      this.#memory.set(path, fd);
    }
    return fd;
  }

  bellHandle(handle: NotifyHandle): OwnedFd {
    const kick = this.kicks.findIndex(({ bell, bit }) => bell === handle.bell && bit === handle.bit);
    if (kick >= 0) return this.#kickFds[kick]!;
    const key = `${handle.bell}:${handle.bit}`;
    const known = this.#calls.get(key);
    if (known !== undefined) return known;
    const fd = makeEventFd();
    const notifier = this.#setup.doorbell.open(handle);
    const listener = listenEventFd(fd.fd, () => notifier.signal());
    this.#releases.push(() => {
      listener.close();
      notifier.close();
      fd.close();
    });
    this.#calls.set(key, fd);
    return fd;
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#socket.close();
    this.#end();
  }

  #own(fd: OwnedFd): OwnedFd {
    this.#releases.push(() => fd.close());
    return fd;
  }

  #exchange(message: RawMessage<OwnedFd>, answered: boolean): Promise<RawMessage<unknown> | undefined> {
    if (!this.#open) return Promise.reject(new PeerDiedError(this.#names.path));
    const answer = answered
      ? new Promise<RawMessage<unknown>>((resolve, reject) => this.#waiting.push({ resolve, reject }))
      : Promise.resolve(undefined);
    const name = requestName(message.request);
    this.#setup.probe.at(POINT['vhost-user.request'], name);
    this.#socket.send(message);
    return answer;
  }

  #end(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const { reject } of this.#waiting.splice(0)) reject(new PeerDiedError(this.#names.path));
    for (const release of this.#releases.splice(0).reverse()) release();
  }
}
