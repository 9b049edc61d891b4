// Histories as Perfetto shows them (ui.perfetto.dev): one track a process, its lanes as child tracks, slices, instants, and flows
// as arrows. Packets of perfetto_trace.proto as plain objects. Custom tracks and not Perfetto's own process tracks: those
// ignore the order that is asked for. What its importer makes of them is in docs/tracing.md. Leaves the bytes to
// lib/node/files/perfetto-file.ts.
import type { Flow } from './flows.js';
import { fieldsOf, type TraceRecord } from './record.js';
import type { ProcessLife, Slice, Timeline } from './slices.js';

/** protos/perfetto/common/builtin_clock.proto, BUILTIN_CLOCK_MONOTONIC. */
export const CLOCK_MONOTONIC = 3;
/** TrackEvent.Type. */
export const EVENT_TYPE = { SLICE_BEGIN: 1, SLICE_END: 2, INSTANT: 3 } as const;
/** TrackDescriptor.ChildTracksOrdering. */
export const CHILD_ORDER_EXPLICIT = 3;
/** TracePacket.SequenceFlags: SEQ_INCREMENTAL_STATE_CLEARED, on the first packet of a sequence. */
export const SEQUENCE_CLEARED = 1;
/** 0 is none. */
export const SEQUENCE_ID = 1;

export interface Annotation {
  readonly name: string;
  readonly string_value: string;
}

export interface TrackEvent {
  readonly type: (typeof EVENT_TYPE)[keyof typeof EVENT_TYPE];
  readonly track_uuid: number;
  readonly categories?: readonly string[];
  readonly name?: string;
  readonly debug_annotations?: readonly Annotation[];
  readonly flow_ids?: readonly number[];
  readonly terminating_flow_ids?: readonly number[];
}

/** The packet that says which clock the file's time is. Without it the importer has no way to that time, and drops every event. */
export interface ClockSnapshot {
  readonly clocks: readonly { readonly clock_id: number; readonly timestamp: number }[];
  readonly primary_trace_clock: number;
}

export interface TrackDescriptor {
  readonly uuid: number;
  readonly name: string;
  readonly parent_uuid?: number;
  readonly child_ordering?: number;
  readonly sibling_order_rank?: number;
}

export interface TracePacket {
  /** Nanoseconds of CLOCK_MONOTONIC: exact below 2^53, that is for 104 days of uptime. */
  readonly timestamp?: number;
  readonly timestamp_clock_id?: number;
  readonly trusted_packet_sequence_id: number;
  readonly sequence_flags?: number;
  readonly clock_snapshot?: ClockSnapshot;
  readonly track_event?: TrackEvent;
  readonly track_descriptor?: TrackDescriptor;
}

/** Processes from the guest to the pixel, others after them by name. */
const PROCESS_ORDER = ['toolstack', 'xenstored', 'guest', 'hypervisor', 'vhost-frontend', 'vhost-gpu'];
/** Lanes by their beginnings, in the order in which a reader looks for them. */
const LANE_ORDER = [
  'states',
  'vCPU',
  'GPU commands',
  'queue',
  'ports',
  'wake-ups',
  'frames',
  'store',
  'vhost-user',
  'calls',
];

const rankIn = (order: readonly string[], name: string): number => {
  const at = order.findIndex((known) => name.startsWith(known));
  return at < 0 ? order.length : at;
};

class Tracks {
  readonly packets: TracePacket[] = [];
  readonly #uuids = new Map<string, number>();

  #descriptor(track_descriptor: TrackDescriptor): number {
    this.packets.push({ trusted_packet_sequence_id: SEQUENCE_ID, track_descriptor });
    return track_descriptor.uuid;
  }

  process({ name, incarnation }: ProcessLife, life: string): number {
    const key = `${name} ${incarnation}`;
    const known = this.#uuids.get(key);
    if (known !== undefined) return known;
    const uuid = this.#uuids.size + 1;
    this.#uuids.set(key, uuid);
    const sibling_order_rank = rankIn(PROCESS_ORDER, name);
    return this.#descriptor({ uuid, name: `${name}${life}`, child_ordering: CHILD_ORDER_EXPLICIT, sibling_order_rank });
  }

  lane(process: ProcessLife, parent_uuid: number, lane: string, index: number): number {
    const key = `${process.name} ${process.incarnation}/${lane} ${index}`;
    const known = this.#uuids.get(key);
    if (known !== undefined) return known;
    const uuid = this.#uuids.size + 1;
    this.#uuids.set(key, uuid);
    // Lanes of one name are shown as one, which wants one rank.
    return this.#descriptor({ uuid, name: lane, parent_uuid, sibling_order_rank: rankIn(LANE_ORDER, lane) });
  }
}

interface Ends {
  readonly flow_ids?: number[];
  readonly terminating_flow_ids?: number[];
}

