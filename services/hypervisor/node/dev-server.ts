// The devices of dom0 for programs with the preloaded library (native/, docs/dom0-programs.md): a unix socket on which each
// connection is one open file of a device, or the calls of one process. Leaves frames to frame-socket.ts, calls to
// dev-connection.ts, and what the devices do to services/hypervisor/dev.
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { ErrnoError, isOurBug } from '../../../lib/core/errors.js';
import { DEV_CONNECTIONS_MAX } from '../../../lib/core/limits.js';
import type { ServiceContext } from '../../../lib/core/service.js';
import { DEV_DEVICE, DEV_FRAME } from '../../../lib/layout/ours/dev-wire.js';
import type { OwnedFd } from '../../../lib/node/files/owned-fd.js';
import { openHandle } from '../../../lib/node/files/shm.js';
import { listenUnix } from '../../../lib/node/files/unix-fds.js';
import { runPaths } from '../../../lib/node/process/run-dir.js';
import type { DeviceFile } from '../dev/device.js';
import { EvtchnDevice } from '../dev/evtchn-device.js';
import { GntdevDevice } from '../dev/gntdev-device.js';
import { HypercallDevice } from '../dev/hypercall-device.js';
import { type DeviceEnvironment, PrivcmdDevice, unsupportedOnce } from '../dev/privcmd-device.js';
import type { Domain } from '../domain/domain.js';
import type { Host } from '../host.js';
import type { KernelHalf } from '../kernel/kernel-half.js';
import { DevConnection } from './dev-connection.js';
import { type Frame, FrameSocket } from './frame-socket.js';

interface OpenFile {
  readonly domain: Domain;
  readonly device: DeviceFile;
}

export class DevServer {
  readonly #context: ServiceContext;
  readonly #host: Host;
  readonly #kernel: KernelHalf;
  readonly #env: DeviceEnvironment;
  readonly #files = new Map<bigint, OpenFile>();
  readonly #sockets = new Set<FrameSocket>();
  readonly #closers = new Map<FrameSocket, () => void>();

  constructor(context: ServiceContext, host: Host, kernel: KernelHalf) {
    this.#context = context;
    this.#host = host;
    this.#kernel = kernel;
    this.#env = { host, kernel, unsupported: unsupportedOnce(context.log) };
  }

  async listen(): Promise<void> {
    const path = runPaths.devices(this.#context.runDir);
    rmSync(path, { force: true });
    const { log } = this.#context;
    const listener = await listenUnix(path, {
      onConnection: (fd) => this.#accept(fd),
      onRefused: (error) => log.warn({ error: error.message }, 'a program could not connect'),
    });
    this.#context.own('devices of dom0', async () => {
      for (const socket of [...this.#sockets]) this.#close(socket);
      await listener.close();
      // Built for this host's programs (lab/preload.ts).
      rmSync(runPaths.preload(this.#context.runDir), { force: true });
    });
  }

  #accept(fd: OwnedFd): void {
    if (this.#sockets.size >= DEV_CONNECTIONS_MAX) {
      fd.close();
      return;
    }
    let connection: DevConnection | undefined;
    let file: DeviceFile | undefined;
    const socket: FrameSocket = new FrameSocket(fd, {
      onFrame: (frame) => {
        if (connection !== undefined) connection.onFrame(frame);
        else [connection, file] = this.#opened(socket, frame);
      },
      onBytes: (bytes) => file?.written(bytes),
      onEnd: () => this.#close(socket),
    });
    this.#sockets.add(socket);
  }

  /** The first frame of a connection: which device, and for which domain. */
  #opened(socket: FrameSocket, frame: Frame): [DevConnection | undefined, DeviceFile | undefined] {
    for (const fd of frame.fds) fd.close();
    try {
      if (frame.kind !== DEV_FRAME.OPEN) throw new ErrnoError('EINVAL', 'no OPEN');
      const domain = this.#host.domains.byToken(new TextDecoder().decode(frame.payload));
      if (domain === undefined) throw new ErrnoError('EACCES', 'no token of a domain here');
      if (domain !== this.#host.dom0) throw new ErrnoError('EPERM', 'dom0 only');
      const id = randomBytes(8).readBigUInt64LE();
      const answer = { kind: DEV_FRAME.DONE, a: id };
      if (frame.a === BigInt(DEV_DEVICE.CONTROL)) {
        const connection = this.#connection(domain, socket);
        this.#closers.set(socket, () => {
          connection.end();
          this.#kernel.processEnded(connection);
        });
        socket.sendFrame(answer);
        return [connection, undefined];
      }
      const device = this.#device(Number(frame.a), id, socket);
      this.#files.set(id, { domain, device });
      this.#closers.set(socket, () => {
        this.#files.delete(id);
        device.close();
      });
      socket.streams();
      socket.sendFrame(answer);
      return [undefined, device];
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      socket.sendFrame({ kind: DEV_FRAME.DONE, result: -error.errno });
      return [undefined, undefined];
    }
  }

  #connection(domain: Domain, socket: FrameSocket): DevConnection {
    return new DevConnection(domain, socket, {
      file: (id) => {
        // The kernel would have seen a write or a close that went before this call.
        for (const each of [...this.#sockets]) if (each !== socket) each.poll();
        const found = this.#files.get(id);
        return found?.domain === domain ? found.device : undefined;
      },
      open: (handle) => openHandle(this.#context.runDir, handle),
      onFailure: (error) => {
        if (isOurBug(error))
          setImmediate(() => {
            throw error;
          });
      },
    });
  }

  #device(number: number, id: bigint, socket: FrameSocket): DeviceFile {
    switch (number) {
      case DEV_DEVICE.EVTCHN:
        return new EvtchnDevice(this.#kernel, (bytes) => socket.send(bytes));
      case DEV_DEVICE.PRIVCMD:
        return new PrivcmdDevice(this.#env, id);
      case DEV_DEVICE.GNTDEV:
        return new GntdevDevice(this.#env);
      case DEV_DEVICE.HYPERCALL:
        return new HypercallDevice();
      default:
        throw new ErrnoError('ENXIO', `no device ${number}`);
    }
  }

  #close(socket: FrameSocket): void {
    if (!this.#sockets.delete(socket)) return;
    socket.close();
    const closer = this.#closers.get(socket);
    this.#closers.delete(socket);
    closer?.();
  }
}
