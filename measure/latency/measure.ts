// One measurement in a running lab: batches of requests until there are samples enough, each batch followed and checked.
// Batches are so small that no history ring goes round within one: draining runs between them, and takes no core from a process that is measured.

import { HISTORY_RECORDS } from '../../lib/core/limits.js';
import type { Load } from '../../lib/trace/latency-run.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { type Followed, follow } from './follow.js';
import type { MeasuredLab } from './lab.js';
import { Tally } from './tally.js';

export interface MeasureChoice {
  readonly load: Load;
  readonly samples: number;
  /** Open: requests a second. */
  readonly rate: number;
  /** Closed: nothing happens for so long before each request. */
  readonly gapUs: number;
  /** Requests, in whole batches, before the first that counts: code is compiled as it runs. */
  readonly warmUp: number;
  /** Ends with the samples that there are by then. */
  readonly durationMs?: number;
  /** Told after each batch. */
  readonly onProgress?: (samples: number) => void;
  /** Stops at the first one-way time above. */
  readonly thresholdNs?: number;
}

/** The first notification above the threshold, with everything recorded around it. */
export interface Exceeded {
  readonly request: Followed;
  readonly direction: 'guest to device' | 'device to guest';
  readonly ns: number;
  readonly records: readonly TraceRecord[];
}

export interface Measured {
  readonly tally: Tally;
  readonly exceeded?: Exceeded;
  /** As the guest saw its requests, start to used buffer: what there is without history. The worst batch's p50 is not hidden. */
  readonly guestP50Ns: readonly number[];
}

/** A notification was lost or doubled: the figures would mean nothing. */
export class SelfCheckError extends Error {
  override readonly name = 'SelfCheckError';
  constructor(faults: readonly string[]) {
    super(`the run does not check out: ${faults.join('; ')}`);
  }
}

/** The first batch finds out how many records a request makes. */
const FIRST_BATCH = 200;
const BATCH_MAX = 4000;
/** Of each batch, so many come while processes wake, or their code is compiled. */
const WARM_UP = 50;
const RING_SHARE = 0.6;
/** With a threshold: how soon to stop. */
const WATCHED_BATCH = 500;
/** Shown before and after a notification. */
const AROUND_NS = 20_000n;

export async function measure(lab: MeasuredLab, choice: MeasureChoice): Promise<Measured> {
  const tally = new Tally(choice.load);
  const guestP50Ns: number[] = [];
  let size = Math.min(FIRST_BATCH, choice.samples + WARM_UP);
  let warmed = 0;
  const endMs = choice.durationMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + choice.durationMs;
  while (tally.samples < choice.samples && (tally.samples === 0 || performance.now() < endMs)) {
    const { records, trail, answer } = await lab.run({ ...choice, count: size });
    const { requests, faults, coalesced } = follow(records, trail);
    if (faults.length > 0) throw new SelfCheckError(faults);
    const performed = size;
    size = nextSize(records, performed, choice);
    if (warmed < choice.warmUp) {
      warmed += performed;
      continue;
    }
    tally.coalesced += coalesced;
    guestP50Ns.push(answer.figures.p50);
    const counted = requests.slice(choice.gapUs > 0 ? 0 : Math.min(WARM_UP, requests.length >> 1));
    for (const request of counted) {
      tally.add(request);
      const exceeded = choice.thresholdNs === undefined ? undefined : exceeds(tally, request, choice.thresholdNs);
      if (exceeded !== undefined) {
        const around = records.filter(
          ({ ns }) => ns >= request.intendedNs - AROUND_NS && ns <= request.usedNs + AROUND_NS,
        );
        return { tally, guestP50Ns, exceeded: { ...exceeded, request, records: around } };
      }
      if (tally.samples >= choice.samples) break;
    }
    choice.onProgress?.(tally.samples);
  }
  return { tally, guestP50Ns };
}

/** As many requests as the fullest ring has room for, and not many more than are wanted. */
function nextSize(records: readonly TraceRecord[], size: number, choice: MeasureChoice): number {
  const counts = new Map<string, number>();
  for (const { process } of records) counts.set(process, (counts.get(process) ?? 0) + 1);
  const perRequest = Math.max(1, ...counts.values()) / size;
  const room = Math.floor((HISTORY_RECORDS * RING_SHARE) / perRequest);
  const max = choice.thresholdNs === undefined ? BATCH_MAX : WATCHED_BATCH;
  return Math.max(1, Math.min(room, max, choice.samples + WARM_UP));
}

function exceeds(tally: Tally, request: Followed, thresholdNs: number): Pick<Exceeded, 'direction' | 'ns'> | undefined {
  const { toDevice, toGuest } = tally.oneWay(request);
  if (toDevice !== undefined && toDevice > thresholdNs) return { direction: 'guest to device', ns: Number(toDevice) };
  if (toGuest !== undefined && toGuest > thresholdNs) return { direction: 'device to guest', ns: Number(toGuest) };
  return undefined;
}