/** The flows of each record: those that go on from it or through it, and those that end at it. */
function flowEnds(flows: readonly Flow[]): Map<TraceRecord, Ends> {
  const ends = new Map<TraceRecord, { flow_ids?: number[]; terminating_flow_ids?: number[] }>();
  for (const { id, steps } of flows) {
    for (const [index, record] of steps.entries()) {
      const of = ends.get(record) ?? {};
      ends.set(record, of);
      const list = index === steps.length - 1 ? 'terminating_flow_ids' : 'flow_ids';
      of[list] = [...(of[list] ?? []), id];
    }
  }
  return ends;
}

const annotations = (record: TraceRecord, before = ''): Annotation[] =>
  Object.entries({
    ...(record.point.label === undefined ? {} : { [record.point.label]: record.label }),
    ...fieldsOf(record),
    ...(record.domid === undefined ? {} : { domid: String(record.domid) }),
    instance: `#${record.occurrence}`,
  }).map(([name, string_value]) => ({ name: `${before}${name}`, string_value }));

/** What a slice or instant is called: its label says more than its point where it has one. */
const nameOf = ({ point, label }: TraceRecord): string => (label === '' ? point.name : `${point.name} ${label}`);

interface Timed {
  readonly ns: bigint;
  /** At the same time: ends before instants before beginnings; of ends the inner first, of beginnings the outer. */
  readonly rank: number;
  readonly event: TrackEvent;
}

/** The clock, descriptors, then events in order of time. Empty without records. */
export function perfettoPackets({ processes, slices, instants }: Timeline, flows: readonly Flow[]): TracePacket[] {
  const tracks = new Tracks();
  const ends = flowEnds(flows);
  const lives = new Map<string, number>();
  const roots = new Map<ProcessLife, number>();
  for (const process of processes) {
    const life = (lives.get(process.name) ?? 0) + 1;
    lives.set(process.name, life);
    roots.set(process, tracks.process(process, life === 1 ? '' : `, life ${life}`));
  }
  const trackOf = (process: ProcessLife, lane: string, index: number): number =>
    tracks.lane(process, roots.get(process)!, lane, index);
  const event = (record: TraceRecord, track_uuid: number, type: TrackEvent['type']): TrackEvent => ({
    ...{ type, track_uuid, categories: [record.point.kind], name: nameOf(record) },
    debug_annotations: annotations(record),
    ...ends.get(record),
  });
  const timed: Timed[] = [];
  const depths = depthsOf(slices);
  for (const slice of slices) {
    const track = trackOf(slice.process, slice.lane, slice.laneIndex);
    const depth = depths.get(slice)!;
    timed.push({ ns: slice.begin.ns, rank: 1000 + depth, event: event(slice.begin, track, EVENT_TYPE.SLICE_BEGIN) });
    const rank = slice.endNs === slice.begin.ns ? 2000 - depth : -depth;
    timed.push({ ns: slice.endNs, rank, event: endOf(slice, track) });
    // An arrow at the end of a slice would be drawn from its beginning.
    if (slice.end !== undefined && ends.has(slice.end))
      timed.push({ ns: slice.endNs, rank: rank - 0.5, event: event(slice.end, track, EVENT_TYPE.INSTANT) });
  }
  for (const { record, process, lane } of instants) {
    const track = trackOf(process, lane, 0);
    timed.push({ ns: record.ns, rank: 500, event: event(record, track, EVENT_TYPE.INSTANT) });
  }
  timed.sort((one, other) => (one.ns < other.ns ? -1 : one.ns > other.ns ? 1 : one.rank - other.rank));
  const [first] = timed;
  if (first === undefined) return [];
  const clock: ClockSnapshot = {
    clocks: [{ clock_id: CLOCK_MONOTONIC, timestamp: Number(first.ns) }],
    primary_trace_clock: CLOCK_MONOTONIC,
  };
  return [
    { trusted_packet_sequence_id: SEQUENCE_ID, sequence_flags: SEQUENCE_CLEARED, clock_snapshot: clock },
    ...tracks.packets,
    ...timed.map(
      ({ ns, event: track_event }): TracePacket => ({
        timestamp: Number(ns),
        timestamp_clock_id: CLOCK_MONOTONIC,
        trusted_packet_sequence_id: SEQUENCE_ID,
        track_event,
      }),
    ),
  ];
}

/** Without name and category: with either, the importer ends only a slice that has begun with the same. */
function endOf({ end }: Slice, track_uuid: number): TrackEvent {
  const said =
    end === undefined
      ? [{ name: 'end', string_value: 'not recorded' }]
      : [{ name: 'end', string_value: nameOf(end) }, ...annotations(end, 'end ')];
  return { type: EVENT_TYPE.SLICE_END, track_uuid, debug_annotations: said };
}

/** How many slices of its lane each slice stands in. */
function depthsOf(slices: readonly Slice[]): Map<Slice, number> {
  const depths = new Map<Slice, number>();
  const open = new Map<string, Slice[]>();
  for (const slice of slices) {
    const key = `${slice.process.name} ${slice.process.incarnation} ${slice.lane} ${slice.laneIndex}`;
    const around = (open.get(key) ?? []).filter(({ endNs }) => endNs > slice.begin.ns);
    depths.set(slice, around.length);
    open.set(key, [...around, slice]);
  }
  return depths;
}
