// What Perfetto's trace_processor makes of a file of ours: slices, arrows between them, and what it drops or counts as wrong. After its
// importer in Perfetto's repository as of August 2026 (proto_trace_reader.cc, track_event_tracker.cc, track_event_event_importer.h,
// slice_tracker.cc, track_compressor.cc, flow_tracker.cc), as far as our files need it.
import { EVENT_TYPE, type TracePacket, type TrackDescriptor, type TrackEvent } from '../lib/trace/perfetto.js';

export interface ImportedSlice {
  readonly name: string;
  readonly category: string;
  readonly ts: number;
  /** 0: an instant. PENDING: it never ends. */
  dur: number;
  readonly depth: number;
  /** Names of its track and of those around it, the outermost first. */
  readonly path: readonly string[];
}

export interface Arrow {
  readonly flow: number;
  readonly from: ImportedSlice;
  readonly to: ImportedSlice;
}

export interface Imported {
  readonly slices: readonly ImportedSlice[];
  readonly arrows: readonly Arrow[];
  /** By the name of its statistic. */
  readonly wrong: ReadonlyMap<string, number>;
}

export const PENDING = -1;

/** Tracks of one name below one parent share as many as are open at a time. */
interface Lane {
  cookie: number;
  nested: number;
  stack: ImportedSlice[];
}

class Importer {
  readonly slices: ImportedSlice[] = [];
  readonly arrows: Arrow[] = [];
  readonly wrong = new Map<string, number>();
  readonly #tracks = new Map<number, TrackDescriptor>();
  readonly #merged = new Map<string, Lane[]>();
  readonly #flows = new Map<number, ImportedSlice>();

  run(packets: readonly TracePacket[]): Imported {
    // Packets whose clock has no way to the trace's time wait for a snapshot until the end of the file.
    const clock = packets.find(({ clock_snapshot }) => clock_snapshot !== undefined)?.clock_snapshot;
    for (const { track_descriptor: track } of packets) if (track !== undefined) this.#tracks.set(track.uuid, track);
    const events = packets.filter(({ track_event }) => track_event !== undefined);
    const timed = events.filter(({ timestamp, timestamp_clock_id: id }) => {
      if (timestamp === undefined) this.#count('track_event_missing_timestamp');
      const known = id === undefined || id === clock?.primary_trace_clock;
      if (!known) this.#count('clock_sync_failure_undeferrable_packet_loss');
      return timestamp !== undefined && known;
    });
    timed.sort((one, other) => one.timestamp! - other.timestamp!);
    for (const { timestamp, track_event } of timed) this.#event(timestamp!, track_event!);
    return { slices: this.slices, arrows: this.arrows, wrong: this.wrong };
  }

  #count(statistic: string): void {
    this.wrong.set(statistic, (this.wrong.get(statistic) ?? 0) + 1);
  }

  #event(ts: number, event: TrackEvent): void {
    const path = this.#pathOf(event.track_uuid);
    if (path === undefined) {
      this.#count('track_hierarchy_missing_uuid');
      return;
    }
    const lane = this.#laneOf(event.track_uuid, path);
    const slice = this.#slice(ts, event, lane, path);
    if (slice === undefined) return;
    for (const id of event.flow_ids ?? []) {
      if (this.#flows.has(id)) this.#arrow(id, slice);
      this.#flows.set(id, slice);
    }
    for (const id of event.terminating_flow_ids ?? []) {
      // Of a flow that has not begun it makes nothing.
      if (!this.#flows.has(id)) continue;
      this.#arrow(id, slice);
      this.#flows.delete(id);
    }
  }

  #pathOf(uuid: number): readonly string[] | undefined {
    const track = this.#tracks.get(uuid);
    if (track === undefined) return undefined;
    if (track.parent_uuid === undefined) return [track.name];
    const around = this.#pathOf(track.parent_uuid);
    return around && [...around, track.name];
  }

  /** TrackCompressor::GetOrCreateTrackForCookie. */
  #laneOf(cookie: number, path: readonly string[]): Lane {
    const key = `${this.#tracks.get(cookie)?.parent_uuid} ${path.at(-1)}`;
    const lanes = this.#merged.get(key) ?? [];
    this.#merged.set(key, lanes);
    const own = lanes.find((lane) => lane.cookie === cookie) ?? lanes.find(({ nested }) => nested === 0);
    const lane = own ?? { cookie, nested: 0, stack: [] };
    if (own === undefined) lanes.push(lane);
    lane.cookie = cookie;
    return lane;
  }

  #slice(ts: number, { type, name, categories }: TrackEvent, lane: Lane, path: readonly string[]) {
    const category = categories?.join();
    if (type === EVENT_TYPE.SLICE_END) {
      lane.nested = Math.max(0, lane.nested - 1);
      return this.#end(ts, lane, name, category);
    }
    if (type === EVENT_TYPE.SLICE_BEGIN) lane.nested++;
    const dur = type === EVENT_TYPE.INSTANT ? 0 : PENDING;
    this.#closeStack(ts, dur, lane);
    const slice = { name: name ?? '', category: category ?? '', ts, dur, depth: lane.stack.length, path };
    this.slices.push(slice);
    lane.stack.push(slice);
    return slice;
  }

  /** SliceTracker::CompleteSliceBegin: the innermost that is open and has the name and category that are given. */
  #end(ts: number, lane: Lane, name: string | undefined, category: string | undefined): ImportedSlice | undefined {
    this.#closeStack(ts, PENDING, lane);
    const at = lane.stack.findLastIndex(
      (each) =>
        each.dur === PENDING &&
        (name === undefined || each.name === '' || each.name === name) &&
        (category === undefined || each.category === category),
    );
    const slice = lane.stack[at];
    if (slice === undefined) {
      this.#count('an end of no open slice');
      return undefined;
    }
    slice.dur = ts - slice.ts;
    if (at === lane.stack.length - 1) lane.stack.pop();
    return slice;
  }

  /** SliceTracker::MaybeCloseStack. */
  #closeStack(ts: number, dur: number, { stack }: Lane): void {
    let openInside = false;
    for (let at = stack.length - 1; at >= 0; at--) {
      const each = stack[at]!;
      const end = each.ts + each.dur;
      if (each.dur === PENDING) openInside = true;
      else if (openInside) {
        if (ts <= end) continue;
        this.#count('misplaced_end_event');
        for (const inner of stack.splice(at).slice(1)) inner.dur = end - inner.ts;
        openInside = false;
      } else if (end < ts || (end === ts && !(each.dur === 0 && dur === 0))) stack.splice(at, 1);
    }
  }

  /** FlowTracker::Step: from the slice that began earlier, whichever came first in the flow. */
  #arrow(flow: number, slice: ImportedSlice): void {
    const before = this.#flows.get(flow)!;
    const [from, to] = before.ts > slice.ts ? [slice, before] : [before, slice];
    this.arrows.push({ flow, from, to });
  }
}

export const importedTrace = (packets: readonly TracePacket[]): Imported => new Importer().run(packets);
