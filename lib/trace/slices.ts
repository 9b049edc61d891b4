// Records that begin and end something become one slice: a call and its answer, an exit and the entry after it, a command. A slice
// stands on a lane of its process; slices of a lane nest, those that overlap get a lane each. What is left are instants.
// Leaves how they are written for a viewer to perfetto.ts and to the page.
import type { Point } from '../core/probe.js';
import { POINT } from './points.js';
import type { TraceRecord } from './record.js';

interface Pair {
  readonly begin: Point;
  readonly end: Point;
  /** Of the lane, before its number. */
  readonly lane: (record: TraceRecord) => string;
  /** The same of a beginning and of the end that belongs to it. */
  readonly key: (record: TraceRecord) => string;
  /** Nests inside what its lane holds open, instead of taking another lane. */
  readonly nests?: boolean;
}

const vcpu = ({ domid }: TraceRecord): string => (domid === undefined ? 'vCPU' : `vCPU of dom${domid}`);
const byDomain = ({ domid }: TraceRecord): string => String(domid);
const byId = ({ a, domid }: TraceRecord): string => `${a} ${domid}`;
const byIdAndLabel = ({ a, label }: TraceRecord): string => `${a} ${label}`;
/** Of one session, whichever server numbers it. */
const byDevice = ({ a, label, domid }: TraceRecord): string => `${a} ${label} ${domid}`;
const named = (name: string) => (): string => name;

const PAIRS: readonly Pair[] = [
  { begin: POINT['bus.call'], end: POINT['bus.answered'], lane: named('calls'), key: byIdAndLabel },
  { begin: POINT['bus.serve'], end: POINT['bus.answer'], lane: named('calls served'), key: byIdAndLabel },
  { begin: POINT['store.request'], end: POINT['store.reply'], lane: named('store connection'), key: byId },
  { begin: POINT['store.serve'], end: POINT['store.answer'], lane: named('store requests served'), key: byId },
  { begin: POINT['vhost-user.request'], end: POINT['vhost-user.reply'], lane: named('vhost-user'), key: byDevice },
  { begin: POINT['vhost-user.serve'], end: POINT['vhost-user.answer'], lane: named('vhost-user'), key: byDevice },
  { begin: POINT['exit.leave'], end: POINT['exit.enter'], lane: vcpu, key: byDomain },
  { begin: POINT['exit.mmio'], end: POINT['exit.complete'], lane: vcpu, key: byDomain },
  { begin: POINT['exit.hypercall'], end: POINT['exit.complete'], lane: vcpu, key: byDomain },
  { begin: POINT['ioreq.fill'], end: POINT['ioreq.done'], lane: vcpu, key: byDomain, nests: true },
  { begin: POINT['ioreq.read'], end: POINT['ioreq.answer'], lane: vcpu, key: byDomain },
  { begin: POINT['ioreq.write'], end: POINT['ioreq.answer'], lane: vcpu, key: byDomain },
  { begin: POINT['gpu.submit'], end: POINT['gpu.reply'], lane: named('GPU commands'), key: ({ label }) => label },
  { begin: POINT['gpu.execute'], end: POINT['gpu.executed'], lane: named('GPU commands'), key: ({ label }) => label },
];
const BEGINS = new Map(PAIRS.map((pair) => [pair.begin, pair]));
const ENDS = new Map<Point, Pair[]>();
for (const pair of PAIRS) ENDS.set(pair.end, [...(ENDS.get(pair.end) ?? []), pair]);

/** Where instants stand that belong to no pair. */
export function instantLane({ point, a, b, domid }: TraceRecord): string {
  const port = point.a?.name === 'port' ? a : undefined;
  if (port !== undefined) return `ports${domid === undefined ? '' : ` of dom${domid}`}`;
  const queue = point.a?.name === 'queue' ? a : point.b?.name === 'queue' ? b : undefined;
  if (queue !== undefined) return `queue ${queue}${domid === undefined ? '' : ` of dom${domid}`}`;
  switch (point.kind) {
    case 'send':
    case 'receive':
      return point.name.startsWith('store.') ? 'store connection' : 'messages';
    case 'acquire':
    case 'release':
      return 'taken and given back';
    case 'notify':
    case 'upcall':
      return 'wake-ups';
    case 'frame':
      return 'frames';
    case 'commit':
      return 'store commits';
    default:
      return 'states and steps';
  }
}

