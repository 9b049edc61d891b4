// What a guided search found, in words: how many behaviours by how many lists, and what it never came to. Pure.
import { CURVE_STEP, type GuidedSummary } from '../guided/summary.js';

export const END_WORDS: Readonly<Record<GuidedSummary['end'], string>> = {
  flat: 'it ended because the last hundred lists showed hardly anything new',
  budget: 'it ended with its budget, while new behaviours still came',
  exhausted: 'it ended because it found no list that it had not run',
  interrupted: 'it was interrupted',
};

/** Columns of the longest bar. */
const BAR_MAX = 40;

/** "  100   84 ####": lists, and behaviours known by then. */
export function curveLines({ curve, lists }: GuidedSummary): string[] {
  const most = Math.max(1, ...curve);
  return curve.map((behaviours, index) => {
    const at = Math.min(lists, (index + 1) * CURVE_STEP);
    const bar = '#'.repeat(Math.round((behaviours / most) * BAR_MAX));
    return `${String(at).padStart(8)} ${String(behaviours).padStart(8)}  ${bar}`;
  });
}

/** Sentences, one a line. */
export function guidedWords({ bound, lists, partly, behaviours, end }: GuidedSummary): string[] {
  return [
    `The search ran ${lists} lists of up to ${bound} faults and saw ${behaviours} distinct behaviours; ${END_WORDS[end]}.`,
    ...(partly === 0
      ? []
      : [
          `Of ${partly} lists a later fault did not happen, because its point was not passed: they are not counted below.`,
        ]),
  ];
}

export function movesWords({ moves, never }: GuidedSummary): string {
  return never.length === 0
    ? `Every one of the ${moves} moves of the xenbus protocol's table was taken.`
    : `Amber: ${never.length} of the ${moves} moves of the xenbus protocol's table were never taken, and are not tested:`;
}
