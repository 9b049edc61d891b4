// What each process writes into its history as a notification passes on its path: the records by which a
// reader of the rings follows one from the guest to the device server, or back, and splits its time by hop. The processes
// take the names from here. Leaves what a path does to the processes, and figures to whoever reads the rings.
import type { DeviceServerProcess } from '../core/device-server.js';
import type { NotificationPath } from '../core/notification-path.js';
import type { Point } from '../core/probe.js';
import { POINT } from './points.js';

/** Processes that a notification may pass, by what they do: of several guests and device servers each has a name of its own (processOf). */
export type HopProcess = 'guest' | 'hypervisor' | 'vhost-frontend' | 'vhost-gpu';

/** The processes of one device that a lab may have several of. */
export interface HopNames {
  /** `guest-<name>` */
  readonly guest: string;
  readonly server: DeviceServerProcess;
}

/** The name of the process that does a device's part of a hop. */
export function processOf(process: HopProcess, { guest, server }: HopNames): string {
  return process === 'guest' ? guest : process === 'vhost-gpu' ? server : process;
}

export interface HopPoint {
  readonly process: HopProcess;
  readonly point: Point;
  /** In figures, after the process. */
  readonly name: string;
}

/**
 * Every point, once. Records carry the guest's domid; those of vhost-gpu, which serves devices and knows of no domains, have it
 * where the name of the device begins with one, and the number of its session in b (its record `session.take(<domid>/<devid>)` has
 * it in a).
 */
export const HOP = {
  /** Just before the kick. a: queue; b: count of this device's kicks, from 1. */
  guestKick: { process: 'guest', point: POINT['kick.guest'], name: 'kick' },
  /** The hypervisor has taken the exit. a: low half of the address; b: what is written: the queue. */
  exitMmio: { process: 'hypervisor', point: POINT['exit.mmio'], name: 'mmio' },
  /** The hypervisor has taken an event-channel hypercall. a: EXIT_REASON; b: the guest's port. */
  exitHypercall: { process: 'hypervisor', point: POINT['exit.hypercall'], name: 'hypercall' },
  /** About to signal the kick handle. a: queue (path evtchn: dom0's port of the queue); b: bit of the handle. */
  hypervisorKick: { process: 'hypervisor', point: POINT['kick.hypervisor'], name: 'kick' },
  /** vhost-frontend has taken the slot. a: address; b: what is written: the queue. */
  frontendSlot: { process: 'vhost-frontend', point: POINT['ioreq.write'], name: 'ioreq write' },
  /** vhost-frontend is about to signal the kick handle. a: queue. */
  frontendKick: { process: 'vhost-frontend', point: POINT['kick.frontend'], name: 'kick' },
  /** The device server's event loop runs the kick. a: queue; b: session. */
  serverKick: { process: 'vhost-gpu', point: POINT['kick.taken'], name: 'kick' },
  /** The device server is about to signal a call handle. a: bit of the handle; b: session. */
  serverCall: { process: 'vhost-gpu', point: POINT['call.ring'], name: 'call' },
  /** The call handle's ring runs in vhost-frontend. a: dom0's port. */
  frontendCall: { process: 'vhost-frontend', point: POINT['call.frontend'], name: 'call' },
  /** The call handle's ring runs in the hypervisor. a: dom0's port (path irqfd: bit of the handle). */
  hypervisorCall: { process: 'hypervisor', point: POINT['call.hypervisor'], name: 'call' },
  /** An event is raised at the guest. a: its port. (With domid 0: one that is raised at dom0.) */
  hypervisorEvent: { process: 'hypervisor', point: POINT['event.raise'], name: 'evtchn' },
  /** vhost-frontend woke for a request that an IOEVENTFD had taken, and writes its port back. a: dom0's port. */
  frontendPassedBy: { process: 'vhost-frontend', point: POINT['ioreq.passed-by'], name: 'passed by' },
  /** A port that was written back is enabled again. a: dom0's port. */
  hypervisorWriteBack: { process: 'hypervisor', point: POINT['ioreq.write-back'], name: 'write back' },
  /** The guest's upcall has found the port and is about to run its handler. a: port. */
  guestUpcall: { process: 'guest', point: POINT['event.taken'], name: 'port' },
} as const satisfies Record<string, HopPoint>;

export interface PathHops {
  /** From the guest's kick to the device server's event loop, in order. */
  readonly toDevice: readonly HopPoint[];
  /** From the device server's call to the guest's upcall, in order. */
  readonly toGuest: readonly HopPoint[];
}

const THROUGH_FRONTEND: PathHops = {
  toDevice: [HOP.guestKick, HOP.exitMmio, HOP.frontendSlot, HOP.frontendKick, HOP.serverKick],
  toGuest: [HOP.serverCall, HOP.frontendCall, HOP.hypervisorEvent, HOP.guestUpcall],
};
const CALL_IN_HYPERVISOR = [HOP.serverCall, HOP.hypervisorCall, HOP.hypervisorEvent, HOP.guestUpcall];
const IOEVENTFD: PathHops = {
  toDevice: [HOP.guestKick, HOP.exitMmio, HOP.hypervisorKick, HOP.serverKick],
  toGuest: CALL_IN_HYPERVISOR,
};

export const PATH_HOPS: Readonly<Record<NotificationPath, PathHops>> = {
  dmop: THROUGH_FRONTEND,
  relay: THROUGH_FRONTEND,
  irqfd: IOEVENTFD,
  evtchnfd: IOEVENTFD,
  evtchn: {
    toDevice: [HOP.guestKick, HOP.exitHypercall, HOP.hypervisorKick, HOP.serverKick],
    toGuest: CALL_IN_HYPERVISOR,
  },
  direct: {
    toDevice: [HOP.guestKick, HOP.serverKick],
    toGuest: [HOP.serverCall, HOP.guestUpcall],
  },
};

/**
 * Beside every kick that an IOEVENTFD took: Linux shares the interrupt with the daemon and leaves the late EOI to it
 * (drivers/xen/privcmd.c), so that the next exit of the vCPU is served only after the last of these.
 */
export const WRITE_BACK_HOPS: readonly HopPoint[] = [HOP.hypervisorKick, HOP.frontendPassedBy, HOP.hypervisorWriteBack];

/** Process boundaries crossed between the first and the last point. */
export function hopCount(points: readonly HopPoint[]): number {
  return points.slice(1).filter((point, index) => point.process !== points[index]!.process).length;
}
