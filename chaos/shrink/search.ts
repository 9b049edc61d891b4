// Makes a failing case small, and finds the step at which it begins to fail: faults are left out as long as the case still fails,
// then its last fault is moved along the points of its process. Pure: it is given something that tries a case. Leaves trying to
// explain.ts.
import type { PointInstance } from '../../lib/trace/instances.js';
import { type ChaosCase, caseOf, faultsOf } from '../case.js';

/** `unknown`: a point was not passed, or another rule was broken than the one that is looked for. */
export type Trial = 'passes' | 'fails' | 'unknown';
export type Try = (chaosCase: ChaosCase) => Promise<Trial>;

/** The case without the faults that it does not need: leaving any one more out, it does not fail. */
export async function minimal(failing: ChaosCase, attempt: Try): Promise<ChaosCase> {
  let faults = faultsOf(failing);
  // From the front: what is left is the fault nearest to the failure.
  for (let index = 0; index < faults.length && faults.length > 1; ) {
    const fewer = faults.filter((_, place) => place !== index);
    if ((await attempt(caseOf(fewer))) === 'fails') {
      faults = fewer;
      index = 0;
    } else index++;
  }
  return caseOf(faults);
}

export interface Boundary {
  /** The first point that fails, as far as was tried. */
  readonly fails: ChaosCase;
  /** The last one before it that passes; undefined: all that were tried fail. */
  readonly passes?: ChaosCase;
  /** Points between the two at which there was no verdict, or that were not tried. */
  readonly between: number;
}

/**
 * Moves the last fault of a failing case to earlier points of its process until one passes, with at most `triesMax` cases. `points`: those
 * of that process, in the order of a run; where the case's own is none of them it stays where it is.
 */
export async function slide(
  failing: ChaosCase,
  points: readonly PointInstance[],
  attempt: Try,
  triesMax: number,
): Promise<Boundary> {
  const faults = faultsOf(failing);
  const last = faults.at(-1)!;
  const at = (index: number): ChaosCase => caseOf([...faults.slice(0, -1), { ...last, at: points[index]! }]);
  const home = points.findIndex((each) => isSame(each, last.at));
  if (home < 1) return { fails: failing, between: 0 };

  let tries = 0;
  /** Outcome at a place, or at the nearest one before it that has a verdict and lies behind `above`. */
  const look = async (place: number, above: number): Promise<{ place: number; trial: Trial } | undefined> => {
    for (let index = place; index > above && tries < triesMax; index--) {
      tries++;
      const trial = await attempt(at(index));
      if (trial !== 'unknown') return { place: index, trial };
    }
    return undefined;
  };

  let [fails, passes] = [home, -1];
  // The very first point: where that fails, a boundary is nowhere before the case.
  const first = await look(0, -1);
  if (first?.trial === 'fails') return { fails: at(0), between: 0 };
  if (first?.trial === 'passes') passes = 0;
  while (fails - passes > 1 && tries < triesMax) {
    const found = await look(Math.floor((fails + passes) / 2), passes);
    if (found?.trial === 'fails') fails = found.place;
    else if (found?.trial === 'passes') passes = found.place;
    else {
      // Nothing below the middle has a verdict: the boundary is looked for above it.
      const above = await look(fails - 1, Math.floor((fails + passes) / 2));
      if (above?.trial === 'fails') fails = above.place;
      else if (above?.trial === 'passes') {
        passes = above.place;
        break; // all between have none
      } else break;
    }
  }
  return {
    fails: at(fails),
    ...(passes < 0 ? {} : { passes: at(passes) }),
    between: passes < 0 ? 0 : fails - passes - 1,
  };
}

const isSame = (one: PointInstance, other: PointInstance): boolean =>
  one.process === other.process &&
  one.point === other.point &&
  one.label === other.label &&
  one.occurrence === other.occurrence;
