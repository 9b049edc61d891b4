// Conservation: what a process that outlives the case took during it, it has given back, as many of each kind. The services' own
// audits and their descriptors are held against the same by the rig.

import type { Point } from '../../lib/core/probe.js';
import { POINT, type PointName } from '../../lib/trace/points.js';
import { type Checker, lifeOf } from './checker.js';

const NAMES = Object.keys(POINT) as PointName[];
const GIVE_OF = new Map<Point, Point>(
  NAMES.filter((name) => name.endsWith('.take')).flatMap((name) => {
    const give = POINT[name.replace(/take$/, 'give') as PointName];
    return give === undefined ? [] : [[POINT[name], give] as const];
  }),
);
const TAKE_OF = new Map([...GIVE_OF].map(([take, give]) => [give, take]));

export const conservation: Checker = {
  name: 'conservation',
  describe: 'what a process took during the case it has given back',
  atRest: true,
  check({ records, survivors }) {
    const out = new Map<string, { readonly text: string; count: number; last: string }>();
    for (const record of records) {
      const take = GIVE_OF.has(record.point) ? record.point : TAKE_OF.get(record.point);
      if (take === undefined || !survivors.has(record.incarnation)) continue;
      const what = take.name.replace(/\.take$/, '');
      // Not by its number: a process that was replaced takes other ones than it lost.
      const key = `${lifeOf(record)} ${what} ${record.domid}`;
      const known = out.get(key) ?? { text: `${record.process} kept ${what}`, count: 0, last: '' };
      known.count += record.point === take ? 1 : -1;
      if (record.point === take) known.last = record.label || String(record.a);
      out.set(key, known);
    }
    return [...out.values()]
      .filter(({ count }) => count > 0)
      .map(({ text, count, last }) => ({ what: `${text}: ${count} more than before, the last one ${last}` }));
  },
};
