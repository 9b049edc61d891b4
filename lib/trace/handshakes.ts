// The handshake as a run tells it: records of the processes become lines for a person and, a device at a time, the states
// that both ends went through. Leaves reading the rings to lab/feed.ts.
import { parseDeviceKey, XENBUS_KEY, XenbusState, xenbusStateName } from '../layout/xenbus.js';
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

/** Of one end of a device. */
interface End {
  readonly told: number[];
  /** Places in `told` that only the move after them told of, their own record not having come yet. */
  readonly supposed: number[];
  /** What xenstored said that it had, in its order. */
  readonly committed: { readonly ns: bigint; readonly state: number }[];
  /** Who told last but for the toolstack, and how that process calls the state's node. */
  teller?: Pick<StepLine, 'who' | 'key'>;
}

interface Collected extends Pick<DeviceStates, 'domid' | 'devid' | 'frontendConnectedNs' | 'probeNs'> {
  readonly front: End;
  readonly back: End;
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

const sideOf = (point: TraceRecord['point']): 'front' | 'back' =>
  point === POINT['front.state'] || point === POINT['front.state-written'] ? 'front' : 'back';

/** Collects the records of all processes, in any order between processes. */
export class Handshakes {
  readonly #devices = new Map<string, Collected>();

  /** Takes one record; returns a line to show when it is a step of a handshake. */
  take(record: StepRecord): StepLine | undefined {
    const { process: who, ns, point, domid, label, a: devid } = record;
    if (point === POINT['store.commit']) this.#commit(record);
    if (domid === undefined) return undefined;
    switch (point) {
      case POINT['front.state']:
      case POINT['back.state']:
        return who === TOOLSTACK ? this.#state(record, domid, sideOf(point)) : undefined;
      case POINT['front.state-written']:
      case POINT['back.state-written']:
        return who === TOOLSTACK ? undefined : this.#state(record, domid, sideOf(point));
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

  #commit({ ns, label, b: state }: StepRecord): void {
    const found = parseDeviceKey(label);
    // A value of 0 is no state: the node was removed, or holds no number.
    if (found?.key !== XENBUS_KEY.state || state === UNKNOWN) return;
    const { committed } = this.#device(found.domid, found.devid)[found.side];
    if (committed.at(-1)?.state !== state) committed.push({ ns, state });
  }

  #state({ process: who, ns, label, a: devid, b }: StepRecord, domid: number, side: 'front' | 'back'): StepLine {
    const device = this.#device(domid, devid);
    const end = device[side];
    const { told, supposed } = end;
    const [from, to] = [edgeFrom(b), edgeTo(b)];
    // A writer records after it has written: the other end's answer to the state may have been recorded before.
    const late = supposed.findIndex((at) => told[at] === to && (from === UNKNOWN || told[at - 1] === from));
    if (late >= 0) supposed.splice(late, 1);
    else {
      // The state it moved from may be another's work: a foreign toolstack's, or one that was killed before it said so.
      if (from !== UNKNOWN && told.at(-1) !== from) supposed.push(told.push(from) - 1);
      told.push(to);
    }
    if (side === 'front' && to === CONNECTED) device.frontendConnectedNs ??= ns;
    if (who !== TOOLSTACK) end.teller = { who, key: label };
    return { ns, who, state: to, key: label };
  }

  #device(domid: number, devid: number): Collected {
    const key = `${domid}/${devid}`;
    let device = this.#devices.get(key);
    if (device === undefined) {
      const end = (): End => ({ told: [], supposed: [], committed: [] });
      device = { domid, devid, front: end(), back: end() };
      this.#devices.set(key, device);
    }
    return device;
  }

  /**
   * Steps that their writers were ended before they could tell: a guest whose domain is destroyed while the reply to its last
   * write is on its way says nothing of that write any more, and xenstored has it. To ask when nothing more comes.
   */
  untold(): StepLine[] {
    return this.#told.flatMap(({ front, back }) =>
      [front, back].flatMap((end) => {
        const { teller } = end;
        return teller === undefined ? [] : untoldOf(end).map((step) => ({ ...teller, ...step }));
      }),
    );
  }

  /** Devices in the order of their domains. */
  get devices(): readonly DeviceStates[] {
    return this.#told
      .map(({ front, back, ...device }) => ({ ...device, frontend: statesOf(front), backend: statesOf(back) }))
      .sort((a, b) => a.domid - b.domid || a.devid - b.devid);
  }

  /** Of this run: an end of theirs has told something. */
  get #told(): Collected[] {
    return [...this.#devices.values()].filter(({ front, back }) => front.told.length + back.told.length > 0);
  }
}

/** Nothing when the end tells of what xenstored does not: its memory is a ring. */
function untoldOf({ told, committed }: End): End['committed'] {
  return told.every((state, index) => committed[index]?.state === state) ? committed.slice(told.length) : [];
}

function statesOf(end: End): number[] {
  return [...end.told, ...untoldOf(end).map(({ state }) => state)];
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
