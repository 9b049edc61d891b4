// How kicks and calls pass between a guest and its device server, path by path (lib/trace/hops.ts): what is asked of the
// hypervisor, and what this process does itself where they pass it. Wires stand for one session with the device server and
// are made anew for the next one: descriptors that a dead server held are taken back, which also makes the hypervisor look
// after what it may have left half done. Leaves registers and sessions to virtio-link.ts.

import type { Remote } from '../../lib/core/bus.js';
import { ErrnoError, errorMessage, isOurBug } from '../../lib/core/errors.js';
import type { DomId, EvtchnPort } from '../../lib/core/ids.js';
import type { Log } from '../../lib/core/log.js';
import { DEFAULT_PATH, isNotificationPath, type NotificationPath } from '../../lib/core/notification-path.js';
import type { Doorbell, Notifier, NotifyHandle } from '../../lib/core/notify.js';
import type { Probe } from '../../lib/core/probe.js';
import type { BellHandle } from '../../lib/core/proto-types.js';
import { hasEvtchnRaise, needsEvtchnRaise } from '../../lib/events/evtchn-raise.js';
import { XEN_DM_OP_EVTCHN_RAISE, XEN_DM_OP_HEADER, XEN_DMOP } from '../../lib/layout/dm-op.js';
import { EVENTFD_DIRECTION } from '../../lib/layout/ours/dev-evtchn.js';
import { HOP, PATH_HOPS } from '../../lib/trace/hops.js';
import { POINT } from '../../lib/trace/points.js';
import type { ServerSession } from './device-server.js';
import type { EvtchnClient } from './evtchn-client.js';
import type { IoreqClient } from './ioreq-client.js';
import type { Ledger } from './ledger.js';

/** Width of a kick: QueueNotify is a 32-bit register. */
const NOTIFY_LEN = 4;
/** DEV_EVTCHN_EVENTFD: a signal on the handle sends on the port; an event on the port signals the handle. */

export interface WireDeps {
  readonly hypervisor: Remote<'Hypervisor'>;
  readonly evtchn: EvtchnClient;
  readonly doorbell: Doorbell;
  readonly ledger: Ledger;
  readonly probe: Probe;
  readonly log: Log;
}

/** What the wires of one device lie between. */
export interface WireSite {
  readonly ioreq: IoreqClient;
  /** Of the registers. */
  readonly base: number;
  /** The guest's port of the interrupt, and dom0's end of it. */
  readonly guestPort: EvtchnPort;
  readonly port: EvtchnPort;
  /** dom0's ends of the event channels that queues have, index = queue. */
  readonly queuePorts: readonly (EvtchnPort | undefined)[];
}

/** Whether calls pass this process, which then knows InterruptStatus bit 0. */
export function callsPassUs(path: NotificationPath): boolean {
  return PATH_HOPS[path].toGuest.some(({ process }) => process === 'vhost-frontend');
}

/**
 * The path that the toolstack's key names ('' for none). Rejects with EINVAL where it is no path, EOPNOTSUPP where this host
 * has not what it takes. `sharedBells`: doorbells are memory that others write, not messages.
 */
export async function checkedPath(
  text: string,
  domid: DomId,
  { hypervisor, sharedBells }: { hypervisor: WireDeps['hypervisor']; sharedBells: boolean },
): Promise<NotificationPath> {
  const path = text === '' ? DEFAULT_PATH : text;
  if (!isNotificationPath(path)) throw new ErrnoError('EINVAL', `path "${path.slice(0, 40)}" is none`);
  if (path === 'direct' && !sharedBells) throw new ErrnoError('EOPNOTSUPP', 'path direct needs notify = doorbell');
  if (needsEvtchnRaise(path) && !(await hasEvtchnRaise(hypervisor, domid)))
    throw new ErrnoError('EOPNOTSUPP', `path ${path} needs a hypervisor with --dm-evtchn-raise`);
  return path;
}

