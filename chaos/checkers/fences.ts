// Each fence of a guest's GPU driver is answered at most once, and only one that was asked for.
import { XenbusState } from '../../lib/layout/xenbus.js';
import { edgeTo, POINT } from '../../lib/trace/points.js';
import { type Breach, type Checker, lifeOf } from './checker.js';

export const fences: Checker = {
  name: 'fences',
  describe: 'no fence is answered twice, and none that no command had',
  atRest: false,
  check({ records }) {
    const open = new Set<string>();
    const answered = new Set<string>();
    const drivers = new Map<string, number>();
    return records.flatMap((record) => {
      // A driver of another connection, or that restores the device after a reset, numbers its fences from the first again.
      const connects = record.point === POINT['front.state'] && edgeTo(record.b) === XenbusState.Initialised;
      if (connects || record.point === POINT['gpu.restore']) {
        drivers.set(lifeOf(record), (drivers.get(lifeOf(record)) ?? 0) + 1);
      }
      // Fence ids start at 1: 0 is a command without one.
      if (record.b === 0) return [];
      const fence = `${lifeOf(record)} ${drivers.get(lifeOf(record))} ${record.b}`;
      if (record.point === POINT['gpu.submit']) {
        open.add(fence);
        return [];
      }
      if (record.point !== POINT['gpu.reply']) return [];
      const wasAnswered = (how: string): Breach => ({
        what: `fence ${record.b} of ${record.process} was answered ${how}`,
        at: record,
      });
      if (answered.has(fence)) return [wasAnswered('twice')];
      answered.add(fence);
      return open.has(fence) ? [] : [wasAnswered('without a command')];
    });
  },
};
