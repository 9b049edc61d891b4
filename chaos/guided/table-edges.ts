// Which rows of the xenbus protocol's table of moves a campaign has seen taken. A row that no case came to was not tested. Pure.
import { xenbusStateName } from '../../lib/layout/xenbus.js';
import { edgeFrom, edgeTo, POINT } from '../../lib/trace/points.js';
import type { TraceRecord } from '../../lib/trace/record.js';
import { type EdgeRule, REVIEW_EDGES, type Writer } from '../../lib/xenbus/protocol.js';
import { writersOf } from '../checkers/edges.js';

/** "frontend" alone would be read as vhost-frontend, whose end is the backend's. */
const WRITER_WORDS: Readonly<Record<Writer, string>> = {
  toolstack: 'the toolstack',
  frontend: "the guest's driver",
  core: "the guest's xenbus core",
  backend: 'vhost-frontend',
};

/** "frontend state Connected > Closing, by the guest's xenbus core": one move of one writer. */
const moveText = ({ side, to, by }: EdgeRule, from: number): string =>
  `${side}end state ${xenbusStateName(from)} > ${xenbusStateName(to)}, by ${WRITER_WORDS[by]}`;

export class TableEdges {
  readonly #taken = new Set<string>();

  take(records: readonly TraceRecord[]): void {
    for (const { point, process, b } of records) {
      const side = point === POINT['front.state'] ? 'front' : point === POINT['back.state'] ? 'back' : undefined;
      if (side === undefined) continue;
      const [from, to, writers] = [edgeFrom(b), edgeTo(b), writersOf(process)];
      // Two writers may have the same move; both run in the guest, and a record does not say which.
      for (const rule of REVIEW_EDGES) {
        if (rule.side === side && rule.to === to && writers.includes(rule.by)) this.#taken.add(moveText(rule, from));
      }
    }
  }

  /** All moves of the table. */
  static get all(): readonly string[] {
    return [...new Set(REVIEW_EDGES.flatMap((rule) => rule.from.map((from) => moveText(rule, from))))];
  }

  /** Those that were never taken, in the table's order. */
  get never(): readonly string[] {
    return TableEdges.all.filter((move) => !this.#taken.has(move));
  }
}
