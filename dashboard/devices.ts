// What the page says of each device: the states of both ends and when each came, its server, the last steps, frames, errors. From the
// records, and from the store where those do not say it any more. Leaves registers and slots to registers.ts, and why a handshake
// stands to why.ts.
import type { ProcessRates } from '../lab/rates.js';
import { type DeviceServerProcess, deviceServerProcess, isDeviceServer } from '../lib/core/device-server.js';
import { KIND_VIRTIO_MMIO, XenbusState, xenbusStateName } from '../lib/layout/xenbus.js';
import { deviceSequence, isStep } from '../lib/trace/device-sequence.js';
import { type DeviceName, DeviceNames } from '../lib/trace/devices.js';
import { edgeTo, POINT } from '../lib/trace/points.js';
import { fieldsOf, type TraceRecord } from '../lib/trace/record.js';
import { protocolOf } from '../lib/xenbus/protocols.js';
import { type Queue, Registers } from './registers.js';
import { storedFact } from './store-devices.js';
import type { StoreChange } from './store-view.js';
import { type Reason, whyItStands } from './why.js';

/** States of one end that are shown with their times. */
const TRAIL_MAX = 12;
/** Records of a device from which its last steps are told. */
const STEPS_MAX = 40;
const STEPS_SHOWN = 14;
/** Devices of domains that are gone. */
const GONE_MAX = 4;
const CURSOR_COMMANDS = ['UPDATE_CURSOR', 'MOVE_CURSOR'];
/** The kind of a device, in the path of one of its nodes. */
const KIND = /(?:^|\/)(?:device|backend)\/(virtio[a-z-]*)\//;

interface StateAt {
  readonly state: number;
  readonly ns: bigint;
  /** No record says when it was written: the store had it at that time. */
  readonly found?: boolean;
}

type SequenceLines = ReturnType<typeof deviceSequence>['lines'];

interface Device extends DeviceName {
  front: StateAt[];
  back: StateAt[];
  steps: TraceRecord[];
  /** What they are as lines; undefined: to be made anew. */
  lines: SequenceLines | undefined;
  frames: number;
  /** Commands of the cursor that its server has done. */
  cursors: number;
  /** Of its directories in the store: which version of the protocol it is held to. */
  kind: string;
  /** The last that either end reported. */
  error: TraceRecord | undefined;
  server: DeviceServerProcess;
  /** Its domain is. */
  gone: boolean;
}

export interface ShownState {
  readonly state: number;
  readonly name: string;
  readonly ms: number;
  /** It has had that state for longer. */
  readonly found?: boolean;
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
  /** Those that are recorded. */
  readonly frames: number;
  /** Commands of the cursor, which change what is seen without a flush. */
  readonly cursors: number;
  /** It was Connected before the records begin, and may have shown something. */
  readonly earlier: boolean;
  readonly server: DeviceServerProcess;
  /** Which version of the protocol it is held to. */
  readonly protocol: string;
  readonly gone: boolean;
  /** virtio device status, as the driver wrote it last; undefined where that is not recorded any more. */
  readonly status?: number;
  readonly queues: readonly (Queue & { readonly index: number })[];
  readonly slot?: { readonly state: string; readonly address: string; readonly value: string; readonly ms: number };
}

export class Devices {
  readonly #names = new DeviceNames();
  readonly #devices = new Map<string, Device>();
  readonly #registers = new Registers();

  take(records: readonly TraceRecord[]): void {
    for (const record of records) this.#one(record);
  }

  /** The devices of a domain that is gone are kept as they ended, the last few: how they ended may be what one looks for. */
  #gone(domid: number): void {
    for (const device of this.#devices.values()) if (device.domid === domid) device.gone = true;
    const gone = [...this.#devices].filter(([, device]) => device.gone);
    for (const [key, device] of gone.slice(0, Math.max(0, gone.length - GONE_MAX))) {
      this.#devices.delete(key);
      this.#registers.forget(device.domid);
    }
  }

  /** Nodes that the store has now. `ns`: after they were read. */
  stored(changes: readonly StoreChange[], ns: bigint): void {
    for (const change of changes) {
      const fact = storedFact(change);
      if (fact === undefined) continue;
      const key = keyOf(fact);
      const known = this.#devices.get(key);
      if (known?.gone) continue;
      if (fact.what === 'removed') {
        // No record is of it, so that none will say that its domain is gone.
        if (known?.steps.length === 0) this.#devices.delete(key);
        continue;
      }
      const device = known ?? this.#device(fact);
      device.kind = KIND.exec(change.path)?.[1] ?? device.kind;
      if (fact.what === 'server') serves(device, fact.server);
      else if (device[fact.side].at(-1)?.state !== fact.state)
        device[fact.side] = [...device[fact.side], { state: fact.state, ns, found: true }].slice(-TRAIL_MAX);
    }
  }

  #one(record: TraceRecord): void {
    const of = this.#names.of(record);
    if (record.point === POINT['domain.give']) this.#gone(record.a);
    if (of?.domid === undefined) return;
    this.#registers.take(of.domid, record);
    if (of.devid === undefined) {
      // An error names no device: it is of each that the guest has, as in lib/trace/device-sequence.ts.
      if (record.point.kind === 'error' && isStep(record))
        for (const device of this.#devices.values()) if (device.domid === of.domid) step(device, record);
      // Neither does a command.
      if (record.point === POINT['gpu.executed'] && CURSOR_COMMANDS.includes(record.label))
        for (const device of this.#devices.values()) if (device.domid === of.domid) device.cursors++;
      return;
    }
    const device = this.#device({ domid: of.domid, devid: of.devid });
    // Its session is kept too: without it no record of the device server is this device's.
    if (isStep(record) || record.point === POINT['session.take']) step(device, record);
    device.kind = KIND.exec(record.label)?.[1] ?? device.kind;
    if (isDeviceServer(record.process)) serves(device, record.process);
    const toolstack = record.process === 'toolstack';
    switch (record.point) {
      // As in lib/trace/handshakes.ts: the toolstack's word counts from where it is about to write.
      case toolstack ? POINT['front.state'] : POINT['front.state-written']:
        device.front = followed(device.front, { state: edgeTo(record.b), ns: record.ns });
        return;
      case toolstack ? POINT['back.state'] : POINT['back.state-written']:
        device.back = followed(device.back, { state: edgeTo(record.b), ns: record.ns });
        return;
      case POINT['gpu.flush']:
        device.frames++;
        return;
      default:
    }
  }

  #device(name: DeviceName): Device {
    const key = keyOf(name);
    const device = this.#devices.get(key) ?? {
      ...{ domid: name.domid, devid: name.devid, server: deviceServerProcess(undefined) },
      ...{
        front: [],
        back: [],
        steps: [],
        frames: 0,
        cursors: 0,
        kind: KIND_VIRTIO_MMIO,
        error: undefined,
        lines: undefined,
        gone: false,
      },
    };
    this.#devices.set(key, device);
    return device;
  }