export interface Slice {
  readonly begin: TraceRecord;
  /** undefined: it had not ended when the history did; `endNs` is its process's last record then. */
  readonly end: TraceRecord | undefined;
  readonly endNs: bigint;
  readonly process: ProcessLife;
  readonly lane: string;
  /** Of lanes of that name, from 0. */
  readonly laneIndex: number;
}

export interface Instant {
  readonly record: TraceRecord;
  readonly process: ProcessLife;
  readonly lane: string;
}

/** One life of one process. */
export interface ProcessLife {
  readonly name: string;
  readonly incarnation: number;
  readonly firstNs: bigint;
  lastNs: bigint;
}

interface OpenSlice {
  readonly begin: TraceRecord;
  readonly pair: Pair;
  readonly lane: Lane;
  end: TraceRecord | undefined;
}

/** What is open on one lane, outermost first. */
interface Lane {
  readonly name: string;
  readonly index: number;
  open: OpenSlice[];
}

class Life {
  readonly slices: OpenSlice[] = [];
  readonly instants: { record: TraceRecord; lane: string }[] = [];
  readonly process: ProcessLife;
  readonly #lanes = new Map<string, Lane[]>();

  constructor({ process, incarnation, ns }: TraceRecord) {
    this.process = { name: process, incarnation, firstNs: ns, lastNs: ns };
  }

  take(record: TraceRecord): void {
    this.process.lastNs = record.ns;
    const pair = BEGINS.get(record.point);
    if (pair !== undefined) this.#begin(record, pair);
    else if (!this.#end(record)) this.instants.push({ record, lane: instantLane(record) });
  }

  #begin(begin: TraceRecord, pair: Pair): void {
    const name = pair.lane(begin);
    const lanes = this.#lanes.get(name) ?? [];
    this.#lanes.set(name, lanes);
    let lane = lanes.find(({ open }) => open.length === 0 || pair.nests === true);
    if (lane === undefined) {
      lane = { name, index: lanes.length, open: [] };
      lanes.push(lane);
    }
    const slice: OpenSlice = { begin, pair, lane, end: undefined };
    lane.open.push(slice);
    this.slices.push(slice);
  }

  /** The oldest beginning with the same key that has not ended; what nests in it and has not ended ends with it. */
  #end(end: TraceRecord): boolean {
    for (const pair of ENDS.get(end.point) ?? []) {
      for (const lane of this.#lanes.get(pair.lane(end)) ?? []) {
        const at = lane.open.findIndex((each) => each.pair === pair && pair.key(each.begin) === pair.key(end));
        if (at < 0) continue;
        for (const inner of lane.open.splice(at)) inner.end = end;
        return true;
      }
    }
    return false;
  }
}

export interface Timeline {
  readonly processes: readonly ProcessLife[];
  /** In the order in which they begin. */
  readonly slices: readonly Slice[];
  readonly instants: readonly Instant[];
}

/** `records` of all processes, in order of time. */
export function timelineOf(records: readonly TraceRecord[]): Timeline {
  const lives = new Map<string, Life>();
  for (const record of records) {
    const key = `${record.process} ${record.incarnation}`;
    let life = lives.get(key);
    if (life === undefined) {
      life = new Life(record);
      lives.set(key, life);
    }
    life.take(record);
  }
  const all = [...lives.values()];
  return {
    processes: all.map(({ process }) => process),
    slices: all.flatMap(({ slices, process }) =>
      slices.map(({ begin, end, lane }) => ({
        ...{ begin, end, process },
        endNs: end?.ns ?? process.lastNs,
        lane: lane.name,
        laneIndex: lane.index,
      })),
    ),
    instants: all.flatMap(({ instants, process }) => instants.map((each) => ({ ...each, process }))),
  };
}
