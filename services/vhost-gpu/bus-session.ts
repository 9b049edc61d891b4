// One vhost-user session over the bus: a device, its backend state machine, and what handles are here (files of the run
// directory, bits of doorbells). Its kicks are consecutive bits of this process's doorbell, taken at open.
// Leaves sessions as a set, and the bus itself, to server.ts.
import type { Peer } from '../../lib/core/bus.js';
import { ErrnoError } from '../../lib/core/errors.js';
import { mapRam } from '../../lib/core/guest-ram.js';
import { DOM0 } from '../../lib/core/ids.js';
import { RegionMemory } from '../../lib/core/memory.js';
import type { Doorbell, NotifyHandle } from '../../lib/core/notify.js';
import type { Held, VhostUserHandle, VhostUserMessage } from '../../lib/core/proto-types.js';
import type { SharedFiles } from '../../lib/core/shared.js';
import { VHOST_USER_BUS_NO_REPLY } from '../../lib/layout/vhost-user.js';
import { HOP } from '../../lib/trace/hops.js';
import { POINT } from '../../lib/trace/points.js';
import { BackendSession } from '../../lib/vhost-user/backend-session.js';
import { encodeBackendRequest, type RawMessage } from '../../lib/vhost-user/messages.js';
import { backendRequestName, requestName } from '../../lib/vhost-user/names.js';
import { type BackendTransport, GpuBackend } from './backend.js';
import { GpuDevice, type GpuDeviceSetup } from './device.js';
import type { DisplaySize } from './display.js';

export interface BusSessionSetup extends GpuDeviceSetup {
  readonly session: number;
  readonly peer: Peer;
  /** Kicks to take; the front-end rings one a queue. */
  readonly queueCount: number;
  readonly doorbell: Doorbell;
  readonly shared: SharedFiles;
}

export class BusSession {
  readonly name: string;
  readonly peer: Peer;
  readonly device: GpuDevice;
  readonly firstKick: NotifyHandle;
  readonly #setup: BusSessionSetup;
  readonly #backend: GpuBackend<VhostUserHandle>;
  readonly #session: BackendSession<VhostUserHandle>;
  readonly #kicks: (() => void)[] = [];
  readonly #releaseKicks: () => void;
  readonly #onClose: (reason: string) => void;
  #closed = false;

  /** `onClose` runs once, after everything was given back. Throws ErrnoError ENOSPC when the doorbell has no bits left. */
  constructor(setup: BusSessionSetup, onClose: (reason: string) => void) {
    this.#setup = setup;
    this.#onClose = onClose;
    this.name = setup.name;
    this.peer = setup.peer;
    this.device = new GpuDevice(setup);
    const bound = setup.doorbell.bind((index) => this.#kicks[index]?.(), setup.queueCount);
    this.firstKick = bound.handle;
    this.#releaseKicks = () => bound.release();
    this.#backend = new GpuBackend(this.device, this.#transport(), setup.clock);
    this.#session = new BackendSession(this.#backend);
    setup.probe.at(POINT['session.take'], setup.name, setup.session);
  }

  #transport(): BackendTransport<VhostUserHandle> {
    const { shared, doorbell, session, probe } = this.#setup;
    const kickIndex = (bell: NotifyHandle | null | undefined): number | undefined => {
      const index = bell?.bell === this.firstKick.bell ? bell.bit - this.firstKick.bit : -1;
      return index >= 0 && index < this.#setup.queueCount ? index : undefined;
    };
    return {
      check: (use, { bell }) => {
        if (use === 'kick' && kickIndex(bell) === undefined)
          throw new ErrnoError('EINVAL', 'kick is none of this session');
      },
      checkMemory: ({ file }, size) => {
        if (file == null || file.size < size)
          throw new ErrnoError('EINVAL', 'memory region without a file as long as it');
      },
      map: ({ file }, offset, size) => shared.map(file!, { offset, size }),
      grants: ({ grants }) => {
        if (grants == null) return undefined;
        if (grants.ram == null || grants.table == null) throw new ErrnoError('EINVAL', 'grants without their files');
        const ram = mapRam(shared, grants.ram);
        try {
          const table = shared.map(grants.table);
          const close = (): void => {
            table.close();
            ram.close();
          };
          return { ram: new RegionMemory(ram.regions), table: table.bytes, domid: DOM0, close };
        } catch (error) {
          ram.close();
          throw error;
        }
      },
      notifier: ({ bell }) => {
        if (bell == null) throw new ErrnoError('EINVAL', 'call without a doorbell');
        const notifier = doorbell.open(bell);
        const { bit } = bell;
        return {
          signal: () => {
            probe.at(HOP.serverCall.point, '', bit, session);
            notifier.signal();
          },
          close: () => notifier.close(),
        };
      },
      listen: ({ bell }, onKick) => {
        const index = kickIndex(bell)!;
        const kicked = (): void => {
          probe.at(HOP.serverKick.point, '', index, session);
          onKick();
        };
        this.#kicks[index] = kicked;
        return {
          close: () => {
            if (this.#kicks[index] === kicked) delete this.#kicks[index];
          },
        };
      },
      release: () => {}, // names of things, not the things
      setBackendChannel: () => {}, // back-end requests travel as events of the bus
      setDisplay: () => {},
      ringFailed: (index) => {
        this.#ask(encodeBackendRequest<'VRING_ERR', VhostUserHandle>('VRING_ERR', { index, num: 0 }));
      },
    };
  }

  /** Handles one message of the front-end. After a throw the session is over: the caller closes it. */
  message({ request, flags, payload, handles }: VhostUserMessage): Partial<VhostUserMessage> {
    const raw: RawMessage<VhostUserHandle> = { request, flags, payload, handles };
    const { session, probe } = this.#setup;
    probe.at(POINT['vhost-user.serve'], requestName(request), session);
    const reply = this.#session.handle(raw);
    probe.at(POINT['vhost-user.answer'], requestName(request), session);
    if (reply === undefined) return { session, request: VHOST_USER_BUS_NO_REPLY };
    return { session, request: reply.request, flags: reply.flags, payload: reply.payload };
  }

  /** Plugs in, resizes or unplugs a display; the driver is to look at the config space again. */
  resize(scanout: number, size: DisplaySize | undefined): void {
    if (!this.device.displays.set(scanout, size)) return;
    const message = encodeBackendRequest<'CONFIG_CHANGE_MSG', VhostUserHandle>('CONFIG_CHANGE_MSG', {});
    this.#ask(message);
  }

  /** A request of the back-end's own. */
  #ask(message: RawMessage<VhostUserHandle>): void {
    const { session, peer, probe } = this.#setup;
    probe.at(POINT['vhost-user.ask'], backendRequestName(message.request), session);
    peer.emit('VhostUserEvents', 'backend_message', { session, ...message, handles: [] });
  }

  held(): Held[] {
    return [
      { kind: 'session', name: this.name },
      ...Array.from({ length: this.#backend.mappingCount }, () => ({ kind: 'mapping', name: this.name })),
      ...[...this.device.resources.all()].map(({ id }) => ({ kind: 'resource', name: `${this.name} ${id}` })),
    ];
  }

  /** Stops the queues, drops the guest's resources, unmaps its memory. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#session.close();
    this.#releaseKicks();
    this.#setup.probe.at(POINT['session.give'], this.name, this.#setup.session);
    this.#onClose(reason);
  }
}
