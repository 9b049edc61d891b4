// The points at which the next fault of a list could happen, out of what a run of the list recorded: those of lives whose gate
// inflict.ts would have armed. Pure.
import type { PointInstance } from '../../lib/trace/instances.js';
import { POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { type FaultAt, VICTIMS } from '../case.js';
import { faultNamed } from '../faults/table.js';
import type { Moment } from '../inflict.js';

/** Of a run that went on for long; they are taken evenly. */
const POINTS_MAX = 800;

/** For each fault that has begun; `records` of the whole case, oldest first, until `untilNs`. */
export function pointsAfter(
  faults: readonly FaultAt[],
  moments: readonly Moment[],
  records: readonly TraceRecord[],
  untilNs: bigint,
): PointInstance[][] {
  return moments.map(({ faultNs }, index) => {
    const armed = armedLives(faults[index]!, faultNs, records);
    const found = records.filter(
      ({ ns, process, point, incarnation, occurrence }) =>
        ns > faultNs &&
        ns < untilNs &&
        occurrence === 1 &&
        point !== POINT['life.start'] &&
        armed.get(process) === incarnation,
    );
    const step = Math.max(1, found.length / POINTS_MAX);
    const some = Array.from({ length: Math.min(found.length, POINTS_MAX) }, (_, at) => found[Math.floor(at * step)]!);
    return some.map(({ process, point, label, occurrence }) => ({ process, point, label, occurrence }));
  });
}

/** By process: the life that runs as the fault begins, or the first one after it where the fault ends that one. */
function armedLives({ fault, victim }: FaultAt, faultNs: bigint, records: readonly TraceRecord[]): Map<string, number> {
  const replaces = faultNamed(fault)?.fault.replaces === true;
  const lives = new Map<string, number>();
  const before = new Set<number>();
  for (const { ns, process, incarnation } of records) {
    if (!(VICTIMS as readonly string[]).includes(process)) continue;
    const ends = replaces && (victim === process || victim === 'hypervisor');
    if (ns <= faultNs) {
      before.add(incarnation);
      if (!ends) lives.set(process, incarnation);
    } else if (!lives.has(process) && (!ends || !before.has(incarnation))) lives.set(process, incarnation);
  }
  return lives;
}
