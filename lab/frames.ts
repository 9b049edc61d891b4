// A guest's first frame: waiting until the guest says that it is shown, taking the screen from the device server, and
// comparing it with what the guest was given to draw.
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { ErrnoError, GuestFailedError, UserError } from '../lib/core/errors.js';
import { mismatchedPixels, overBlack, type Picture } from '../lib/core/picture.js';
import type { BusClient, ServerName } from '../lib/core/service.js';
import { backendPath, DATA_KEY, frontendPath, homePath, XENBUS_KEY, xenbusStateName } from '../lib/layout/xenbus.js';
import { readPng } from '../lib/node/files/png.js';
import { listProcesses } from '../lib/node/process/run-dir.js';
import { saidIfSlow } from '../lib/node/process/wait.js';
import { listDevices, RELEASE_DOMAIN } from '../toolstack/device.js';
import { listGuests } from '../toolstack/domain.js';
import { readNode, type Toolstack, whenStore } from '../toolstack/toolstack.js';
import type { Session } from './session.js';

/** Its domain is gone, or shut down. */
export class GuestEndedError extends GuestFailedError {}

/**
 * Resolves once the guest's first frame is shown. Rejects with GuestFailedError, GuestEndedError when its domain has ended, or
 * DeadlineError. When it takes long, `say` is told what has come of its device so far.
 */
export async function firstFrame(
  toolstack: Toolstack,
  guest: { domid: number; name: string },
  deadlineMs: number = DEADLINE_MS.firstFrame,
  say: (sentence: string) => void = () => {},
): Promise<void> {
  const home = homePath(guest.domid);
  const folder = DATA_KEY.frame.slice(0, DATA_KEY.frame.lastIndexOf('/'));
  const shown = whenStore(toolstack, [`${home}/${folder}`, RELEASE_DOMAIN], deadlineMs, async () => {
    const failure = await readNode(toolstack.store, `${home}/${DATA_KEY.failure}`);
    if (failure !== undefined) throw new GuestFailedError(`guest ${guest.name}: ${failure}`);
    if ((await readNode(toolstack.store, `${home}/${DATA_KEY.frame}`)) === '1') return true;
    const info = (await listGuests(toolstack)).find(({ domid }) => domid === guest.domid);
    if (info !== undefined && info.state !== 'shutdown') return undefined;
    throw new GuestEndedError(`guest ${guest.name} (domain ${guest.domid}) ended before it showed anything`);
  });
  await saidIfSlow(shown, () => {
    // What cannot be asked now is not worth a word: the wait itself tells why.
    tellProgress(toolstack, guest).then(say, () => {});
  });
}

async function tellProgress(toolstack: Toolstack, guest: { domid: number; name: string }): Promise<string> {
  const waiting = `waiting for the first frame of guest ${guest.name}`;
  const info = (await listGuests(toolstack)).find(({ domid }) => domid === guest.domid);
  if (info?.state === 'running' && !info.attached) {
    return `${waiting}: no process runs it yet: xenwire guest --name ${guest.name}`;
  }
  const states = (await listDevices(toolstack, guest.domid)).map(async (id) => {
    const state = async (path: string): Promise<string> => {
      const value = await readNode(toolstack.store, `${path}/${XENBUS_KEY.state}`);
      return value === undefined ? 'gone' : xenbusStateName(Number(value));
    };
    return `device ${id.devid} is ${await state(frontendPath(id))} at its frontend, ${await state(backendPath(id))} at its backend`;
  });
  return [waiting, ...(await Promise.all(states))].join(': ');
}

export interface ShownFrame {
  readonly path: string;
  readonly width: number;
  readonly height: number;
  readonly mismatchedPixels: number;
  /** CLOCK_MONOTONIC of the first flush. */
  readonly firstFlushNs: bigint;
}

/** Has the device server write its screen of `device` ("domid/devid") to `path`, and compares it with `expected`. */
export async function checkFrame(
  deviceServer: BusClient,
  device: string,
  path: string,
  expected: Picture,
): Promise<ShownFrame> {
  const shot = await deviceServer.remote('Display').screenshot({ name: device, scanout: 0, path });
  let shown: Picture;
  try {
    shown = readPng(path);
  } catch (error) {
    // The device server's file, not one that a user named.
    throw error instanceof UserError ? new Error(error.message, { cause: error }) : error;
  }
  return {
    path,
    width: shown.width,
    height: shown.height,
    mismatchedPixels: mismatchedPixels(overBlack(expected), shown),
    firstFlushNs: BigInt(shot.first_flush_ns),
  };
}

/** The process that serves a front-end of others on the GPU server's socket, and the slot that its device is named after. */
const SOCKET_PROCESS = /^gpu-\d+-(\d+)$/;

/** A device server's screen, as it is asked for; the connection is the caller's to close. */
export interface SocketDisplay {
  readonly server: BusClient;
  /** Name of the device there. */
  readonly device: string;
}

/** That of the only device of a backend of others, which reaches the GPU server by its socket. Rejects with ENODEV where there is none now. */
export async function socketDisplay(session: Session): Promise<SocketDisplay> {
  // The one before may still be ending.
  const [found] = listProcesses(session.runDir)
    .filter(({ name, state }) => SOCKET_PROCESS.test(name) && state === 'ready')
    .sort((a, b) => b.incarnation - a.incarnation);
  const slot = SOCKET_PROCESS.exec(found?.name ?? '')?.[1];
  if (found === undefined || slot === undefined)
    throw new ErrnoError('ENODEV', 'no front-end is connected to the GPU server');
  return { server: await session.connect(found.name as ServerName), device: `socket-${slot}` };
}

/** checkFrame for that device. */
export async function checkSocketFrame(session: Session, path: string, expected: Picture): Promise<ShownFrame> {
  const { server, device } = await socketDisplay(session);
  try {
    return await checkFrame(server, device, path, expected);
  } finally {
    await server.close();
  }
}
