// From the merged history rings to notifications: follows each kick to the device server's event loop and each call to the
// guest's upcall, point by point (lib/trace/hops.ts), and checks that every one arrived and none twice. Pure: gets records,
// gives times. Leaves figures to figures.ts.
//
// Signals coalesce, as an eventfd's do: one receiving record may answer several sending ones, never the other way round.

import { EXIT_REASON } from '../../lib/layout/ours/vcpu-exit.js';
import { VIRTIO_MMIO_QUEUE_NOTIFY } from '../../lib/layout/virtio-mmio.js';
import { HOP, type HopNames, type HopPoint, PATH_HOPS, processOf } from '../../lib/trace/hops.js';
import { LOAD_RECORD } from '../../lib/trace/latency-run.js';
import { POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';

/** What is followed. */
export interface Trail extends HopNames {
  readonly path: keyof typeof PATH_HOPS;
  readonly domid: number;
  /** The guest's port that the device's interrupt is bound to. */
  readonly port: number;
  /** Queue of the load. */
  readonly queue: number;
  /** Numbers of its requests. */
  readonly first: number;
  readonly count: number;
}

export type TrailRecord = Pick<TraceRecord, 'process' | 'ns' | 'point' | 'domid' | 'label' | 'a' | 'b'>;

/** A notification at one of its points, in nanoseconds of CLOCK_MONOTONIC. */
export interface Passed {
  /** "hypervisor kick" */
  readonly at: string;
  readonly ns: bigint;
}

/** One request, in nanoseconds of CLOCK_MONOTONIC. */
export interface Followed {
  readonly sequence: number;
  /** When it was meant to start: the request's record less its delay. */
  readonly intendedNs: bigint;
  readonly requestNs: bigint;
  /** The path's points from kick to device; undefined when no kick was needed. */
  readonly toDevice: readonly Passed[] | undefined;
  /** When vhost-frontend, woken by the kick as well, had written the port back; where an IOEVENTFD shares the port. */
  readonly writtenBackNs: bigint | undefined;
  readonly commandNs: bigint;
  /** The path's points from call to upcall; undefined when the guest did not ask for the call. */
  readonly toGuest: readonly Passed[] | undefined;
  readonly usedNs: bigint;
}

export interface Following {
  readonly requests: readonly Followed[];
  /** What broke the promise that everything arrives once; empty when nothing did. */
  readonly faults: readonly string[];
  /** Sendings that shared a receiver's look with others. */
  readonly coalesced: number;
}

/** Offset of a register in its page, out of the low half of an address. */
const REGISTER_MASK = 0xfff;

/** Whether a record is one of `point`, of the device and queue that are followed. */
export function standsAt(record: TrailRecord, point: HopPoint, trail: Trail): boolean {
  if (record.point !== point.point || record.process !== processOf(point.process, trail)) return false;
  switch (point) {
    case HOP.guestKick:
    case HOP.frontendKick:
    case HOP.serverKick:
      return record.a === trail.queue;
    case HOP.exitMmio:
    case HOP.frontendSlot:
      return (
        record.domid === trail.domid &&
        (record.a & REGISTER_MASK) === VIRTIO_MMIO_QUEUE_NOTIFY &&
        record.b === trail.queue
      );
    case HOP.exitHypercall:
      return record.domid === trail.domid && record.a === EXIT_REASON.EVTCHN_SEND;
    case HOP.hypervisorEvent:
      return record.domid === trail.domid && record.a === trail.port;
    case HOP.guestUpcall:
      return record.a === trail.port;
    default:
      return true;
  }
}

/**
 * Which receiving record answers each sending one; both ascending. A sender records before it signals, so a receiver that
 * was about to look may stand between the two: a receiver left without a sender takes the last of those that share the
 * receiver before it. -1: nothing answered it.
 */
export function link(
  sent: readonly bigint[],
  received: readonly bigint[],
): { answers: Int32Array; lost: number; surplus: number; coalesced: number } {
  const answers = new Int32Array(sent.length).fill(-1);
  let next = 0;
  let surplus = 0;
  for (let index = 0; index < received.length; index++) {
    const before = next;
    while (next < sent.length && sent[next]! <= received[index]!) answers[next++] = index;
    if (next > before) continue;
    const last = next - 1;
    if (last >= 1 && answers[last] === index - 1 && answers[last - 1] === index - 1) answers[last] = index;
    else surplus++;
  }
  let coalesced = 0;
  for (let index = 1; index < next; index++) if (answers[index] === answers[index - 1]) coalesced++;
  return { answers, lost: sent.length - next, surplus, coalesced };
}

/** How a point is called in figures. */
export const label = ({ process, name }: HopPoint): string => `${process} ${name}`;

/**
 * Who else may do what a point stands for. A kick that comes before vhost-frontend has written the port back from the kick
 * before finds its interrupt masked; when vhost-frontend, awake by then, looks at the slot first, it takes the kick.
 */
function alternatives(point: HopPoint): readonly HopPoint[] {
  return point === HOP.hypervisorKick ? [point, HOP.frontendKick] : [point];
}

/** Follows one direction: for each record of the first point where it passed, undefined for what was lost. */
function followDirection(
  records: readonly TrailRecord[],
  points: readonly HopPoint[],
  trail: Trail,
  faults: string[],
): { starts: bigint[]; passed: (Passed[] | undefined)[]; coalesced: number } {
  const found = points.map((point) => {
    const any = alternatives(point);
    return records.flatMap((record): Passed[] => {
      const where = any.find((each) => standsAt(record, each, trail));
      return where === undefined ? [] : [{ at: label(where), ns: record.ns }];
    });
  });
  const times = found.map((each) => each.map(({ ns }) => ns));
  const passed: (Passed[] | undefined)[] = found[0]!.map((start) => [start]);
  let indexes = passed.map((_, index) => index);
  let coalesced = 0;
  for (let step = 1; step < points.length; step++) {
    const joined = link(times[step - 1]!, times[step]!);
    const where = `from ${label(points[step - 1]!)} to ${label(points[step]!)}`;
    if (joined.lost > 0) faults.push(`${joined.lost} of ${times[step - 1]!.length} notifications were lost ${where}`);
    if (joined.surplus > 0) faults.push(`${joined.surplus} notifications more arrived than were sent ${where}`);
    coalesced += joined.coalesced;
    indexes = indexes.map((index) => (index < 0 ? -1 : joined.answers[index]!));
    for (const [start, index] of indexes.entries()) {
      if (index < 0) passed[start] = undefined;
      else passed[start]?.push(found[step]![index]!);
    }
  }
  return { starts: times[0]!, passed, coalesced };
}

/** Records by request number; says which numbers are missing, doubled or strange. */
function bySequence(
  records: readonly TrailRecord[],
  number: (record: TrailRecord) => number,
  what: string,
  trail: Trail,
  faults: string[],
): (TrailRecord | undefined)[] {
  const found: (TrailRecord | undefined)[] = new Array(trail.count).fill(undefined);
  let doubled = 0;
  let strange = 0;
  for (const record of records) {
    const index = number(record) - trail.first;
    if (!Number.isInteger(index) || index < 0 || index >= trail.count) strange++;
    else if (found[index] !== undefined) doubled++;
    else found[index] = record;
  }
  const missing = found.filter((record) => record === undefined).length;
  if (missing > 0) faults.push(`${missing} of ${trail.count} requests were never ${what}`);
  if (doubled > 0) faults.push(`${doubled} requests were ${what} twice`);
  if (strange > 0) faults.push(`${strange} requests were ${what} that the guest did not make`);
  return found;
}

const of = (records: readonly TrailRecord[], { process, point }: HopPoint, names: HopNames): TrailRecord[] =>
  records.filter((r) => r.point === point && r.process === processOf(process, names));

const SHARED_PORT: readonly Trail['path'][] = ['irqfd', 'evtchnfd'];

/** Finds the write-back that follows a kick which the hypervisor sent; to be asked in order of time. */
function writeBacks(
  records: readonly TrailRecord[],
  trail: Trail,
): (passed: readonly Passed[] | undefined) => bigint | undefined {
  const times = SHARED_PORT.includes(trail.path) ? of(records, HOP.hypervisorWriteBack, trail).map(({ ns }) => ns) : [];
  let next = 0;
  return (passed) => {
    const kick = passed?.find(({ at }) => at === label(HOP.hypervisorKick));
    if (kick === undefined) return undefined;
    while (next < times.length && times[next]! < kick.ns) next++;
    return times[next];
  };
}

/** The device's record of the command that carries a request's number; `name` is its label. */
export const COMMAND_RECORD: HopPoint = { process: 'vhost-gpu', point: POINT['gpu.executed'], name: 'MOVE_CURSOR' };

/** `records`: of all processes, in order of time, of one run and nothing else of that guest. */
export function follow(records: readonly TrailRecord[], trail: Trail): Following {
  const faults: string[] = [];
  const requests = bySequence(of(records, LOAD_RECORD.request, trail), (r) => r.a, 'made', trail, faults);
  const moves = of(records, COMMAND_RECORD, trail).filter(({ label: command }) => command === COMMAND_RECORD.name);
  const commands = bySequence(moves, (r) => r.b, 'executed', trail, faults);
  const used = bySequence(of(records, LOAD_RECORD.used, trail), (r) => r.a, 'seen as used', trail, faults);
  const toDevice = followDirection(records, PATH_HOPS[trail.path].toDevice, trail, faults);
  const toGuest = followDirection(records, PATH_HOPS[trail.path].toGuest, trail, faults);
  const writeBack = writeBacks(records, trail);
  const followed: Followed[] = [];
  let kick = 0;
  let call = 0;
  for (let index = 0; index < trail.count; index++) {
    const request = requests[index];
    const command = commands[index];
    const end = used[index];
    if (request === undefined || command === undefined || end === undefined) continue;
    // Its own kick stands between its record and the next request's; the call for it between its command and the next.
    const kickEnd = requests[index + 1]?.ns;
    while (kick < toDevice.starts.length && toDevice.starts[kick]! < request.ns) kick++;
    const kicked = kick < toDevice.starts.length && (kickEnd === undefined || toDevice.starts[kick]! < kickEnd);
    const callEnd = commands[index + 1]?.ns;
    while (call < toGuest.starts.length && toGuest.starts[call]! < command.ns) call++;
    const called = call < toGuest.starts.length && (callEnd === undefined || toGuest.starts[call]! < callEnd);
    followed.push({
      sequence: trail.first + index,
      intendedNs: request.ns - BigInt(Math.round(request.b)),
      requestNs: request.ns,
      toDevice: kicked ? toDevice.passed[kick] : undefined,
      writtenBackNs: kicked ? writeBack(toDevice.passed[kick]) : undefined,
      commandNs: command.ns,
      toGuest: called ? toGuest.passed[call] : undefined,
      usedNs: end.ns,
    });
  }
  return { requests: followed, faults, coalesced: toDevice.coalesced + toGuest.coalesced };
}
