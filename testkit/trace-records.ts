// Records of a history as a test makes them: what it does not say is empty, times are microseconds, each a little after the last.
import type { Point } from '../lib/core/probe.js';
import type { TraceRecord } from '../lib/trace/record.js';

export type GivenRecord = Partial<Omit<TraceRecord, 'process' | 'point' | 'ns'>>;

/** Makes records in order of time, a microsecond apart. */
export class TraceScript {
  readonly records: TraceRecord[] = [];

  at(process: string, point: Point, given: GivenRecord = {}): TraceRecord {
    const record: TraceRecord = {
      ...{ process, point, ns: BigInt(this.records.length + 1) * 1000n, index: this.records.length },
      ...{ incarnation: 1, label: '', occurrence: 1, a: 0, b: 0, domid: undefined, flow: 0, sender: 0 },
      ...given,
    };
    this.records.push(record);
    return record;
  }
}
