// The cases of bound 1: every point that all free runs pass, times every process that can be harmed, times every fault,
// times when the replacement comes. Points that only some of the runs passed depend on the time and cannot be promised.

import { formatInstance } from '../lib/trace/instances.js';
import { CATALOGUE_HASH, POINT } from '../lib/trace/points.js';
import type { TraceRecord } from '../lib/trace/record.js';
import { areConnected, type ChaosCase, VICTIMS, type Victim } from './case.js';
import type { Restart } from './faults/fault.js';
import { faultNamed } from './faults/table.js';
import { seeded } from './random.js';

export interface Choice {
  /** As a case says them: "KILL", "PAUSE 16". */
  readonly faults: readonly string[];
  readonly victims: readonly Victim[];
  readonly restarts: readonly Restart[];
  /** Every time that a point is passed, instead of the first time for each label. */
  readonly everyOccurrence: boolean;
}

/** A case with its number, from 1, in the order of one list. */
export interface NumberedCase {
  readonly number: number;
  readonly case: ChaosCase;
}

/** What a process passed in one run of the story: its own processes only, since the start of their lives or of the case. */
function passed(records: readonly TraceRecord[]): Map<string, TraceRecord> {
  const found = new Map<string, TraceRecord>();
  for (const record of records) {
    // At its very start a process is held so that gates can be set: that is no point of a case.
    if (!(VICTIMS as readonly string[]).includes(record.process) || record.point === POINT['life.start']) continue;
    found.set(formatInstance(record), record);
  }
  return found;
}

/** The points that both runs passed, in the order of the first run. */
export function stablePoints(one: readonly TraceRecord[], other: readonly TraceRecord[]): TraceRecord[] {
  const second = passed(other);
  return [...passed(one)].filter(([instance]) => second.has(instance)).map(([, record]) => record);
}

export function casesOf(points: readonly TraceRecord[], choice: Choice): ChaosCase[] {
  const { faults, victims, restarts, everyOccurrence } = choice;
  return points
    .filter(({ occurrence }) => everyOccurrence || occurrence === 1)
    .flatMap(({ process, point, label, occurrence }) =>
      victims.flatMap((victim) =>
        faults.flatMap((fault) => {
          const known = faultNamed(fault)?.fault;
          if (known?.ofConnections && !areConnected(process, victim)) return [];
          // Only a process that ends is replaced.
          return restarts
            .filter((_, index) => index === 0 || known?.replaces === true)
            .map((restart) => ({ at: { process, point, label, occurrence }, fault, victim, restart }));
        }),
      ),
    );
}

/** A seeded choice of `count` of a list, in the list's order (Floyd's sampling). */
export function sample<T>(list: readonly T[], count: number, seed: number): T[] {
  if (count >= list.length) return [...list];
  const draw = seeded(seed);
  const taken = new Set<number>();
  for (let top = list.length - count; top < list.length; top++) {
    const index = draw(top + 1);
    taken.add(taken.has(index) ? top : index);
  }
  return list.filter((_, index) => taken.has(index));
}

/** Part `index` of `count`, from 1: every count-th, so that the parts take about the same time. */
export function shardOf<T>(list: readonly T[], index: number, count: number): T[] {
  return list.filter((_, at) => at % count === index - 1);
}

/** Of which points a list of cases was made: another catalogue may count them differently. */
export const CASES_VERSION = CATALOGUE_HASH.toString(16).padStart(8, '0');
