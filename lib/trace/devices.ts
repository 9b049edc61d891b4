// Which device a record concerns. Records carry the guest's domain, and some the number of the device in it. Those of a device server
// carry the number of a session of its own as well: its record session.take tells the device (lib/trace/hops.ts).
import { POINT } from './points.js';
import type { TraceRecord } from './record.js';

export interface DeviceName {
  readonly domid: number;
  readonly devid: number;
}

/** `1/0`: device 0 of domain 1. undefined for other text. */
export function parseDevice(text: string): DeviceName | undefined {
  const found = /^(\d{1,5})\/(\d{1,3})$/.exec(text);
  return found === null ? undefined : { domid: Number(found[1]), devid: Number(found[2]) };
}

export type DeviceRecord = Pick<TraceRecord, 'process' | 'incarnation' | 'point' | 'label' | 'a' | 'b' | 'domid'>;

/** Takes records in order of time and says of each which device, or which domain at least, it concerns. */
export class DeviceNames {
  readonly #ofSession = new Map<string, DeviceName>();

  /** devid is left out where the record names none: a vCPU's exit, an event. */
  of(record: DeviceRecord): Partial<DeviceName> | undefined {
    const { point, label, a, b, domid } = record;
    const session = point.a?.name === 'session' ? a : point.b?.name === 'session' ? b : undefined;
    if (point === POINT['session.take']) {
      const device = parseDevice(label);
      if (device !== undefined) this.#ofSession.set(`${record.process} ${record.incarnation} ${a}`, device);
    }
    const ofSession =
      session === undefined ? undefined : this.#ofSession.get(`${record.process} ${record.incarnation} ${session}`);
    if (ofSession !== undefined) return ofSession;
    if (point.label === 'device') return parseDevice(label);
    if (domid === undefined) return undefined;
    const devid = point.a?.name === 'devid' ? a : point.b?.name === 'devid' ? b : undefined;
    return devid === undefined ? { domid } : { domid, devid };
  }
}
