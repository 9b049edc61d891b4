// vhost-gpu as a process: a session for each device of a guest, what they show, and what they hold. Every peer is dom0's:
// guests reach their device through their queues only.
import { randomUUID } from 'node:crypto';
import { isAbsolute } from 'node:path';
import type { Peer } from '../../lib/core/bus.js';
import { ErrnoError, errorMessage } from '../../lib/core/errors.js';
import { NO_DOMAIN, probeOfDomain } from '../../lib/core/probe.js';
import type { Held, ScreenshotRequest, VhostUserOpen } from '../../lib/core/proto-types.js';
import type { ServiceContext } from '../../lib/core/service.js';
import { DEV_DEVICE } from '../../lib/layout/ours/dev-wire.js';
import { VIRTIO_GPU_QUEUE_COUNT } from '../../lib/layout/virtio-gpu.js';
import { pageAlignedBytes } from '../../lib/node/files/libc.js';
import type { OwnedFd } from '../../lib/node/files/owned-fd.js';
import { checkLabDevice } from '../../lib/node/files/peer-fds.js';
import { writePng } from '../../lib/node/files/png.js';
import { dom0Only } from '../../lib/node/process/control.js';
import { runPaths } from '../../lib/node/process/run-dir.js';
import type { CommonOptions } from '../../lib/node/process/service.js';
import { parseDevice } from '../../lib/trace/devices.js';
import { BusSession } from './bus-session.js';
import type { GpuDevice, GpuDeviceSetup } from './device.js';
import { DISPLAY_PIXELS_MAX, type DisplaySize, validSize } from './display.js';
import { DomainGrants } from './node/domain-grants.js';
import { FrontEnds } from './node/front-ends.js';
import { inheritedConnection, listenOn } from './node/unix-server.js';
import { UnixSession } from './node/unix-session.js';
import { pictureOf } from './pixels.js';
import type { Scanout } from './scanouts.js';
import { Watchers } from './watchers.js';

export interface VhostGpuOptions {
  /** Of several servers of one lab. */
  readonly name?: string;
  /** Of each device, one a scanout. */
  readonly displays: readonly DisplaySize[];
  /** Host memory for the resources of one device, in MiB. */
  readonly maxHostmem: number;
  /** Listen there too, for front-ends that are no part of the lab; each gets a process of its own. */
  readonly socketPath?: string;
  /** Serve this one connection too, and end with it. */
  readonly fd?: number;
  /** That connection came to a process that listens, whose child this is: its slot there. */
  readonly frontEnd?: number;
}

/** A device and the session that a front-end has with it, over the bus or a unix socket. */
interface DeviceSession {
  readonly name: string;
  readonly device: GpuDevice;
  /** Plugs in, resizes or (undefined) unplugs a display, and tells the guest. */
  resize(scanout: number, size: DisplaySize | undefined): void;
  held(): Held[];
  close(reason: string): void;
}

type StartOptions = VhostGpuOptions & CommonOptions;

const DEVICE_NAME = /^[\x21-\x7e]{1,64}$/;

/** What the processes of front-ends are started with. */
function commandLine({ runDir }: ServiceContext, { displays, maxHostmem, ...common }: StartOptions): string[] {
  const sizes = displays.map(({ width, height }) => `${width}x${height}`).join();
  const { notify, logLevel, pollUs, history } = common;
  const own = ['--run-dir', runDir, '--displays', sizes, '--max-hostmem', String(maxHostmem)];
  const poll = pollUs === undefined ? [] : ['--poll-us', String(pollUs)];
  return [...own, '--notify', notify, '--log-level', logLevel, ...poll, '--history', history];
}

