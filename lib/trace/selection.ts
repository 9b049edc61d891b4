// Which records of a history a person wants to see.
import type { Point, PointKind } from '../core/probe.js';
import { type DeviceName, DeviceNames } from './devices.js';
import type { TraceRecord } from './record.js';

export interface Selection {
  readonly process?: string;
  readonly kinds?: readonly PointKind[];
  readonly points?: readonly Point[];
  readonly domid?: number;
  /** Also what concerns its domain and names no device: the vCPU's exits, events. */
  readonly device?: DeviceName;
  /** Nanoseconds from the first record of the history. */
  readonly fromNs?: bigint;
  readonly untilNs?: bigint;
}

/** Asked in order of time. `startNs`: of the first record. */
export function selector(selection: Selection, startNs: bigint): (record: TraceRecord) => boolean {
  const names = new DeviceNames();
  const { process, kinds, points, domid, device, fromNs, untilNs } = selection;
  return (record) => {
    const concerned = names.of(record);
    const ns = record.ns - startNs;
    return (
      (process === undefined || record.process === process) &&
      (kinds === undefined || kinds.includes(record.point.kind)) &&
      (points === undefined || points.includes(record.point)) &&
      (domid === undefined || record.domid === domid || concerned?.domid === domid) &&
      (device === undefined ||
        (concerned?.domid === device.domid && (concerned.devid ?? device.devid) === device.devid)) &&
      (fromNs === undefined || ns >= fromNs) &&
      (untilNs === undefined || ns <= untilNs)
    );
  };
}
