// vhost-gpu as a process: a session for each device of a guest, what they show, and what they hold. Every peer is dom0's:
// guests reach their device through their queues only.
import { timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import type { Peer } from '../../lib/core/bus.js';
import { ErrnoError, errorMessage } from '../../lib/core/errors.js';
import type { VhostUserOpen } from '../../lib/core/proto-types.js';
import type { ServiceContext } from '../../lib/core/service.js';
import { VHOST_USER_REQUEST } from '../../lib/layout/vhost-user.js';
import { VIRTIO_GPU_QUEUE_COUNT } from '../../lib/layout/virtio-gpu.js';
import { pageAlignedBytes } from '../../lib/node/libc.js';
import { runPaths } from '../../lib/node/run-dir.js';
import { BusSession } from './bus-session.js';
import { DISPLAY_PIXELS_MAX, type DisplaySize, validSize } from './display.js';
import { writePng } from './node/png.js';
import { pictureOf } from './pixels.js';
import type { Scanout } from './scanouts.js';

export interface VhostGpuOptions {
  /** Of each device, one a scanout. */
  readonly displays: readonly DisplaySize[];
  /** Host memory for the resources of one device, in MiB. */
  readonly maxHostmem: number;
}

const DEVICE_NAME = /^[\x21-\x7e]{1,64}$/;

export async function start(context: ServiceContext, options: VhostGpuOptions): Promise<void> {
  const { log, history, clock, doorbell, shared } = context;
  const sessions = new Map<number, BusSession>();
  let lastSession = 0;

  const open = ({ name, queue_count }: VhostUserOpen, peer: Peer): BusSession => {
    if (!DEVICE_NAME.test(name)) throw new ErrnoError('EINVAL', 'bad device name');
    if (queue_count !== VIRTIO_GPU_QUEUE_COUNT)
      throw new ErrnoError('EINVAL', `a GPU has ${VIRTIO_GPU_QUEUE_COUNT} queues`);
    if (named(name) !== undefined) throw new ErrnoError('EEXIST', `device ${name} has a session`);
    const id = ++lastSession;
    const session = new BusSession({
      session: id,
      name,
      peer,
      queueCount: queue_count,
      doorbell,
      shared,
      log,
      history,
      clock,
      defer: setImmediate,
      displays: options.displays,
      hostBytesMax: options.maxHostmem << 20,
      allocate: pageAlignedBytes,
    });
    sessions.set(id, session);
    log.info({ device: name, session: id, peer: peer.name }, 'session opened');
    return session;
  };
  const close = (id: number, why: string): void => {
    const session = sessions.get(id);
    if (session === undefined) return;
    sessions.delete(id);
    session.close();
    log.info({ device: session.name, session: id }, `session closed: ${why}`);
  };
  const named = (name: string): BusSession | undefined => [...sessions.values()].find((one) => one.name === name);
  const owned = (id: number, peer: Peer): BusSession => {
    const session = sessions.get(id);
    if (session?.peer !== peer) throw new ErrnoError('EBADF', `no session ${id}`);
    return session;
  };
  const scanoutOf = (name: string, index: number): { session: BusSession; scanout: Scanout } => {
    const session = named(name);
    if (session === undefined) throw new ErrnoError('ENOENT', `no device ${name}`);
    const scanout = session.device.scanouts.get(index);
    if (scanout === undefined) throw new ErrnoError('EINVAL', `device ${name} has no scanout ${index}`);
    return { session, scanout };
  };

  const server = await context.serve({ authenticate: ({ token }) => dom0Only(context.runDir, token) });
  server.onPeer((peer) =>
    peer.onClose(() => {
      for (const [id, session] of [...sessions]) if (session.peer === peer) close(id, `${peer.name} ended`);
    }),
  );
  server.handle('VhostUser', {
    open: (request, peer) => {
      history.step('vhost-user.open');
      const session = open(request, peer);
      return { session: lastSession, first_kick: session.firstKick };
    },
    message: (message, peer) => {
      const session = owned(message.session, peer);
      history.step(`vhost-user.${messageName(message.request)}`, message.session);
      try {
        return session.message(message);
      } catch (error) {
        close(message.session, errorMessage(error));
        if (error instanceof ErrnoError) throw error;
        throw new ErrnoError('EINVAL', errorMessage(error), { cause: error });
      }
    },
    close: ({ session }, peer) => {
      owned(session, peer);
      close(session, 'closed by its front-end');
      return {};
    },
  });
  server.handle('Display', {
    screenshot: async ({ name, scanout: index, path }) => {
      if (!isAbsolute(path)) throw new ErrnoError('EINVAL', 'the path of a screenshot must be absolute');
      const { scanout } = scanoutOf(name, index);
      const picture = pictureOf(scanout);
      if (picture === undefined) throw new ErrnoError('ENODATA', `scanout ${index} of ${name} shows nothing`);
      const { width, height } = picture;
      const counted = { flush_count: scanout.flushCount, first_flush_ns: Number(scanout.firstFlushNs) };
      await writePng(path, picture);
      return { width, height, ...counted };
    },
    resize: ({ name, scanout: index, width, height }) => {
      const { session } = scanoutOf(name, index);
      const size = { width, height };
      const unplug = width === 0 && height === 0;
      if (!unplug && !validSize(size))
        throw new ErrnoError('EINVAL', `a display has 1 to ${DISPLAY_PIXELS_MAX} pixels a side`);
      if (session.device.displays.set(index, unplug ? undefined : size)) session.configChanged();
      return {};
    },
  });
  server.handle('Control', { audit: () => ({ held: [...sessions.values()].flatMap((session) => session.held()) }) });
  context.own('sessions', () => {
    for (const id of [...sessions.keys()]) close(id, 'the server ends');
  });
  context.ready();
}

const MESSAGE_NAMES = new Map<number, string>(
  Object.entries(VHOST_USER_REQUEST).map(([name, request]) => [request, name.slice('VHOST_USER_'.length)]),
);
function messageName(request: number): string {
  return MESSAGE_NAMES.get(request) ?? 'unknown';
}

/** The lab's dom0 proves itself by its token; a lab without a hypervisor has none, and then nobody else is there either. */
async function dom0Only(runDir: string, token: string): Promise<number> {
  const expected = await readFile(runPaths.dom0Token(runDir)).catch(() => undefined);
  if (expected === undefined) return 0;
  const given = Buffer.from(token);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new ErrnoError('EPERM', 'the device server talks to dom0 only');
  }
  return 0;
}
