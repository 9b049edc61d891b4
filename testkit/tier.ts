// The two tiers of tests. `npm test` is the loop of a developer: two minutes. What takes longer runs with `npm run test:long`,
// and with both in `.ci/run`: whole files in test/long, and tests that say so by these options beside shorter ones.

/** Set by `npm run test:long`. */
const LONG = process.env['XENWIRE_LONG'] === '1';

/** Options of a test that the second tier runs, and the first shows as skipped. An object of its own each: tap writes into them. */
export function longTest(): { skip: false | string } {
  return { skip: LONG ? false : 'runs with npm run test:long' };
}

/** How often a random test tries: the first tier often enough to see a mistake, the second to find a rare one. */
export function tries(first: number, second: number): number {
  return LONG ? second : first;
}
