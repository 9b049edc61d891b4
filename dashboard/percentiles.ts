// How long notifications take now, by device and direction: percentiles of the last ones. From kicks and calls whose way is in the
// records (lib/trace/flows.ts); for figures that must account for every one there is xenwire latency.
import { DeviceNames } from '../lib/trace/devices.js';
import type { Flow } from '../lib/trace/flows.js';
import { POINT } from '../lib/trace/points.js';
import type { TraceRecord } from '../lib/trace/record.js';

/** Of each device and direction. */
const SAMPLES_MAX = 2000;
/** Domains that are gone whose samples are kept. */
const GONE_MAX = 4;
/** What the plot has points at. */
export const PERCENTILES = [0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100] as const;

export interface ShownLatency {
  readonly name: string;
  readonly count: number;
  /** Microseconds, at PERCENTILES. */
  readonly us: readonly number[];
}

const DIRECTIONS = { kick: 'to device', call: 'to guest' } as const;

export class Latencies {
  readonly #samples = new Map<string, number[]>();
  readonly #gone: number[] = [];
  /** Sorting takes long: until there are others. */
  #shown: ShownLatency[] = [];

  /** Whole notifications: those that began and ended in the records that were looked at. */
  take(flows: readonly Flow[]): void {
    for (const { kind, steps } of flows) {
      if (kind !== 'kick' && kind !== 'call') continue;
      const end = steps.find(({ point }) => point === (kind === 'kick' ? POINT['kick.taken'] : POINT['event.taken']));
      const begin = steps[0]!;
      const domid = steps.find((step) => step.domid !== undefined)?.domid;
      if (end === undefined || domid === undefined) continue;
      const name = `domain ${domid} ${DIRECTIONS[kind]}`;
      const samples = this.#samples.get(name) ?? [];
      this.#samples.set(name, samples);
      samples.push(Number(end.ns - begin.ns) / 1000);
      if (samples.length > SAMPLES_MAX * 1.2) samples.splice(0, samples.length - SAMPLES_MAX);
    }
    this.#shown = this.#percentiles();
  }

  /** Told of a domain that is gone: those of the last few stay, as their devices do. */
  gone(domid: number): void {
    this.#gone.push(domid);
    for (const old of this.#gone.splice(0, Math.max(0, this.#gone.length - GONE_MAX)))
      for (const name of this.#samples.keys()) if (name.startsWith(`domain ${old} `)) this.#samples.delete(name);
  }

  shown(): readonly ShownLatency[] {
    return this.#shown;
  }

  #percentiles(): ShownLatency[] {
    return [...this.#samples].map(([name, samples]) => {
      const sorted = [...samples].sort((one, other) => one - other);
      const at = (percent: number): number => sorted[Math.ceil((percent / 100) * (sorted.length - 1))]!;
      return { name, count: sorted.length, us: PERCENTILES.map((percent) => Math.round(at(percent) * 10) / 10) };
    });
  }
}

interface PortUse {
  /** undefined: the record of its taking is gone. */
  readonly remote: number | undefined;
  raised: number;
}

/** Event channels and mapped grants by domain, as the hypervisor's records of taking and giving them say. */
export class Ports {
  readonly #ports = new Map<number, Map<number, PortUse>>();
  /** By domain: references that are mapped, and how often. */
  readonly #grants = new Map<number, Map<number, number>>();
  readonly #names = new DeviceNames();

  take(records: readonly TraceRecord[]): void {
    for (const record of records) {
      const domid = this.#names.of(record)?.domid;
      if (record.point === POINT['domain.give']) this.#ports.delete(record.a);
      if (record.process === 'hypervisor' && record.point === POINT['life.start']) {
        this.#ports.clear();
        this.#grants.clear();
      }
      if (record.point === POINT['domain.give']) this.#grants.delete(record.a);
      if (record.process !== 'hypervisor' || domid === undefined) continue;
      this.#grant(domid, record);
      const ports = this.#ports.get(domid) ?? new Map<number, PortUse>();
      this.#ports.set(domid, ports);
      if (record.point === POINT['port.take']) ports.set(record.a, { remote: record.b, raised: 0 });
      if (record.point === POINT['port.give']) ports.delete(record.a);
      if (record.point !== POINT['event.raise']) continue;
      // One that was taken before the records begin shows that it is there.
      const used = ports.get(record.a) ?? { remote: undefined, raised: 0 };
      used.raised++;
      ports.set(record.a, used);
    }
  }

  #grant(domid: number, { point, a: ref }: TraceRecord): void {
    if (point !== POINT['grant.take'] && point !== POINT['grant.give']) return;
    const refs = this.#grants.get(domid) ?? new Map<number, number>();
    this.#grants.set(domid, refs);
    const count = (refs.get(ref) ?? 0) + (point === POINT['grant.take'] ? 1 : -1);
    if (count > 0) refs.set(ref, count);
    else refs.delete(ref);
  }

  /** Of each domain, the references of its grants that dom0 has mapped now. */
  grants(): { readonly domid: number; readonly refs: readonly number[] }[] {
    return [...this.#grants]
      .filter(([, refs]) => refs.size > 0)
      .map(([domid, refs]) => ({ domid, refs: [...refs.keys()].sort((one, other) => one - other) }));
  }

  /** How often each port was raised since it was taken, by `domid/port`. */
  shown(): (PortUse & { readonly domid: number; readonly port: number })[] {
    return [...this.#ports]
      .flatMap(([domid, ports]) => [...ports].map(([port, use]) => ({ domid, port, ...use })))
      .sort((one, other) => one.domid - other.domid || one.port - other.port);
  }
}
