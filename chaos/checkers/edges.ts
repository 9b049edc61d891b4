// State edges: every change of a xenbus state that a process was about to write is a row of the protocol's table, for the
// process that wrote it. The machines assert the same of themselves; here the table is held against what they did.
import { xenbusStateName } from '../../lib/layout/xenbus.js';
import { edgeFrom, edgeTo, POINT } from '../../lib/trace/points.js';
import { legalEdge, type Side, type Writer } from '../../lib/xenbus/protocol.js';
import type { Checker } from './checker.js';

/** Who a process may write as. */
export function writersOf(process: string): readonly Writer[] {
  if (process === 'toolstack') return ['toolstack'];
  return process === 'vhost-frontend' ? ['backend'] : ['frontend', 'core'];
}

export const edges: Checker = {
  name: 'edges',
  describe: 'every state that was written is a legal edge of the protocol for its writer',
  atRest: false,
  check({ records }) {
    return records.flatMap((record) => {
      const side: Side | undefined =
        record.point === POINT['front.state'] ? 'front' : record.point === POINT['back.state'] ? 'back' : undefined;
      if (side === undefined) return [];
      const [from, to] = [edgeFrom(record.b), edgeTo(record.b)];
      if (from === to || writersOf(record.process).some((by) => legalEdge(side, from, to, by) !== undefined)) return [];
      const what = `${record.process} moved the ${side} end from ${xenbusStateName(from)} to ${xenbusStateName(to)}`;
      return [{ what, at: record }];
    });
  },
};
