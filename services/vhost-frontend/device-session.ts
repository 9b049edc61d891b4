// What a device holds while a device server serves it: its guest's ioreq client, the guest's memory and the virtio half, taken in
// this order and given back in the other. Leaves when that is to device.ts and xvf-device.ts, and what passes over it to
// virtio-link.ts.
import { errorMessage, isOurBug } from '../../lib/core/errors.js';
import type { DomId } from '../../lib/core/ids.js';
import type { NotificationPath } from '../../lib/core/notification-path.js';
import { type DeviceMemory, openDeviceMemory } from './device-memory.js';
import type { DeviceServer } from './device-server.js';
import type { DeviceType } from './device-types.js';
import type { IoreqClient } from './ioreq-client.js';
import type { IoreqClients } from './ioreq-clients.js';
import { type LinkDeps, VirtioLink } from './virtio-link.js';

export interface SessionDeps extends Omit<LinkDeps, 'server'> {
  readonly ioreqs: IoreqClients;
}

export interface SessionId {
  readonly domid: DomId;
  readonly devid: number;
  readonly type: DeviceType;
  readonly path: NotificationPath;
  readonly server: DeviceServer;
  /** The device server is to see granted pages only. */
  readonly grants: boolean;
}

export interface SessionSteps {
  /** The device needs a reset, and its driver does not make it. */
  readonly onSpoilt: () => void;
  readonly onGuestOpen?: () => void;
  /** Waits for the device server; a rejection undoes all. Default: its open(). */
  readonly opened?: (link: VirtioLink) => Promise<void>;
}

export class DeviceSession {
  readonly link: VirtioLink;
  readonly #ioreq: IoreqClient;
  readonly #memory: DeviceMemory;
  readonly #name: string;
  readonly #deps: SessionDeps;

  private constructor(name: string, ioreq: IoreqClient, memory: DeviceMemory, link: VirtioLink, deps: SessionDeps) {
    this.#name = name;
    this.#ioreq = ioreq;
    this.#memory = memory;
    this.link = link;
    this.#deps = deps;
  }

  /** Rejects with what refused it; nothing is held then. */
  static async open(
    { domid, devid, type, path, server, grants }: SessionId,
    deps: SessionDeps,
    { onSpoilt, onGuestOpen, opened = (link) => link.open() }: SessionSteps,
  ): Promise<DeviceSession> {
    const name = `${domid}/${devid}`;
    const ioreq = await deps.ioreqs.acquire(domid);
    onGuestOpen?.();
    const memory = await openDeviceMemory(domid, grants, deps).catch(async (error: unknown) => {
      await giveBack(name, [() => deps.ioreqs.release(ioreq)], deps);
      throw error;
    });
    const link = new VirtioLink({ name, ioreq, memory, type, path }, { ...deps, server }, onSpoilt);
    const session = new DeviceSession(name, ioreq, memory, link, deps);
    try {
      await opened(link);
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }

  async close(): Promise<void> {
    const { link } = this;
    const [memory, ioreq, deps] = [this.#memory, this.#ioreq, this.#deps];
    await giveBack(this.#name, [() => link.close(), () => memory.close(), () => deps.ioreqs.release(ioreq)], deps);
  }
}

/** All of it, whatever becomes of each: what is refused is gone with its owner. */
async function giveBack(
  device: string,
  steps: readonly (() => Promise<unknown>)[],
  { log }: Pick<SessionDeps, 'log'>,
): Promise<void> {
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      if (isOurBug(error)) throw error;
      log.debug({ device }, `giving back: ${errorMessage(error)}`);
    }
  }
}
