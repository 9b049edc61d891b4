// Event channels of a guest's device, as hypervisor and guest recorded them. An event that arrives at a port which the guest has
// bound and listens to is taken by the guest, before it lets go of the port; none arrives at, nor is taken of, a port that was given
// back. Several events that arrive before the guest looks are one.
import type { Point } from '../../lib/core/probe.js';
import { XenbusState } from '../../lib/layout/xenbus.js';
import { edgeTo, POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { GUEST_PROCESS } from '../case.js';
import type { Breach, Checker } from './checker.js';

/** A port that a guest's life has bound. */
interface Bound {
  readonly incarnation: number;
  /** The first event that came in since the last one was taken, and whether the guest has gone on since. */
  waiting: TraceRecord | undefined;
  wentOn: boolean;
}

/** From here on a guest may let go of its ports without looking at them again. */
const ENDINGS = new Set<Point>(
  (['guest.shutdown', 'guest.halt', 'domain.shutdown', 'domain.crash'] as const).map((name) => POINT[name]),
);

export const notifications: Checker = {
  name: 'notifications',
  describe: 'a guest takes every event of a port that it listens to, and none of a port that was given back',
  atRest: false,
  check({ records }) {
    const wrong: Breach[] = [];
    const bound = new Map<string, Bound>();
    /** Ports given back, by the process that gave them: the guest lets go first. */
    const given = { hypervisor: new Set<string>(), [GUEST_PROCESS]: new Set<string>() };
    /** Domains whose device is connected and not about to close: the driver listens. */
    const live = new Set<number>();
    const lost = (key: string): void => {
      const port = bound.get(key);
      bound.delete(key);
      if (port?.waiting === undefined || !port.wentOn) return;
      wrong.push({ what: `an event for ${words(key)} was never taken, though the guest ran on`, at: port.waiting });
    };
    for (const record of records) {
      const { process, point, domid, a: port, incarnation } = record;
      if (process === GUEST_PROCESS) {
        // Its host has gone, and it ends for that: it takes nothing more of what had come.
        const ends = point === POINT['bus.lost'] && record.label === 'hypervisor';
        for (const [key, each] of [...bound]) {
          if (each.incarnation !== incarnation) continue;
          if (ends) bound.delete(key);
          else each.wentOn ||= each.waiting !== undefined;
        }
      }
      if (domid === undefined) continue;
      const key = `${domid}:${port}`;
      if (process === GUEST_PROCESS || process === 'hypervisor') {
        if (point === POINT['port.take']) given[process].delete(key);
        if (point === POINT['port.give']) given[process].add(key);
      }
      const connection = stateOf(record);
      if (connection === XenbusState.Connected && process === GUEST_PROCESS) live.add(domid);
      if (connection === XenbusState.Closing || connection === XenbusState.Closed || ENDINGS.has(point))
        live.delete(domid);
      switch (point) {
        case POINT['port.take']:
          if (process === GUEST_PROCESS) bound.set(key, { incarnation, waiting: undefined, wentOn: false });
          break;
        case POINT['port.give']:
          if (process === GUEST_PROCESS) lost(key);
          break;
        case POINT['event.raise'] as Point:
          if (given.hypervisor.has(key))
            wrong.push({ what: `an event arrived at ${words(key)}, which had been given back`, at: record });
          if (live.has(domid)) {
            const at = bound.get(key);
            if (at !== undefined && at.waiting === undefined) Object.assign(at, { waiting: record, wentOn: false });
          }
          break;
        case POINT['event.taken'] as Point:
          if (given[GUEST_PROCESS].has(key))
            wrong.push({ what: `the guest took an event of ${words(key)}, which it had given back`, at: record });
          if (bound.has(key)) Object.assign(bound.get(key)!, { waiting: undefined, wentOn: false });
          break;
        case POINT['domain.give']:
          // Whatever it had goes with it: a guest that was killed takes nothing more.
          live.delete(port);
          for (const each of [...bound.keys()]) if (each.startsWith(`${port}:`)) bound.delete(each);
          break;
      }
    }
    // The case ended with the guest still there: it had until a deadline.
    for (const key of [...bound.keys()]) lost(key);
    return wrong;
  },
};

const words = (key: string): string => `port ${key.split(':')[1]} of domain ${key.split(':')[0]}`;

/** The state that an end of the device is about to be in, whichever process says so. */
function stateOf({ point, b }: TraceRecord): number | undefined {
  return point === POINT['front.state'] || point === POINT['back.state'] ? edgeTo(b) : undefined;
}
