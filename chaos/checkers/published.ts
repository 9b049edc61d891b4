// Nobody acts on a key before the state that publishes it, as far as the writer goes: a frontend writes its keys before 3 and a
// backend its keys before 2, and none while a state stands that has published them. A state that was about to be written as the
// store died is none: the whole step is done again.
import { XenbusState, xenbusStateName } from '../../lib/layout/xenbus.js';
import { edgeTo, POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { type Checker, lifeOf } from './checker.js';

const SIDES = [
  { state: POINT['front.state-written'], key: POINT['front.key'], publishedAt: XenbusState.Initialised },
  { state: POINT['back.state-written'], key: POINT['back.key'], publishedAt: XenbusState.InitWait },
] as const;

export const published: Checker = {
  name: 'published',
  describe: 'no end writes its keys in a state that has published them',
  atRest: false,
  check({ records }) {
    const last = new Map<string, number>();
    const deviceOf = (record: TraceRecord): string => `${lifeOf(record)} ${record.domid}/${record.a}`;
    return records.flatMap((record) => {
      const side = SIDES.find(({ state, key }) => record.point === state || record.point === key);
      if (side === undefined) return [];
      if (record.point === side.state) {
        last.set(deviceOf(record), edgeTo(record.b));
        return [];
      }
      const now = last.get(deviceOf(record));
      if (now === undefined || now < side.publishedAt || now === XenbusState.Closed) return [];
      const what = `${record.process} wrote a key of device ${record.a} in ${xenbusStateName(now)}, which has published it`;
      return [{ what, at: record }];
    });
  },
};
