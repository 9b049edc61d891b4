// Messages on the bus: each that was received was sent, once, and is received once. Death may lose messages, never double or
// invent them.
import { POINT } from '../../lib/trace/points.js';
import { flowOf } from '../../lib/trace/record.js';
import type { Breach, Checker } from './checker.js';

/** Both ends of a message have its number; these are its receipts. */
const RECEIPTS = new Set(
  ['bus.welcomed', 'bus.refused', 'bus.answered', 'bus.event', 'bus.greeted', 'bus.serve', 'bus.told'].map(
    (name) => POINT[name as keyof typeof POINT],
  ),
);

export const messages: Checker = {
  name: 'messages',
  describe: 'every message that was received was sent, and none is received twice',
  atRest: false,
  check({ records, earlier }) {
    const sent = new Set<string>();
    const received = new Set<string>();
    const wrong: Breach[] = [];
    for (const record of records) {
      const flow = flowOf(record);
      if (flow !== undefined && !RECEIPTS.has(record.point)) sent.add(flow);
    }
    for (const record of records) {
      const flow = flowOf(record);
      if (flow === undefined || !RECEIPTS.has(record.point)) continue;
      const wasReceived = (how: string): Breach => ({
        what: `${record.process} received message ${flow} ${how} (${record.point.name})`,
        at: record,
      });
      if (received.has(flow)) wrong.push(wasReceived('twice'));
      received.add(flow);
      // One that lived before may have sent it before the case began.
      if (!sent.has(flow) && !earlier.has(record.sender)) wrong.push(wasReceived('that was never sent'));
    }
    return wrong;
  },
};
