// What must hold in every Perfetto file of ours, checked on its decoded packets: each returns what does not hold, in words.
import { EVENT_TYPE, type TracePacket } from '../lib/trace/perfetto.js';

const eventsOf = (packets: readonly TracePacket[]) =>
  packets.flatMap(({ timestamp = 0, track_event: event }) => (event === undefined ? [] : [{ timestamp, event }]));

/** Slices of a track begin and end like brackets, and every track has a descriptor below a root that has one. */
export function nestingProblems(packets: readonly TracePacket[]): string[] {
  const parents = new Map(
    packets.flatMap(({ track_descriptor: track }) => (track === undefined ? [] : [[track.uuid, track.parent_uuid]])),
  );
  const depth = new Map<number, number>();
  const problems: string[] = [];
  for (const { event } of eventsOf(packets)) {
    const { track_uuid, type, name = '' } = event;
    const parent = parents.get(track_uuid);
    if (parent === undefined || !parents.has(parent)) problems.push(`${name} is on a track without a root`);
    const now = depth.get(track_uuid) ?? 0;
    if (type === EVENT_TYPE.SLICE_END && now === 0) problems.push(`${name} ends what has not begun`);
    if (type !== EVENT_TYPE.INSTANT) depth.set(track_uuid, type === EVENT_TYPE.SLICE_BEGIN ? now + 1 : now - 1);
  }
  for (const [track, open] of depth) if (open !== 0) problems.push(`${open} slices of track ${track} do not end`);
  return problems;
}

/** Every flow begins, and ends once, at its last event. */
export function flowProblems(packets: readonly TracePacket[]): string[] {
  const begun = new Set<number>();
  const ended = new Set<number>();
  const problems: string[] = [];
  for (const { event } of eventsOf(packets)) {
    for (const id of event.flow_ids ?? []) {
      if (ended.has(id)) problems.push(`flow ${id} goes on after its end`);
      begun.add(id);
    }
    for (const id of event.terminating_flow_ids ?? []) {
      if (!begun.has(id)) problems.push(`flow ${id} ends and has not begun`);
      if (ended.has(id)) problems.push(`flow ${id} ends twice`);
      ended.add(id);
    }
  }
  for (const id of begun) if (!ended.has(id)) problems.push(`flow ${id} has no end`);
  return problems;
}

/** Descriptors come first, then events in order of time. */
export function orderProblems(packets: readonly TracePacket[]): string[] {
  const first = packets.findIndex(({ track_event }) => track_event !== undefined);
  const late = packets
    .slice(first < 0 ? packets.length : first)
    .filter((packet) => packet.track_descriptor !== undefined);
  const events = eventsOf(packets);
  const back = events.filter(({ timestamp }, index) => index > 0 && timestamp < events[index - 1]!.timestamp);
  return [
    ...late.map(({ track_descriptor }) => `track ${track_descriptor?.name} is described after the first event`),
    ...back.map(({ timestamp, event }) => `${event.name} at ${timestamp} goes back in time`),
  ];
}
