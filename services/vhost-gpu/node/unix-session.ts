// One vhost-user connection over a unix socket: a device, its backend state machine, and what handles are here (file
// descriptors: memory files, eventfds, the display socket). Leaves listening to unix-server.ts.
import { ErrnoError, errorMessage, ProtocolError } from '../../../lib/core/errors.js';
import type { Held } from '../../../lib/core/proto-types.js';
import { VIRTIO_GPU_MAX_SCANOUTS } from '../../../lib/layout/virtio-gpu.js';
import { featureBits, VIRTIO_F_RING_RESET } from '../../../lib/layout/virtio-ring.js';
import { LibcError, mapFile } from '../../../lib/node/files/libc.js';
import { listenEventFd, type OwnedFd, setNonBlocking, signalEventFd } from '../../../lib/node/files/unix-fds.js';
import { VhostUserSocket } from '../../../lib/node/files/vhost-user-socket.js';
import { POINT } from '../../../lib/trace/points.js';
import { BackendSession } from '../../../lib/vhost-user/backend-session.js';
import type { RawMessage } from '../../../lib/vhost-user/messages.js';
import { requestName } from '../../../lib/vhost-user/names.js';
import { type BackendTransport, GpuBackend } from '../backend.js';
import { GpuDevice, type GpuDeviceSetup } from '../device.js';
import { type DisplaySocket, openDisplaySocket } from './display-socket.js';

/**
 * RING_RESET asks nothing of a vhost-user back-end, which sees a ring stop and start; but QEMU's PCI transport sends the
 * bit back whether it was offered or not, and a session refuses what it did not offer.
 */
const TRANSPORT_FEATURES = featureBits(VIRTIO_F_RING_RESET);

export class UnixSession {
  readonly name: string;
  readonly device: GpuDevice;
  readonly #setup: GpuDeviceSetup;
  readonly #backend: GpuBackend<OwnedFd>;
  readonly #session: BackendSession<OwnedFd>;
  readonly #socket: VhostUserSocket;
  readonly #onClose: (reason: string) => void;
  #display: DisplaySocket | undefined;
  #closed = false;

  /** Takes over `fd`. `onClose` runs once, after everything was given back. */
  constructor(setup: GpuDeviceSetup, fd: OwnedFd, onClose: (reason: string) => void) {
    this.name = setup.name;
    this.#setup = setup;
    this.#onClose = onClose;
    // How many scanouts there are is the front-end's to say: QEMU puts its own number into the config space.
    const displays = Array.from({ length: VIRTIO_GPU_MAX_SCANOUTS }, (_, index) => setup.displays[index]);
    this.device = new GpuDevice({ ...setup, displays });
    const more = { features: TRANSPORT_FEATURES, protocolFeatures: 0n };
    this.#backend = new GpuBackend(this.device, this.#transport(), more);
    this.#session = new BackendSession(this.#backend);
    this.#socket = new VhostUserSocket(fd, {
      onMessage: (message) => this.#onMessage(message),
      onEnd: (reason) => this.close(reason),
    });
    setup.probe.at(POINT['session.take'], setup.name);
  }

  #transport(): BackendTransport<OwnedFd> {
    return {
      map: (handle, size) => {
        // A file shorter than its region would be a SIGBUS at the first access past its end.
        if (handle.size < size)
          throw new ErrnoError('EINVAL', `memory file has ${handle.size} bytes, ${size} announced`);
        try {
          const raw = mapFile(handle.fd, size, true);
          return { bytes: new Uint8Array(raw.buffer), close: () => raw.unmap() };
        } catch (error) {
          throw new ErrnoError('EINVAL', `memory file: ${errorMessage(error)}`, { cause: error });
        }
      },
      notifier: (handle) => {
        setNonBlocking(handle.fd);
        const own = handle.duplicate();
        return { signal: () => signalEventFd(own.fd), close: () => own.close() };
      },
      listen: (handle, onKick) => listenEventFd(handle.fd, onKick),
      release: (handle) => handle.close(),
      setBackendChannel: (handle) => handle.close(),
      setDisplay: (handle) => this.#setDisplay(handle),
      ringFailed: () => {}, // the ring's error eventfd says it
    };
  }

  /** Another display takes the place of the old one, which a front-end that resets its device does not close first. */
  #setDisplay(fd: OwnedFd): void {
    this.#display?.close();
    const { log, clock } = this.#setup;
    this.#display = openDisplaySocket(fd, clock, (reason) => {
      log.info({ device: this.name }, `display gone: ${reason}`);
      this.device.setViewer(undefined);
    });
    this.device.setViewer(this.#display.link);
  }

  #onMessage(message: RawMessage<OwnedFd>): void {
    const { probe, log } = this.#setup;
    probe.at(POINT['vhost-user.serve'], requestName(message.request));
    try {
      const reply = this.#session.handle(message);
      if (reply === undefined) return;
      probe.at(POINT['vhost-user.answer'], requestName(message.request));
      this.#socket.send(reply);
    } catch (error) {
      if (!(error instanceof ProtocolError || error instanceof ErrnoError || error instanceof LibcError)) throw error;
      log.error({ device: this.name, request: message.request }, `vhost-user: ${error.message}`);
      this.close(error.message);
    }
  }

  /** Throws EOPNOTSUPP: the front-end owns displays and config here (QEMU's has no handler for CONFIG_CHANGE_MSG). */
  resize(): void {
    throw new ErrnoError('EOPNOTSUPP', `the displays of ${this.name} are its front-end's`);
  }

  held(): Held[] {
    return [
      { kind: 'session', name: this.name },
      ...Array.from({ length: this.#backend.mappingCount }, () => ({ kind: 'mapping', name: this.name })),
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
    this.#setup.probe.at(POINT['session.give'], this.name);
    this.#onClose(reason);
  }
}
