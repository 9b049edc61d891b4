// Foreign vhost-user servers on unix sockets: a connection each device, memory and eventfds as descriptors. The doorbells
// of a lab and eventfds are joined here: a kick rings a bit of ours, which writes the eventfd; a call read from its eventfd
// rings the event channel's handle. Leaves framing to lib/node/files/vhost-user-socket.ts.
import { openSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '../../../lib/core/clock.js';
import { DEADLINE_MS } from '../../../lib/core/deadlines.js';
import { PeerDiedError } from '../../../lib/core/errors.js';
import type { Log } from '../../../lib/core/log.js';
import type { NotWanted } from '../../../lib/core/not-wanted.js';
import type { Doorbell, NotifyHandle } from '../../../lib/core/notify.js';
import type { Point, Probe } from '../../../lib/core/probe.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import { listenEventFd, makeEventFd, signalEventFd } from '../../../lib/node/files/event-fds.js';
import { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { connectUnix } from '../../../lib/node/files/unix-fds.js';
import { VhostUserSocket } from '../../../lib/node/files/vhost-user-socket.js';
import { retryOnChange } from '../../../lib/node/process/wait.js';
import { type DeviceName, parseDevice } from '../../../lib/trace/devices.js';
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
  readonly clock: Clock;
  /** Aborts when the process ends. */
  readonly signal: AbortSignal;
}

/** A server that ends each connection soon after it was made is dialled again after twice the time each time. */
const BACK_OFF_MS_MIN = 50;
const BACK_OFF_MS_MAX = 5000;
/** A connection that lasted so long was none of those. */
const BACK_OFF_OVER_MS = 10_000;

/** The connections to one path: how long to wait before the next, and whether to speak of its end. */
class Dialling {
  #waitMs = 0;
  #startedNs = 0n;
  #shortCount = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the next connection may be made, or `signal` aborts. */
  async turn(signal: AbortSignal): Promise<void> {
    if (this.#waitMs > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const end = (): void => {
          timer.cancel();
          signal.removeEventListener('abort', end);
          resolve();
        };
        const timer = this.#clock.after(this.#waitMs, end);
        signal.addEventListener('abort', end);
      });
    }
    this.#startedNs = this.#clock.nowNs();
  }

  /** The server ended a connection: whether that is worth a line. The second one in a row says that no more lines follow. */
  lost(): 'once' | 'again' | 'silent' {
    const lastedMs = Number((this.#clock.nowNs() - this.#startedNs) / 1_000_000n);
    if (lastedMs >= BACK_OFF_OVER_MS) {
      this.#waitMs = 0;
      this.#shortCount = 0;
    } else {
      this.#waitMs = Math.min(BACK_OFF_MS_MAX, Math.max(BACK_OFF_MS_MIN, this.#waitMs * 2));
    }
    this.#shortCount++;
    return this.#shortCount === 1 ? 'once' : this.#shortCount === 2 ? 'again' : 'silent';
  }
}

export class UnixDeviceServer implements DeviceServer {
  readonly #setup: UnixDeviceServerSetup;
  readonly #dialling = new Map<string, Dialling>();

  constructor(setup: UnixDeviceServerSetup) {
    this.#setup = setup;
  }

  /** Connects once a device server listens on the device's path. */
  async open(name: string, queueCount: number, events: SessionEvents, notWanted: NotWanted): Promise<ServerSession> {
    const device = name.replace('/', '-');
    const path = this.#setup.socketPath.replaceAll('{device}', device);
    const { clock } = this.#setup;
    const givenUp = new AbortController();
    notWanted.listen((reason) => givenUp.abort(reason));
    const signal = AbortSignal.any([this.#setup.signal, givenUp.signal]);
    let dialling = this.#dialling.get(path);
    if (dialling === undefined) {
      dialling = new Dialling(clock);
      this.#dialling.set(path, dialling);
    }
    await dialling.turn(signal);
    const attempt = () => connectUnix(path).catch(() => undefined);
    const connection = await retryOnChange(path, attempt, signal);
    if (connection === undefined) {
      if (notWanted.reason !== undefined) throw notWanted.reason;
      throw new PeerDiedError(path);
    }
    const names = { path, device, of: parseDevice(name), dialling };
    const session = new UnixSession(connection, queueCount, events, this.#setup, names);
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

interface SessionNames {
  readonly path: string;
  readonly device: string;
  /** Which it is, for the record. */
  readonly of: DeviceName | undefined;
  readonly dialling: Dialling;
}

/** Something to give back with the session. */
type Release = () => void;

class UnixSession implements ServerSession {
  readonly frontend: FrontendSession<ServerHandle>;
  readonly kicks: readonly NotifyHandle[];
  readonly #setup: UnixDeviceServerSetup;
  readonly #names: SessionNames;
  readonly #events: SessionEvents;
  readonly #socket: VhostUserSocket;
  readonly #waiting: Waiting[] = [];
  readonly #kickFds: OwnedFd[] = [];
  /** By handle: one eventfd, however often the rings start. */
  readonly #calls = new Map<string, OwnedFd>();
  readonly #memory = new Map<string, OwnedFd>();
  readonly #releases: Release[] = [];
  #open = true;
  /** Of the oldest question that waits. */
  #deadline: Timer | undefined;

  constructor(
    connection: OwnedFd,
    queueCount: number,
    events: SessionEvents,
    setup: UnixDeviceServerSetup,
    names: SessionNames,
  ) {
    this.#setup = setup;
    this.#names = names;
    this.#events = events;
    for (let index = 0; index < queueCount; index++) this.#kickFds.push(this.#own('kick', makeEventFd()));
    const bound = setup.doorbell.bind((index) => this.#open && signalEventFd(this.#kickFds[index]!.fd), queueCount);
    this.#releases.push(() => bound.release());
    const { bell, bit } = bound.handle;
    this.kicks = this.#kickFds.map((_, index) => ({ bell, bit: bit + index }));
    this.#socket = new VhostUserSocket(connection.recordedAs('connection', setup.probe), {
      // Replies only: the back-end is given no channel for requests of its own.
      onMessage: (message) => {
        this.#record(POINT['vhost-user.reply'], requestName(message.request));
        for (const handle of message.handles) handle.close();
        const waiting = this.#waiting.shift();
        this.#deadline?.cancel();
        this.#deadline = undefined;
        if (waiting === undefined) return this.#lose('an answer to no question');
        this.#watchAnswer();
        return waiting.resolve({ ...message, handles: [] });
      },
      onEnd: (reason) => this.#lose(reason),
    });
    const channel: FrontendChannel<OwnedFd> = { exchange: (message, answered) => this.#exchange(message, answered) };
    this.frontend = new FrontendSession(channel) as FrontendSession<ServerHandle>;
  }

  /** A GPU answers nothing that needs a display until it has one. */
  async showDisplay(): Promise<void> {
    const { frames } = this.#setup;
    const files = frames === undefined ? undefined : { dir: frames, name: this.#names.device };
    const display = openDisplay(files, this.#setup);
    this.#releases.push(() => display.close());
    await this.frontend.setDisplay(display.theirs);
    display.theirs.close(); // or the server's end would never be seen to close
  }

  memoryHandle({ path }: FileHandle): OwnedFd {
    let fd = this.#memory.get(path);
    if (fd === undefined) {
      fd = this.#own('memory', new OwnedFd(openSync(join(this.#setup.runDir, path), 'r+')));
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
    const fd = makeEventFd().recordedAs('call', this.#setup.probe);
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

  #own(what: string, fd: OwnedFd): OwnedFd {
    fd.recordedAs(what, this.#setup.probe);
    this.#releases.push(() => fd.close());
    return fd;
  }

  #exchange(message: RawMessage<OwnedFd>, answered: boolean): Promise<RawMessage<unknown> | undefined> {
    if (!this.#open) return Promise.reject(new PeerDiedError(this.#names.path));
    const answer = answered
      ? new Promise<RawMessage<unknown>>((resolve, reject) => this.#waiting.push({ resolve, reject }))
      : Promise.resolve(undefined);
    const name = requestName(message.request);
    this.#record(POINT['vhost-user.request'], name);
    this.#watchAnswer();
    this.#socket.send(message);
    return answer;
  }

  #record(point: Point, request: string): void {
    const { of } = this.#names;
    this.#setup.probe.at(point, request, 0, of?.devid, of?.domid);
  }

  /** A server that stands still holds up the guest's accesses and its device's removal: it is waited for so long. */
  #watchAnswer(): void {
    if (this.#waiting.length === 0) return;
    this.#deadline ??= this.#setup.clock.after(DEADLINE_MS.foreignServerAnswer, () =>
      this.#lose(`no answer within ${DEADLINE_MS.foreignServerAnswer} ms`),
    );
  }

  /** The server ended, or is given up. */
  #lose(reason: string): void {
    if (!this.#open) return;
    const { path, dialling } = this.#names;
    const more = dialling.lost();
    const { log } = this.#setup;
    if (more !== 'silent') log.warn({ socket: path }, `the device server's connection ended: ${reason}`);
    if (more === 'again') log.warn({ socket: path }, 'it is tried again, less and less often, without another word');
    this.#socket.close();
    this.#end();
    this.#events.onLost();
  }

  #end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#deadline?.cancel();
    for (const { reject } of this.#waiting.splice(0)) reject(new PeerDiedError(this.#names.path));
    for (const release of this.#releases.splice(0).reverse()) release();
  }
}
