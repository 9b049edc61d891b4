// The bars of the design beside what was measured: each a ratio within one run. Pure.
import { hopCount, PATH_HOPS } from '../../lib/trace/hops.js';
import type { Floors } from '../floor/floors.js';
import type { LatencyResult, PathResult } from './result.js';

export interface Verdict {
  readonly what: string;
  readonly measured: number;
  readonly bar: number;
  readonly unit: 'ns' | '%';
  readonly met: boolean;
}

/** In spun words: a word that one process writes and another sees, the floor of everything hot. */
const DIRECT_SPINS = 8;
const TWO_HOPS_SPINS = 25;
/** The guest, the hypervisor, vhost-frontend and vhost-gpu poll; with fewer cores they wait for each other. */
const POLLERS = 4;
const TWO_HOPS_CROWDED = { shareOfC: 2, ns: 6000 };
const BLOCKED_SHARE_OF_C = 1.25;
const ZMQ_SHARE = 1.25;
const IDLE_PERCENT_MAX = 2;
const TRACING_PERCENT_MAX = 5;

/** What a direction of a path cannot be quicker than, by what its wake-ups are made of: hops times one way of the floor. */
export function floorNs(result: PathResult, floor: Floors, direction: 'toDevice' | 'toGuest'): number | undefined {
  const hops = hopCount(PATH_HOPS[result.path][direction]);
  if (result.notify === 'zmq') return hops * floor.zeromqJs.oneWayNs.p50;
  if (result.mode === 'hot') return hops * floor.sharedMemorySpin.oneWayNs.p50;
  return floor.eventfdC && hops * floor.eventfdC.oneWayNs.p50;
}

/** One-way p50s of the closed loop against the bars; none where the floor they refer to could not be measured. */
export function verdicts({ paths, floor, beside, cores }: LatencyResult): Verdict[] {
  const found = paths.filter(({ load }) => load === 'closed').flatMap((result) => ofPath(result, floor, cores));
  for (const { notify, percent } of beside.idlePercent) {
    found.push(verdict(`idle lab, ${notify}: share of one core`, percent, IDLE_PERCENT_MAX, '%'));
  }
  for (const { path, notify, onP50Ns, offP50Ns } of beside.tracing) {
    const percent = offP50Ns === 0 ? 0 : (100 * (onP50Ns - offP50Ns)) / offP50Ns;
    found.push(verdict(`tracing on, ${path} ${notify}: longer round trip`, percent, TRACING_PERCENT_MAX, '%'));
  }
  return found;
}

function ofPath(result: PathResult, floor: Floors, cores: number): Verdict[] {
  const spin = floor.sharedMemorySpin.oneWayNs.p50;
  const c = floor.eventfdC?.oneWayNs.p50;
  return (['toDevice', 'toGuest'] as const).flatMap((direction): Verdict[] => {
    const ns = direction === 'toDevice' ? result.guestToDeviceNs.p50 : result.deviceToGuestNs.p50;
    const hops = hopCount(PATH_HOPS[result.path][direction]);
    const name = `${result.path} ${result.notify} ${result.mode}, ${direction === 'toDevice' ? 'guest to device' : 'device to guest'}`;
    if (result.notify === 'zmq') {
      // Without polling there is the blocking of the event loop beside it: the bar is for the hot one.
      if (result.mode !== 'hot') return [];
      return [
        verdict(`${name}: ${hops} bare zeromq.js hops x 1.25`, ns, ZMQ_SHARE * hops * floor.zeromqJs.oneWayNs.p50),
      ];
    }
    if (result.mode === 'blocked') {
      return c === undefined
        ? []
        : [verdict(`${name}, a hop: ${BLOCKED_SHARE_OF_C} C`, ns / hops, BLOCKED_SHARE_OF_C * c)];
    }
    if (hops === 1) return [verdict(`${name}: ${DIRECT_SPINS} spun words`, ns, DIRECT_SPINS * spin)];
    if (hops !== 2) return [];
    if (cores >= POLLERS) return [verdict(`${name}: ${TWO_HOPS_SPINS} spun words`, ns, TWO_HOPS_SPINS * spin)];
    const bar = Math.max(TWO_HOPS_CROWDED.ns, TWO_HOPS_CROWDED.shareOfC * (c ?? 0));
    return [verdict(`${name}, ${cores} cores: ${TWO_HOPS_CROWDED.shareOfC} C or 6 us`, ns, bar)];
  });
}

function verdict(what: string, measured: number, bar: number, unit: 'ns' | '%' = 'ns'): Verdict {
  return { what, measured, bar, unit, met: measured <= bar };
}
