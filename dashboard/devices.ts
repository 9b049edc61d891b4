// What the page says of each device, from the records alone: the states of both ends and when each came, the last steps, the
// registers that the driver has written, its vCPU's ioreq slot, frames, errors. Leaves why a handshake stands to why.ts.
import type { ProcessRates } from '../lab/rates.js';
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
import { KIND_VIRTIO_MMIO, XenbusState, xenbusStateName } from '../lib/layout/xenbus.js';
import { deviceSequence, isStep } from '../lib/trace/device-sequence.js';
import { type DeviceName, DeviceNames } from '../lib/trace/devices.js';
import { edgeTo, POINT } from '../lib/trace/points.js';
import { fieldsOf, type TraceRecord } from '../lib/trace/record.js';
import { protocolOf } from '../lib/xenbus/protocols.js';
import { type Reason, whyItStands } from './why.js';

/** States of one end that are shown with their times. */
const TRAIL_MAX = 12;
/** Records of a device from which its last steps are told. */
const STEPS_MAX = 40;
const STEPS_SHOWN = 14;
/** Devices of domains that are gone. */
const GONE_MAX = 4;
const REGISTER_MASK = 0xfff;
const WORD = 2 ** 32;
/** The kind of a device, in the path of one of its nodes. */
const KIND = /(?:^|\/)(?:device|backend)\/(virtio[a-z-]*)\//;
/** A driver that selects another queue than these writes into nothing. */
const QUEUES_MAX = 64;

export interface Queue {
  size: number;
  desc: number;
  avail: number;
  used: number;
  ready: boolean;
}

interface StateAt {
  readonly state: number;
  readonly ns: bigint;
}

export interface Slot {
  readonly state: string;
  readonly address: number;
  readonly value: number;
  readonly ns: bigint;
}

type SequenceOfDevice = ReturnType<typeof deviceSequence>;

interface Device extends DeviceName {
  front: StateAt[];
  back: StateAt[];
  steps: TraceRecord[];
  /** What they are as lines; undefined: to be made anew. */
  lines: SequenceOfDevice | undefined;
  frames: number;
  /** Of its directories in the store: which version of the protocol it is held to. */
  kind: string;
  /** The last that either end reported. */
  error: TraceRecord | undefined;
  /** Its domain is. */
  gone: boolean;
}

interface Guest {
  queueSel: number;
  status: number;
  readonly queues: Map<number, Queue>;
  slot: Slot | undefined;
}

export interface ShownState {
  readonly state: number;
  readonly name: string;
  readonly ms: number;
}

/** What a process did last of what counts for a device. */
export interface ShownStep {
  readonly by: string;
  readonly text: string;
  readonly ms: number;
}

export interface ShownDevice {
  readonly name: string;
  readonly guest: string;
  readonly front: readonly ShownState[];
  readonly back: readonly ShownState[];
  readonly steps: readonly { readonly at: string; readonly from: string; readonly to: string; readonly text: string }[];
  readonly reason: Reason;
  readonly last?: ShownStep;
  readonly error?: ShownStep;
  readonly connected: boolean;
  readonly frames: number;
  readonly gone: boolean;
  /** virtio device status, as the driver wrote it last. */
  readonly status: number;
  readonly queues: readonly (Queue & { readonly index: number })[];
  readonly slot?: { readonly state: string; readonly address: string; readonly value: string; readonly ms: number };
}

export class Devices {
  readonly #names = new DeviceNames();
  readonly #devices = new Map<string, Device>();
  readonly #guests = new Map<number, Guest>();

  take(records: readonly TraceRecord[]): void {
    for (const record of records) this.#one(record);
  }