export async function start(context: ServiceContext, options: StartOptions): Promise<void> {
  const { log, probe, clock, doorbell, shared } = context;
  const devices = new Map<string, DeviceSession>();
  const sessions = new Map<number, BusSession>();
  let lastSession = 0;
  const devicesPath = runPaths.devices(context.runDir);
  const watchers = new Watchers(clock, setImmediate);

  // This server knows of no domains. vhost-frontend begins a device's name with one, which lets a reader of this process's history
  // tell devices apart once the session's beginning is overwritten (lib/trace/devices.ts).
  const setupOf = (name: string): GpuDeviceSetup => ({
    name,
    log,
    probe: probeOfDomain(probe, parseDevice(name)?.domid ?? NO_DOMAIN),
    clock,
    defer: setImmediate,
    makeUuid: () => Buffer.from(randomUUID().replaceAll('-', ''), 'hex'),
    displays: options.displays,
    hostBytesMax: options.maxHostmem << 20,
    allocate: pageAlignedBytes,
    onFlush: (scanout) => watchers.flushed(name, scanout),
  });
  const open = ({ name, queue_count }: VhostUserOpen, peer: Peer): BusSession => {
    if (!DEVICE_NAME.test(name)) throw new ErrnoError('EINVAL', 'bad device name');
    if (queue_count !== VIRTIO_GPU_QUEUE_COUNT)
      throw new ErrnoError('EINVAL', `a GPU has ${VIRTIO_GPU_QUEUE_COUNT} queues`);
    if (devices.has(name)) throw new ErrnoError('EEXIST', `device ${name} has a session`);
    const id = ++lastSession;
    const setup = { ...setupOf(name), session: id, peer, queueCount: queue_count, doorbell, shared };
    const session = new BusSession(setup, (reason) => {
      sessions.delete(id);
      devices.delete(name);
      log.info({ device: name }, `session closed: ${reason}`);
    });
    sessions.set(id, session);
    devices.set(name, session);
    log.info({ device: name, peer: peer.name }, 'session opened');
    return session;
  };
  const serveSocket = (fd: OwnedFd, onClose: () => void): void => {
    const name = `socket-${options.frontEnd ?? 1}`;
    const grants = new DomainGrants({
      shared,
      check: (file) => checkLabDevice(file, { path: devicesPath, device: DEV_DEVICE.GNTDEV }, 'granted pages'),
      connect: () => context.connect('hypervisor'),
    });
    const session = new UnixSession(setupOf(name), grants, fd, (reason) => {
      devices.delete(name);
      log.info({ device: name }, `session closed: ${reason}`);
      onClose();
    });
    devices.set(name, session);
    log.info({ device: name }, 'session opened');
  };
  const owned = (id: number, peer: Peer): BusSession => {
    const session = sessions.get(id);
    if (session?.peer !== peer) throw new ErrnoError('EBADF', `no session ${id}`);
    return session;
  };
  const scanoutOf = (name: string, index: number): { session: DeviceSession; scanout: Scanout } => {
    const session = devices.get(name);
    if (session === undefined) throw new ErrnoError('ENOENT', `no device ${name}`);
    const scanout = session.device.scanouts.get(index);
    if (scanout === undefined) throw new ErrnoError('EINVAL', `device ${name} has no scanout ${index}`);
    return { session, scanout };
  };
  const shoot = async ({ name, scanout: index, path }: ScreenshotRequest, options: { withCursor: boolean }) => {
    if (!isAbsolute(path)) throw new ErrnoError('EINVAL', 'the path of a screenshot must be absolute');
    const { session, scanout } = scanoutOf(name, index);
    const plugged = session.device.displays.size(index) !== undefined;
    const picture = plugged ? pictureOf(scanout, options) : undefined;
    if (picture === undefined) throw new ErrnoError('ENODATA', `scanout ${index} of ${name} shows nothing`);
    const { width, height } = picture;
    const counted = { flush_count: scanout.flushCount, first_flush_ns: Number(scanout.firstFlushNs) };
    await writePng(path, picture);
    return { width, height, ...counted };
  };

  // The lab's own server ends with its host, whose guests it serves; one of a foreign front-end ends with that.
  if ((options.socketPath ?? options.fd) === undefined) context.endWithHost();
  const server = await context.serve({ authenticate: ({ token }) => dom0Only(context.runDir, token) });
  server.onPeer((peer) =>
    peer.onClose(() => {
      watchers.drop(peer);
      for (const session of [...sessions.values()]) if (session.peer === peer) session.close(`${peer.name} ended`);
    }),
  );
  server.handle('VhostUser', {
    open: (request, peer) => {
      const session = open(request, peer);
      return { session: lastSession, first_kick: session.firstKick };
    },
    message: (message, peer) => {
      const session = owned(message.session, peer);
      try {
        return session.message(message);
      } catch (error) {
        session.close(errorMessage(error));
        if (error instanceof ErrnoError) throw error;
        throw new ErrnoError('EINVAL', errorMessage(error), { cause: error });
      }
    },
    close: ({ session }, peer) => {
      owned(session, peer).close('closed by its front-end');
      return {};
    },
  });
  server.handle('Display', {
    screenshot: (request) => shoot(request, { withCursor: false }),
    screenshot_with_cursor: (request) => shoot(request, { withCursor: true }),
    cursor: ({ name, scanout: index }) => {
      const { visible, x, y, hotX: hot_x, hotY: hot_y, image } = scanoutOf(name, index).scanout.cursor;
      return { visible, x: x | 0, y: y | 0, hot_x, hot_y, image };
    },
    watch: (wanted, peer) => {
      watchers.add(wanted, peer);
      return {};
    },
    resize: ({ name, scanout: index, width, height }) => {
      const { session } = scanoutOf(name, index);
      const size = { width, height };
      const unplug = width === 0 && height === 0;
      if (!unplug && !validSize(size))
        throw new ErrnoError('EINVAL', `a display has 1 to ${DISPLAY_PIXELS_MAX} pixels a side`);
      session.resize(index, unplug ? undefined : size);
      return {};
    },
  });
  let heldElsewhere = (): Held[] => [];
  server.handle('Control', {
    audit: () => ({ held: [...[...devices.values()].flatMap((device) => device.held()), ...heldElsewhere()] }),
  });
  context.own('sessions', () => {
    for (const device of [...devices.values()]) device.close('the server ends');
  });
  if (options.socketPath !== undefined) {
    const frontEnds = new FrontEnds({ runDir: context.runDir, options: commandLine(context, options), log });
    heldElsewhere = () => frontEnds.held();
    context.own('front-ends', () => frontEnds.close());
    const listener = await listenOn(options.socketPath, {
      onConnection: (fd) => frontEnds.take(fd),
      onRefused: (error) => frontEnds.refused(error.message),
    });
    context.own('vhost-user socket', () => listener.close());
    log.info({ socket: options.socketPath }, 'listening for vhost-user front-ends');
  }
  if (options.fd !== undefined) serveSocket(inheritedConnection(options.fd), () => void context.stop());
  if (options.frontEnd !== undefined) {
    // The pipe of the process that listens: it ends with that process.
    process.stdin.on('end', () => void context.stop('the process that listens ended')).on('error', () => {});
    process.stdin.resume();
  }
  context.ready();
}
