// A guest's first frame: waiting until the guest says that it is shown, taking the screen from the device server, and
// comparing it with what the guest was given to draw.
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { GuestFailedError, UserError } from '../lib/core/errors.js';
import { mismatchedPixels, overBlack, type Picture } from '../lib/core/picture.js';
import type { BusClient } from '../lib/core/service.js';
import { DATA_KEY, homePath } from '../lib/layout/xenbus.js';
import { readPng } from '../lib/node/files/png.js';
import { readNode, type Toolstack, whenStore } from '../toolstack/toolstack.js';

/** Resolves once the guest's first frame is shown. Rejects with GuestFailedError, or DeadlineError. */
export async function firstFrame(
  toolstack: Toolstack,
  guest: { domid: number; name: string },
  deadlineMs: number = DEADLINE_MS.firstFrame,
): Promise<void> {
  const home = homePath(guest.domid);
  const folder = DATA_KEY.frame.slice(0, DATA_KEY.frame.lastIndexOf('/'));
  await whenStore(toolstack, `${home}/${folder}`, deadlineMs, async () => {
    const failure = await readNode(toolstack.store, `${home}/${DATA_KEY.failure}`);
    if (failure !== undefined) throw new GuestFailedError(`guest ${guest.name}: ${failure}`);
    return (await readNode(toolstack.store, `${home}/${DATA_KEY.frame}`)) === '1' ? true : undefined;
  });
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
