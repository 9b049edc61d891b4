// The handshake as a run tells it: records of the processes' history rings become lines for a person and, a device at a
// time, the states that both ends went through. Leaves reading the rings to node/feed.ts.

import type { RecordKind } from '../core/history.js';
import { XenbusState, xenbusStateName } from '../layout/xenbus.js';

/** What is needed of a history record; `a` and `b` of a state record are the state before and after. */
export interface StepRecord {
  readonly process: string;
  readonly ns: bigint;
  readonly kind: RecordKind;
  readonly domid: number | undefined;
  readonly name: string;
  readonly a: number;
  readonly b: number;
}

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

/** A step to show: a state written, a key written (then without a state), or the guest's probe. */
export interface StepLine {
  readonly ns: bigint;
  readonly who: string;
  readonly state?: number;
  readonly key: string;
}

const UNKNOWN: number = XenbusState.Unknown;
const CONNECTED: number = XenbusState.Connected;
const PROBE = /^probe device\/[^/]+\/(\d+)$/;
const KEY = /^(?:device\/[^/]+\/\d+|backend\/[^/]+\/\d+\/\d+)\/[^/=]+=/;
const FRONT = /^device\/[^/]+\/(\d+)\/state$/;
const BACK = /^backend\/[^/]+\/(\d+)\/(\d+)\/state$/;

/** Collects the state records of all processes, in any order between processes. */
export class Handshakes {
  readonly #devices = new Map<string, DeviceStates>();

  /** Takes one record; returns a line to show when it is a step of a handshake. */
  take(record: StepRecord): StepLine | undefined {
    if (record.kind === 'step') return this.#step(record);
    if (record.kind !== 'state') return undefined;
    const front = FRONT.exec(record.name);
    const back = front === null ? BACK.exec(record.name) : null;
    if (front === null && back === null) return undefined;
    const domid = back === null ? record.domid : Number(back[1]);
    if (domid === undefined) return undefined;
    const device = this.#device(domid, Number(front?.[1] ?? back?.[2]));
    const states = back === null ? device.frontend : device.backend;
    // The state it moved from may be another's work: a foreign toolstack's, or one that was killed before it said so.
    if (record.a !== UNKNOWN && states.at(-1) !== record.a) states.push(record.a);
    states.push(record.b);
    if (back === null && record.b === CONNECTED) device.frontendConnectedNs ??= record.ns;
    return { ns: record.ns, who: record.process, state: record.b, key: record.name };
  }

  #step({ process: who, ns, domid, name }: StepRecord): StepLine | undefined {
    const probe = PROBE.exec(name);
    if (probe !== null && domid !== undefined) this.#device(domid, Number(probe[1])).probeNs ??= ns;
    return probe !== null || KEY.test(name) ? { ns, who, key: name } : undefined;
  }

  #device(domid: number, devid: number): DeviceStates {
    const key = `${domid}/${devid}`;
    let device = this.#devices.get(key);
    if (device === undefined) {
      device = { domid, devid, frontend: [], backend: [] };
      this.#devices.set(key, device);
    }
    return device;
  }

  /** Devices in the order of their domains. */
  get devices(): readonly DeviceStates[] {
    return [...this.#devices.values()].sort((a, b) => a.domid - b.domid || a.devid - b.devid);
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
