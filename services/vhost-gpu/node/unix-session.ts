// One vhost-user connection over a unix socket: a device, its backend state machine, and what handles are here (file
// descriptors: memory files, eventfds, the display socket). Leaves listening to unix-server.ts.
import { errnoName } from '../../../lib/core/errno.js';
import { ErrnoError, errorMessage, ProtocolError } from '../../../lib/core/errors.js';
import type { Held } from '../../../lib/core/proto-types.js';
import { VHOST_F_LOG_ALL, VHOST_USER_PROTOCOL_F } from '../../../lib/layout/vhost-user.js';
import { featureBits, VIRTIO_F_RING_RESET } from '../../../lib/layout/virtio-ring.js';
import { listenEventFd, setNonBlocking, signalEventFd } from '../../../lib/node/files/event-fds.js';
import { LibcError, mapFile } from '../../../lib/node/files/libc.js';
import { memoryFile, type OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { checkKick, checkMemory, checkSignal, checkStream } from '../../../lib/node/files/peer-fds.js';
import { VhostUserSocket } from '../../../lib/node/files/vhost-user-socket.js';
import { POINT } from '../../../lib/trace/points.js';
import { BackendSession } from '../../../lib/vhost-user/backend-session.js';
import { encodeBackendRequest, type RawMessage } from '../../../lib/vhost-user/messages.js';
import { requestName } from '../../../lib/vhost-user/names.js';
import { type BackendTransport, GpuBackend } from '../backend.js';
import { GpuDevice, type GpuDeviceSetup } from '../device.js';
import type { DisplaySize } from '../display.js';
import { type DisplaySocket, openDisplaySocket } from './display-socket.js';
import type { DomainGrants } from './domain-grants.js';

/**
 * RING_RESET asks nothing of a vhost-user back-end, which sees a ring stop and start; but QEMU's PCI transport sends the
 * bit back whether it was offered or not, and a session refuses what it did not offer.
 */
const TRANSPORT_FEATURES = featureBits(VIRTIO_F_RING_RESET, VHOST_F_LOG_ALL);
/** What descriptors make possible beside what every session can. */
const PROTOCOL_FEATURES = featureBits(
  VHOST_USER_PROTOCOL_F.BACKEND_REQ,
  VHOST_USER_PROTOCOL_F.INFLIGHT_SHMFD,
  VHOST_USER_PROTOCOL_F.LOG_SHMFD,
  VHOST_USER_PROTOCOL_F.STATUS,
  VHOST_USER_PROTOCOL_F.XEN_MMAP,
);

export class UnixSession {
  readonly name: string;
  readonly device: GpuDevice;
  readonly #setup: GpuDeviceSetup;
  readonly #grants: DomainGrants;
  readonly #backend: GpuBackend<OwnedFd>;
  readonly #session: BackendSession<OwnedFd>;
  readonly #socket: VhostUserSocket;
  readonly #onClose: (reason: string) => void;
  #display: DisplaySocket | undefined;
  /** Where requests of our own go. */
  #channel: VhostUserSocket | undefined;
  #closed = false;

  /** Takes over `fd`. `onClose` runs once, after everything was given back. */
  constructor(setup: GpuDeviceSetup, grants: DomainGrants, fd: OwnedFd, onClose: (reason: string) => void) {
    this.#grants = grants;
    this.name = setup.name;
    this.#setup = setup;
    this.#onClose = onClose;
    this.device = new GpuDevice(setup);
    const more = { features: TRANSPORT_FEATURES, protocolFeatures: PROTOCOL_FEATURES };
    this.#backend = new GpuBackend(this.device, this.#transport(), setup.clock, more);
    this.#session = new BackendSession(this.#backend);
    this.#socket = new VhostUserSocket(fd.recordedAs('connection', setup.probe), {
      onMessage: (message) => this.#onMessage(message),
      onEnd: (reason) => this.close(reason),
    });
    setup.probe.at(POINT['session.take'], setup.name);
  }

  #transport(): BackendTransport<OwnedFd> {
    return {
      check: (use, handle) => {
        if (use === 'kick') checkKick(handle);
        else if (use === 'call' || use === 'error') checkSignal(handle, use);
        else checkStream(handle, use);
      },
      // A file shorter than its region would be a SIGBUS at the first access past its end. One that shrinks later still
      // is: of this process, which serves no other front-end (docs/gpu-server.md).
      checkMemory,
      map: (handle, offset, size) => {
        const raw = ofPeer(() => mapFile(handle.fd, size, true, offset));
        return { bytes: new Uint8Array(raw.buffer), close: () => raw.unmap() };
      },
      notifier: (handle) => {
        checkSignal(handle, 'a call');
        ofPeer(() => setNonBlocking(handle.fd));
        return { signal: () => this.#signal(handle), close: () => {} };
      },
      listen: (handle, onKick) => ofPeer(() => listenEventFd(handle.fd, onKick)),
      grants: (handle) => this.#grants.of(handle),
      release: (handle) => {
        this.#grants.release(handle);
        handle.close();
      },
      makeFile: (size) => ofPeer(() => memoryFile('inflight', size)),
      setBackendChannel: (handle) => this.#setBackendChannel(handle),
      setDisplay: (handle) => this.#setDisplay(handle),
      ringFailed: () => {}, // the ring's error eventfd says it
    };
  }

  /** Whatever fails on a descriptor of the front-end ends its session, and nothing else. */
  #signal(handle: OwnedFd): void {
    try {
      signalEventFd(handle.fd);
    } catch (error) {
      // Not at once: a queue is in the middle of its work.
      setImmediate(() => this.close(`its call descriptor: ${errorMessage(error)}`));
    }
  }

  /** Only ours to speak on: answers are not asked for. */
  #setBackendChannel(fd: OwnedFd): void {
    this.#channel?.close();
    const channel = new VhostUserSocket(fd, {
      onMessage: ({ handles }) => {
        for (const handle of handles) handle.close();
      },
      onEnd: () => {
        if (this.#channel === channel) this.#channel = undefined;
      },
    });
    this.#channel = channel;
  }

  /** Another display takes the place of the old one, which a front-end that resets its device does not close first. */
  #setDisplay(fd: OwnedFd): void {
    const { log } = this.#setup;
    const display = ofPeer(() =>
      openDisplaySocket(fd, this.#setup, {
        onEnd: (reason) => {
          log.info({ device: this.name }, `display gone: ${reason}`);
          this.#display = undefined;
          this.device.setViewer(undefined);
        },
        onSlow: (what) => log.debug({ device: this.name }, `display: ${what}`),
      }),
    );
    this.#display?.close();
    this.#display = display;
    this.device.setViewer(display.link);
  }

  #onMessage(message: RawMessage<OwnedFd>): void {
    const { probe } = this.#setup;
    const name = requestName(message.request);
    for (const handle of message.handles) handle.recordedAs(name, probe);
    probe.at(POINT['vhost-user.serve'], name);
    const prepared = this.#grants.prepare(message);
    if (prepared === undefined) this.#handle(message);
    else {
      this.#socket.pause();
      void prepared.then(() => this.#prepared(message));
    }
  }

  /** Messages that came after it wait. */
  #prepared(message: RawMessage<OwnedFd>): void {
    if (!this.#closed) {
      this.#handle(message);
      this.#socket.resume();
      return;
    }
    for (const handle of message.handles) {
      this.#grants.release(handle);
      handle.close();
    }
  }

  #handle(message: RawMessage<OwnedFd>): void {
    const { probe, log } = this.#setup;
    const name = requestName(message.request);
    try {
      const reply = this.#session.handle(message);
      if (reply === undefined) return;
      probe.at(POINT['vhost-user.answer'], name);
      this.#socket.send(reply);
      for (const handle of reply.handles) handle.close();
    } catch (error) {
      if (!(error instanceof ProtocolError || error instanceof ErrnoError)) throw error;
      log.error({ device: this.name, request: message.request }, `vhost-user: ${error.message}`);
      this.close(error.message);
    }
  }

  /** Throws EOPNOTSUPP where the front-end listens to nothing of ours: displays and config are its own then. */
  resize(scanout: number, size: DisplaySize | undefined): void {
    if (this.#channel === undefined)
      throw new ErrnoError('EOPNOTSUPP', `the displays of ${this.name} are its front-end's`);
    if (!this.device.displays.set(scanout, size)) return;
    this.#channel.send(encodeBackendRequest<'CONFIG_CHANGE_MSG', OwnedFd>('CONFIG_CHANGE_MSG', {}));
  }

  held(): Held[] {
    const several = (kind: string, count: number) => Array.from({ length: count }, () => ({ kind, name: this.name }));
    const others = [this.#display, this.#channel].filter((one) => one !== undefined);
    const descriptors = 1 + this.#session.handleCount + others.length;
    return [
      { kind: 'session', name: this.name },
      ...several('mapping', this.#backend.mappingCount),
      ...several('descriptor', descriptors),
      ...[...this.device.resources.all()].map(({ id }) => ({ kind: 'resource', name: `${this.name} ${id}` })),
    ];
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
    this.#session.close();
    this.device.setViewer(undefined);
    this.#display?.close();
    this.#channel?.close();
    this.#setup.probe.at(POINT['session.give'], this.name);
    this.#onClose(reason);
  }
}

/** What the C library refuses to do with a descriptor of the peer, or for lack of descriptors, is that peer's failure. */
function ofPeer<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw new ErrnoError(errnoName(error.errno), error.message, { cause: error });
  }
}