/** One end of a wire, and how it is taken away. */
interface End {
  close(): Promise<unknown> | undefined;
}
interface CallEnd extends End {
  readonly handle: NotifyHandle;
}

interface Context extends WireDeps, WireSite {
  readonly domid: DomId;
  readonly onCall: () => void;
}
type MakeCall = (context: Context) => Promise<CallEnd>;
type MakeKick = (context: Context, vq: number, handle: NotifyHandle) => Promise<End>;

/** The device server rings us. */
const callThroughUs: MakeCall = async ({ doorbell, probe, ledger, port, domid, onCall }) => {
  const bell = doorbell.bind(() => {
    probe.at(HOP.frontendCall.point, '', port, 0, domid);
    onCall();
  });
  const giveBack = ledger.take('call bell', port, domid);
  return {
    handle: bell.handle,
    close: () => {
      bell.release();
      giveBack();
      return undefined;
    },
  };
};

/** privcmd IRQFD: the hypervisor issues the stored dm_op. */
const callByDmOp: MakeCall = async ({ hypervisor, ledger, guestPort, domid }) => {
  const dm_op = new Uint8Array(XEN_DM_OP_HEADER.size + XEN_DM_OP_EVTCHN_RAISE.size);
  XEN_DM_OP_HEADER.encode({ op: XEN_DMOP.evtchn_raise, pad: 0 }, dm_op);
  XEN_DM_OP_EVTCHN_RAISE.encode({ port: guestPort }, dm_op, XEN_DM_OP_HEADER.size);
  const { handle } = await hypervisor.privcmd_irqfd({ domid, dm_op });
  const giveBack = ledger.take('irqfd', handle.bit, domid);
  return { handle, close: () => hypervisor.privcmd_irqfd({ domid, handle, deassign: true }).finally(giveBack) };
};

/** The event descriptor of the port. */
const callOnPort =
  (direct: boolean): MakeCall =>
  async ({ hypervisor, evtchn, ledger, port, domid }) => {
    const eventfd = { fd: evtchn.fd, port, direction: EVENTFD_DIRECTION.TO_PORT, direct };
    const { handle } = await hypervisor.dev_evtchn_eventfd(eventfd);
    const giveBack = ledger.take('eventfd', port, domid);
    return { handle, close: () => hypervisor.dev_evtchn_eventfd({ ...eventfd, deassign: true }).finally(giveBack) };
  };

/** QueueNotify is a register as any other: no wire but the notifier that every queue has. */
const kickThroughUs: MakeKick = async () => ({ close: () => undefined });

/** privcmd IOEVENTFD; `direct`: and shown to the guest's own vCPU. */
const kickByIoeventfd =
  (direct: boolean): MakeKick =>
  async ({ hypervisor, evtchn, ledger, ioreq, base }, vq, handle) => {
    const ioeventfd = {
      domid: ioreq.domid,
      server: ioreq.serverId,
      addr: base,
      addr_len: NOTIFY_LEN,
      vq,
      handle: handle as BellHandle,
      ports: [...ioreq.vcpuPorts],
      fd: evtchn.fd,
      direct,
    };
    await hypervisor.privcmd_ioeventfd(ioeventfd);
    const giveBack = ledger.take('ioeventfd', vq, ioreq.domid);
    return { close: () => hypervisor.privcmd_ioeventfd({ ...ioeventfd, deassign: true }).finally(giveBack) };
  };

/** The queue's own event channel; a queue for which the frontend made none is kicked as without. */
const kickByPort: MakeKick = async (context, vq, handle) => {
  const { hypervisor, evtchn, ledger, domid, queuePorts } = context;
  const port = queuePorts[vq];
  if (port === undefined) return kickByIoeventfd(false)(context, vq, handle);
  const eventfd = { fd: evtchn.fd, port, direction: EVENTFD_DIRECTION.FROM_PORT };
  await hypervisor.dev_evtchn_eventfd({ ...eventfd, handle: handle as BellHandle });
  const giveBack = ledger.take('queue eventfd', port, domid);
  return { close: () => hypervisor.dev_evtchn_eventfd({ ...eventfd, deassign: true }).finally(giveBack) };
};