  queuesOf(domid: number): ReadonlyMap<number, Queue> {
    return this.#registers.of(domid)?.queues ?? new Map();
  }

  /** How often the screen of `1/0` was flushed; undefined for a device that is not there. */
  framesOf(device: string): number | undefined {
    return this.#devices.get(device)?.frames;
  }

  /** `guests`: names by domain. `msOf`: of a record's time, from the start of the lab. */
  shown(processes: readonly ProcessRates[], guests: ReadonlyMap<number, string>, startNs: bigint): ShownDevice[] {
    const ms = (ns: bigint): number => Number(ns - startNs) / 1e6;
    const state = ({ state: number, ns, found }: StateAt): ShownState => ({
      ...{ state: number, name: xenbusStateName(number), ms: ms(ns) },
      ...(found ? { found } : {}),
    });
    const sorted = [...this.#devices.values()].sort(
      (one, other) => Number(one.gone) - Number(other.gone) || one.domid - other.domid || one.devid - other.devid,
    );
    return sorted.map((device) => {
      const { domid, front, back, frames, cursors, gone, error, server } = device;
      const guest = guests.get(domid) ?? `dom${domid}`;
      const registers = this.#registers.of(domid);
      device.lines ??= deviceSequence(device.steps, device, startNs, server).lines.slice(-STEPS_SHOWN);
      const { lines } = device;
      const slot = registers?.slot;
      const last = lines.at(-1);
      const reason = whyItStands({
        ...{ protocol: protocolOf(device.kind), processes, guest, server },
        ...{ front: front.at(-1)?.state, back: back.at(-1)?.state },
      });
      const isConnected = (states: readonly StateAt[]): boolean => states.at(-1)?.state === XenbusState.Connected;
      return {
        ...{ name: keyOf(device), guest, server, frames, cursors, gone, protocol: protocolOf(device.kind).name },
        earlier: front.some(({ state, found }) => found && state === XenbusState.Connected),
        front: front.map(state),
        back: back.map(state),
        steps: lines.map(({ at = '', from, to, text }) => ({ at: at.trim(), from, to, text })),
        connected: !gone && isConnected(front) && isConnected(back),
        reason: gone ? { causes: [] } : reason,
        ...(last === undefined ? {} : { last: { by: last.from, text: last.text, ms: ms(last.ns) } }),
        ...(error === undefined ? {} : { error: { by: error.process, text: errorText(error), ms: ms(error.ns) } }),
        ...(registers?.status === undefined ? {} : { status: registers.status }),
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

const keyOf = ({ domid, devid }: DeviceName): string => `${domid}/${devid}`;

/**
 * A state that a record tells, among those that were found in the store: before what was found later. It takes the place of the
 * same state found, and tells when that was written. A writer records once the store has answered: the page may have found the
 * state before.
 */
function followed(states: readonly StateAt[], next: StateAt): StateAt[] {
  const later = states.findIndex(({ found, ns }) => found && ns >= next.ns);
  const before = later < 0 ? [...states] : states.slice(0, later);
  const after = later < 0 ? [] : states.slice(later);
  const isNext = (found: StateAt | undefined): boolean => found?.found === true && found.state === next.state;
  if (isNext(after[0])) after.shift();
  else if (isNext(before.at(-1))) before.pop();
  return [...before, next, ...after].slice(-TRAIL_MAX);
}

function serves(device: Device, server: DeviceServerProcess): void {
  if (device.server === server) return;
  device.server = server;
  device.lines = undefined;
}

function step(device: Device, record: TraceRecord): void {
  device.steps.push(record);
  if (device.steps.length > STEPS_MAX * 2) device.steps = device.steps.slice(-STEPS_MAX);
  device.lines = undefined;
  if (record.point.kind === 'error') device.error = record;
}

const errorText = (record: TraceRecord): string =>
  [record.label, ...Object.entries(fieldsOf(record)).map(([name, value]) => `${name}=${value}`)].join(' ');
