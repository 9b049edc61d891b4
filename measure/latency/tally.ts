// Figures of one measurement: histograms of each direction, of the round trip and of every hop, filled from followed
// requests. Leaves following to follow.ts and printing to the reports.
import type { Histogram } from 'hdr-histogram-js';
import { HOP } from '../../lib/trace/hops.js';
import type { Load } from '../../lib/trace/latency-run.js';
import { type Figures, figuresOf, nsHistogram } from '../floor/figures.js';
import { type Followed, label, type Passed } from './follow.js';
import { type Column, UsCounts } from './histfile.js';

export interface HopFigures {
  readonly from: string;
  readonly to: string;
  readonly ns: Figures;
}

/** Percentile and nanoseconds, for plots. */
export type Curve = readonly (readonly [percentile: number, ns: number])[];

export interface TallyFigures {
  readonly samples: number;
  readonly guestToDeviceNs: Figures;
  readonly deviceToGuestNs: Figures;
  readonly roundTripNs: Figures;
  readonly hops: readonly HopFigures[];
  readonly curves: { readonly guestToDevice: Curve; readonly deviceToGuest: Curve; readonly roundTrip: Curve };
}

/** Percentiles of a plot: evenly spaced in the logarithm of what lies above. */
const CURVE_STEPS_PER_DECADE = 8;
const CURVE_DECADES = 5;

export class Tally {
  readonly #load: Load;
  readonly #toDevice = nsHistogram();
  readonly #toGuest = nsHistogram();
  readonly #roundTrip = nsHistogram();
  readonly #us = { toDevice: new UsCounts(), toGuest: new UsCounts(), roundTrip: new UsCounts() };
  readonly #hops = new Map<string, { from: string; to: string; histogram: Histogram }>();
  #samples = 0;
  /** Requests that the device found by itself, or whose completion the guest did: without a notification. */
  unkicked = 0;
  uncalled = 0;
  coalesced = 0;

  constructor(load: Load) {
    this.#load = load;
  }

  get samples(): number {
    return this.#samples;
  }

  /** One-way times of a request as they are counted: an open loop's include what the request was late by. */
  oneWay(request: Followed): { toDevice: bigint | undefined; toGuest: bigint | undefined } {
    const { toDevice, toGuest } = request;
    const lateNs = this.#load === 'open' ? request.requestNs - request.intendedNs : 0n;
    return {
      toDevice: toDevice && tookNs(toDevice) + lateNs,
      toGuest: toGuest && tookNs(toGuest),
    };
  }

  add(request: Followed): void {
    this.#samples++;
    const { toDevice, toGuest } = request;
    const oneWay = this.oneWay(request);
    if (oneWay.toDevice === undefined) this.unkicked++;
    else record(this.#toDevice, oneWay.toDevice, this.#us.toDevice);
    if (oneWay.toGuest === undefined) this.uncalled++;
    else record(this.#toGuest, oneWay.toGuest, this.#us.toGuest);
    const start = this.#load === 'open' ? request.intendedNs : (toDevice?.[0]?.ns ?? request.requestNs);
    record(this.#roundTrip, request.usedNs - start, this.#us.roundTrip);
    if (toDevice !== undefined) this.#addHops(toDevice);
    const kick = toDevice?.find(({ at }) => at === label(HOP.hypervisorKick));
    if (kick !== undefined && request.writtenBackNs !== undefined) {
      this.#addHops([kick, { at: label(HOP.hypervisorWriteBack), ns: request.writtenBackNs }]);
    }
    if (toDevice !== undefined && toGuest !== undefined) this.#addHops([toDevice.at(-1)!, toGuest[0]!]);
    if (toGuest === undefined) return;
    this.#addHops(toGuest);
    // Reading and acknowledging InterruptStatus: two exits answered by vhost-frontend.
    this.#addHops([toGuest.at(-1)!, { at: 'guest used', ns: request.usedNs }]);
  }

  #addHops(passed: readonly Passed[]): void {
    for (let index = 1; index < passed.length; index++) {
      const from = passed[index - 1]!;
      const to = passed[index]!;
      // The device may have found the command before it heard of the kick, the guest the buffer before the upcall.
      if (to.ns >= from.ns) this.#addHop(from.at, to.at, to.ns - from.ns);
    }
  }

  #addHop(from: string, to: string, ns: bigint): void {
    const key = `${from} > ${to}`;
    let hop = this.#hops.get(key);
    if (hop === undefined) {
      hop = { from, to, histogram: nsHistogram() };
      this.#hops.set(key, hop);
    }
    record(hop.histogram, ns);
  }

  /** For files of other programs; `name` is of the measurement. */
  columns(name: string): Column[] {
    return [
      { name: `${name}, guest to device`, ns: this.#toDevice, us: this.#us.toDevice },
      { name: `${name}, device to guest`, ns: this.#toGuest, us: this.#us.toGuest },
      { name: `${name}, round trip`, ns: this.#roundTrip, us: this.#us.roundTrip },
    ];
  }

  figures(): TallyFigures {
    return {
      samples: this.#samples,
      guestToDeviceNs: figuresOf(this.#toDevice),
      deviceToGuestNs: figuresOf(this.#toGuest),
      roundTripNs: figuresOf(this.#roundTrip),
      hops: [...this.#hops.values()].map(({ from, to, histogram }) => ({ from, to, ns: figuresOf(histogram) })),
      curves: {
        guestToDevice: curveOf(this.#toDevice),
        deviceToGuest: curveOf(this.#toGuest),
        roundTrip: curveOf(this.#roundTrip),
      },
    };
  }
}

const tookNs = (passed: readonly Passed[]): bigint => passed.at(-1)!.ns - passed[0]!.ns;

function record(histogram: Histogram, ns: bigint, us?: UsCounts): void {
  const value = Math.max(1, Number(ns));
  histogram.recordValue(value);
  us?.add(value);
}

/** As far out as the samples reach. */
export function curveOf(histogram: Histogram): Curve {
  const points: [number, number][] = [];
  for (let step = 0; step <= CURVE_STEPS_PER_DECADE * CURVE_DECADES; step++) {
    const above = 10 ** (-step / CURVE_STEPS_PER_DECADE);
    if (histogram.totalCount * above < 1) break;
    const percentile = 100 * (1 - above);
    points.push([percentile, histogram.getValueAtPercentile(percentile)]);
  }
  if (histogram.totalCount > 0) points.push([100, histogram.maxValue]);
  return points;
}