  /** The devices of a domain that is gone are kept as they ended, the last few: how they ended may be what one looks for. */
  #gone(domid: number): void {
    for (const device of this.#devices.values()) if (device.domid === domid) device.gone = true;
    const gone = [...this.#devices].filter(([, device]) => device.gone);
    for (const [key, device] of gone.slice(0, Math.max(0, gone.length - GONE_MAX))) {
      this.#devices.delete(key);
      this.#guests.delete(device.domid);
    }
  }

  #one(record: TraceRecord): void {
    const of = this.#names.of(record);
    if (record.point === POINT['domain.give']) this.#gone(record.a);
    if (of?.domid === undefined) return;
    this.#registers(of.domid, record);
    this.#slot(of.domid, record);
    if (of.devid === undefined) {
      // An error names no device: it is of each that the guest has, as in lib/trace/device-sequence.ts.
      if (record.point.kind === 'error' && isStep(record))
        for (const device of this.#devices.values()) if (device.domid === of.domid) step(device, record);
      return;
    }
    const device = this.#device({ domid: of.domid, devid: of.devid });
    // Its session is kept too: without it no record of the device server is this device's.
    if (isStep(record) || record.point === POINT['session.take']) step(device, record);
    device.kind = KIND.exec(record.label)?.[1] ?? device.kind;
    const toolstack = record.process === 'toolstack';
    switch (record.point) {
      // As in lib/trace/handshakes.ts: the toolstack's word counts from where it is about to write.
      case toolstack ? POINT['front.state'] : POINT['front.state-written']:
        device.front = [...device.front, { state: edgeTo(record.b), ns: record.ns }].slice(-TRAIL_MAX);
        return;
      case toolstack ? POINT['back.state'] : POINT['back.state-written']:
        device.back = [...device.back, { state: edgeTo(record.b), ns: record.ns }].slice(-TRAIL_MAX);
        return;
      case POINT['gpu.flush']:
        device.frames++;
        return;
      default:
    }
  }

  #device(name: DeviceName): Device {
    const key = `${name.domid}/${name.devid}`;
    const device = this.#devices.get(key) ?? {
      ...name,
      ...{
        front: [],
        back: [],
        steps: [],
        frames: 0,
        kind: KIND_VIRTIO_MMIO,
        error: undefined,
        lines: undefined,
        gone: false,
      },
    };
    this.#devices.set(key, device);
    return device;
  }

  #guest(domid: number): Guest {
    const guest = this.#guests.get(domid) ?? { queueSel: 0, status: 0, queues: new Map(), slot: undefined };
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

  queuesOf(domid: number): ReadonlyMap<number, Queue> {
    return this.#guests.get(domid)?.queues ?? new Map();
  }

  /** How often the screen of `1/0` was flushed; undefined for a device that is not there. */
  framesOf(device: string): number | undefined {
    return this.#devices.get(device)?.frames;
  }

  /** `guests`: names by domain. `msOf`: of a record's time, from the start of the lab. */
  shown(processes: readonly ProcessRates[], guests: ReadonlyMap<number, string>, startNs: bigint): ShownDevice[] {
    const ms = (ns: bigint): number => Number(ns - startNs) / 1e6;
    const state = ({ state: number, ns }: StateAt): ShownState => ({
      state: number,
      name: xenbusStateName(number),
      ms: ms(ns),
    });
    const sorted = [...this.#devices.values()].sort(
      (one, other) => Number(one.gone) - Number(other.gone) || one.domid - other.domid || one.devid - other.devid,
    );
    return sorted.map((device) => {
      const { domid, devid, front, back, frames, gone, error } = device;
      const guest = guests.get(domid) ?? `dom${domid}`;
      const registers = this.#guests.get(domid);
      device.lines ??= deviceSequence(device.steps, device, startNs).slice(-STEPS_SHOWN);
      const { lines } = device;
      const slot = registers?.slot;
      const last = lines.at(-1);
      const reason = whyItStands({
        ...{ protocol: protocolOf(device.kind), processes, guest },
        ...{ front: front.at(-1)?.state, back: back.at(-1)?.state },
      });
      const isConnected = (states: readonly StateAt[]): boolean => states.at(-1)?.state === XenbusState.Connected;
      return {
        ...{ name: `${domid}/${devid}`, guest, frames, gone },
        front: front.map(state),
        back: back.map(state),
        steps: lines.map(({ at = '', from, to, text }) => ({ at: at.trim(), from, to, text })),
        connected: !gone && isConnected(front) && isConnected(back),
        reason: gone ? { causes: [] } : reason,
        ...(last === undefined ? {} : { last: { by: last.from, text: last.text, ms: ms(last.ns) } }),
        ...(error === undefined ? {} : { error: { by: error.process, text: errorText(error), ms: ms(error.ns) } }),
        status: registers?.status ?? 0,
        queues: [...(registers?.queues ?? [])].map(([index, queue]) => ({ index, ...queue })),
        ...(slot === undefined
          ? {}
          : {
              slot: {
                state: slot.state,
                address: `0x${slot.address.toString(16)}`,
                value: `0x${slot.value.toString(16)}`,
                ms: ms(slot.ns),
              },
            }),
      };
    });
  }
}

function step(device: Device, record: TraceRecord): void {
  device.steps.push(record);
  if (device.steps.length > STEPS_MAX * 2) device.steps = device.steps.slice(-STEPS_MAX);
  device.lines = undefined;
  if (record.point.kind === 'error') device.error = record;
}

const SLOT_STATES = new Map<Point, string>([
  [POINT['ioreq.fill'], 'READY'],
  [POINT['ioreq.read'], 'INPROCESS'],
  [POINT['ioreq.write'], 'INPROCESS'],
  [POINT['ioreq.answer'], 'RESP_READY'],
  [POINT['ioreq.done'], 'NONE'],
]);

const errorText = (record: TraceRecord): string =>
  [record.label, ...Object.entries(fieldsOf(record)).map(([name, value]) => `${name}=${value}`)].join(' ');