const PATHS: Readonly<Record<NotificationPath, { readonly call: MakeCall; readonly kick: MakeKick }>> = {
  dmop: { call: callThroughUs, kick: kickThroughUs },
  relay: { call: callThroughUs, kick: kickThroughUs },
  irqfd: { call: callByDmOp, kick: kickByIoeventfd(false) },
  evtchnfd: { call: callOnPort(false), kick: kickByIoeventfd(false) },
  evtchn: { call: callOnPort(false), kick: kickByPort },
  direct: { call: callOnPort(true), kick: kickByIoeventfd(true) },
};

export class Wires {
  readonly #path: NotificationPath;
  readonly #context: Context;
  #session: ServerSession | undefined;
  #call: CallEnd | undefined;
  #kicks: End[] = [];
  /** Where we kick each queue ourselves. */
  #notifiers: Notifier[] = [];
  /** Attaching and detaching, one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /** Nothing is taken yet. `onCall` runs at each call that passes this process. */
  constructor(path: NotificationPath, site: WireSite, deps: WireDeps, onCall: () => void) {
    this.#path = path;
    this.#context = { ...deps, ...site, domid: site.ioreq.domid, onCall };
  }

  /** What the device server is to signal; while a session is attached. */
  get call(): NotifyHandle {
    return this.#call!.handle;
  }

  /** Kicks and calls to and from this session, and to no other any more. Rejects with nothing held. */
  attach(session: ServerSession): Promise<void> {
    return this.#serially(async () => {
      if (this.#session === session) return;
      await this.#detach();
      try {
        const { call, kick } = PATHS[this.#path];
        this.#call = await call(this.#context);
        // Also where others kick: what comes before the port is written back may be ours to kick, and opening takes longer.
        for (const handle of session.kicks) this.#notifiers.push(this.#context.doorbell.open(handle));
        for (const [vq, handle] of session.kicks.entries()) this.#kicks.push(await kick(this.#context, vq, handle));
        this.#session = session;
      } catch (error) {
        await this.#detach();
        throw error;
      }
    });
  }

  /** Takes all of it back; what the hypervisor does not know any more is gone. */
  detach(): Promise<void> {
    return this.#serially(() => this.#detach());
  }

  #serially(action: () => Promise<void>): Promise<void> {
    const done = this.#last.then(action);
    this.#last = done.then(
      () => {},
      () => {}, // told to the one who asked for it
    );
    return done;
  }

  async #detach(): Promise<void> {
    this.#session = undefined;
    const ends: End[] = this.#call === undefined ? this.#kicks : [this.#call, ...this.#kicks];
    this.#call = undefined;
    this.#kicks = [];
    for (const notifier of this.#notifiers.splice(0)) notifier.close();
    for (const end of ends.reverse()) {
      try {
        await end.close();
      } catch (error) {
        if (isOurBug(error)) throw error;
        const { probe, log, domid } = this.#context;
        probe.at(POINT['error.device'], 'unwire', error instanceof ErrnoError ? error.errno : 0, 0, domid);
        log.debug({ domid, path: this.#path }, `taking a wire away: ${errorMessage(error)}`);
      }
    }
  }

  /** A kick of ours; false while no session is attached. */
  kick(index: number): boolean {
    const notifier = this.#notifiers[index];
    notifier?.signal();
    return notifier !== undefined;
  }

  /** Raises the guest's interrupt. */
  raise(): void {
    const { evtchn, domid, guestPort, port } = this.#context;
    if (this.#path === 'dmop') evtchn.dmRaise(domid, guestPort);
    else evtchn.notify(port);
    evtchn.flush();
  }
}
