// The registers of each guest's device as its driver has written them, and the ioreq slot of its vCPU, from the records of vhost-frontend
// and the hypervisor. What was written before the records begin is not known: a driver writes most registers once.
import type { Point } from '../lib/core/probe.js';
import {
  VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
  VIRTIO_MMIO_QUEUE_AVAIL_LOW,
  VIRTIO_MMIO_QUEUE_DESC_HIGH,
  VIRTIO_MMIO_QUEUE_DESC_LOW,
  VIRTIO_MMIO_QUEUE_NUM,
  VIRTIO_MMIO_QUEUE_READY,
  VIRTIO_MMIO_QUEUE_SEL,
  VIRTIO_MMIO_QUEUE_USED_HIGH,
  VIRTIO_MMIO_QUEUE_USED_LOW,
  VIRTIO_MMIO_STATUS,
} from '../lib/layout/virtio-mmio.js';
import { POINT } from '../lib/trace/points.js';
import type { TraceRecord } from '../lib/trace/record.js';

const REGISTER_MASK = 0xfff;
const WORD = 2 ** 32;
/** A driver that selects another queue than these writes into nothing. */
const QUEUES_MAX = 64;

export interface Queue {
  size: number;
  desc: number;
  avail: number;
  used: number;
  ready: boolean;
}

export interface Slot {
  readonly state: string;
  readonly address: number;
  readonly value: number;
  readonly ns: bigint;
}

interface Guest {
  queueSel: number;
  /** undefined: the record of its last write is gone. */
  status: number | undefined;
  readonly queues: Map<number, Queue>;
  slot: Slot | undefined;
}

export class Registers {
  readonly #guests = new Map<number, Guest>();

  take(domid: number, record: TraceRecord): void {
    this.#registers(domid, record);
    this.#slot(domid, record);
  }

  of(domid: number): Readonly<Guest> | undefined {
    return this.#guests.get(domid);
  }

  forget(domid: number): void {
    this.#guests.delete(domid);
  }

  #guest(domid: number): Guest {
    const guest = this.#guests.get(domid) ?? { queueSel: 0, status: undefined, queues: new Map(), slot: undefined };
    this.#guests.set(domid, guest);
    return guest;
  }

  /** What the driver wrote, as vhost-frontend took it: the registers of the guest's device. */
  #registers(domid: number, { point, a, b }: TraceRecord): void {
    if (point !== POINT['ioreq.write']) return;
    const guest = this.#guest(domid);
    const register = a & REGISTER_MASK;
    if (register === VIRTIO_MMIO_QUEUE_SEL) guest.queueSel = b;
    if (register === VIRTIO_MMIO_STATUS) {
      guest.status = b;
      if (b === 0) guest.queues.clear();
    }
    if (guest.queueSel >= QUEUES_MAX) return;
    const queue = guest.queues.get(guest.queueSel) ?? { size: 0, desc: 0, avail: 0, used: 0, ready: false };
    const low = (before: number): number => Math.floor(before / WORD) * WORD + b;
    const high = (before: number): number => b * WORD + (before % WORD);
    switch (register) {
      case VIRTIO_MMIO_QUEUE_NUM:
        queue.size = b;
        break;
      case VIRTIO_MMIO_QUEUE_READY:
        queue.ready = b === 1;
        break;
      case VIRTIO_MMIO_QUEUE_DESC_LOW:
        queue.desc = low(queue.desc);
        break;
      case VIRTIO_MMIO_QUEUE_DESC_HIGH:
        queue.desc = high(queue.desc);
        break;
      case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
        queue.avail = low(queue.avail);
        break;
      case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
        queue.avail = high(queue.avail);
        break;
      case VIRTIO_MMIO_QUEUE_USED_LOW:
        queue.used = low(queue.used);
        break;
      case VIRTIO_MMIO_QUEUE_USED_HIGH:
        queue.used = high(queue.used);
        break;
      default:
        return;
    }
    guest.queues.set(guest.queueSel, queue);
  }

  /** The slot of vCPU 0, by the names of lib/layout/ioreq.ts. */
  #slot(domid: number, { point, a, b, ns }: TraceRecord): void {
    const guest = this.#guests.get(domid);
    const state = SLOT_STATES.get(point);
    if (state === undefined) return;
    const address = point === POINT['ioreq.done'] ? (guest?.slot?.address ?? 0) : a;
    this.#guest(domid).slot = { state, address, value: b, ns };
  }
}

const SLOT_STATES = new Map<Point, string>([
  [POINT['ioreq.fill'], 'READY'],
  [POINT['ioreq.read'], 'INPROCESS'],
  [POINT['ioreq.write'], 'INPROCESS'],
  [POINT['ioreq.answer'], 'RESP_READY'],
  [POINT['ioreq.done'], 'NONE'],
]);
