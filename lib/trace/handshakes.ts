// The handshake as a run tells it: records of the processes become lines for a person and, a device at a time, the states
// that both ends went through. Leaves reading the rings to lab/feed.ts.
import { XenbusState, xenbusStateName } from '../layout/xenbus.js';
import { edgeFrom, edgeTo, POINT } from './points.js';
import type { TraceRecord } from './record.js';

/** What is needed of a record. */
export type StepRecord = Pick<TraceRecord, 'process' | 'ns' | 'point' | 'domid' | 'label' | 'a' | 'b'>;

export interface DeviceStates {
  readonly domid: number;
  readonly devid: number;
  readonly frontend: number[];
  readonly backend: number[];
  /** Nanoseconds of the monotonic clock. */
  frontendConnectedNs?: bigint;
  /** When the guest's core began to probe the device. */
  probeNs?: bigint;
}

/** `supposed`: places in the states that only the move after them told of, their own record not having come yet. */
interface Collected extends DeviceStates {
  readonly supposed: { readonly frontend: number[]; readonly backend: number[] };
}

/** A step to show: a state written, a key written (then without a state), or the guest's probe. */
export interface StepLine {
  readonly ns: bigint;
  readonly who: string;
  readonly state?: number;
  readonly key: string;
}

/**
 * Both ends answer what the toolstack writes before its transaction is answered, so its record of the written state comes
 * after theirs: its state counts from where it is about to write it.
 */
const TOOLSTACK = 'toolstack';
const UNKNOWN: number = XenbusState.Unknown;
const CONNECTED: number = XenbusState.Connected;

/** Collects the records of all processes, in any order between processes. */
export class Handshakes {
  readonly #devices = new Map<string, Collected>();

  /** Takes one record; returns a line to show when it is a step of a handshake. */
  take(record: StepRecord): StepLine | undefined {
    const { process: who, ns, point, domid, label, a: devid } = record;
    if (domid === undefined) return undefined;
    switch (point) {
      case POINT['front.state']:
      case POINT['back.state']:
        return who === TOOLSTACK ? this.#state(record, domid, point === POINT['front.state']) : undefined;
      case POINT['front.state-written']:
      case POINT['back.state-written']:
        return who === TOOLSTACK ? undefined : this.#state(record, domid, point === POINT['front.state-written']);
      case POINT['front.probe']:
        this.#device(domid, devid).probeNs ??= ns;
        return { ns, who, key: `probe ${label}` };
      case POINT['front.key']:
      case POINT['back.key']:
        return { ns, who, key: label };
      default:
        return undefined;
    }
  }

  #state({ process: who, ns, label, a: devid, b }: StepRecord, domid: number, front: boolean): StepLine {
    const device = this.#device(domid, devid);
    const states = front ? device.frontend : device.backend;
    const [from, to] = [edgeFrom(b), edgeTo(b)];
    const supposed = front ? device.supposed.frontend : device.supposed.backend;
    // A writer records after it has written: the other end's answer to the state may have been recorded before.
    const late = supposed.findIndex((at) => states[at] === to && (from === UNKNOWN || states[at - 1] === from));
    if (late >= 0) supposed.splice(late, 1);
    else {
      // The state it moved from may be another's work: a foreign toolstack's, or one that was killed before it said so.
      if (from !== UNKNOWN && states.at(-1) !== from) supposed.push(states.push(from) - 1);
      states.push(to);
    }
    if (front && to === CONNECTED) device.frontendConnectedNs ??= ns;
    return { ns, who, state: to, key: label };
  }

  #device(domid: number, devid: number): Collected {
    const key = `${domid}/${devid}`;
    let device = this.#devices.get(key);
    if (device === undefined) {
      device = { domid, devid, frontend: [], backend: [], supposed: { frontend: [], backend: [] } };
      this.#devices.set(key, device);
    }
    return device;
  }

  /** Devices in the order of their domains. */
  get devices(): readonly DeviceStates[] {
    return [...this.#devices.values()]
      .map(({ supposed: _supposed, ...device }) => device)
      .sort((a, b) => a.domid - b.domid || a.devid - b.devid);
  }
}

/** `    12.3 ms  guest-1          Initialised   device/virtio-mmio/0/state` */
export function showLine(line: StepLine, startNs: bigint): string {
  const what = line.state === undefined ? '' : xenbusStateName(line.state);
  const ms = (Number(line.ns - startNs) / 1e6).toFixed(1).padStart(8);
  return `${ms} ms  ${line.who.padEnd(16)}  ${what.padEnd(12)}  ${line.key}`;
}

/** Milliseconds from the probe to the frontend's Connected; undefined while either has not been. */
export function handshakeMs(device: DeviceStates): number | undefined {
  if (device.probeNs === undefined || device.frontendConnectedNs === undefined) return undefined;
  return Number(device.frontendConnectedNs - device.probeNs) / 1e6;
}
