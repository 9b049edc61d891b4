// What holds our own machines to a protocol's tables: each state that one of our processes is about to write, each key that it
// is about to write or has read to act on, is looked up, and one that the tables do not allow is an assertion. A machine that
// asks for it is wrong (or its row is), and no answer to a peer would mend that. What a peer wrote is never asserted here: its
// text goes through keys.ts, its states through the machines' rows. Leaves the tables to protocol.ts.
import { assert } from '../core/errors.js';
import { XENBUS_KEY, XenbusState, xenbusStateName } from '../layout/xenbus.js';
import { type EdgeRule, type KeyRule, legalEdge, type Protocol, type Side, type Writer } from './protocol.js';

/** A change of one end's state. */
export interface StateMove {
  readonly side: Side;
  /** As the writer knows it. */
  readonly from: number;
  readonly to: number;
  readonly by: Writer;
  /** State of the other end as the writer read it; left out where the writer did not look. */
  readonly otherEnd?: number;
}

/** The row that allows a move; writing the same state once more is none. */
export function assertMove(protocol: Protocol, move: StateMove): EdgeRule | undefined {
  const { side, from, to, by, otherEnd } = move;
  if (from === to) return undefined;
  const rule = legalEdge(side, from, to, by, otherEnd, protocol.edges);
  const seen = otherEnd === undefined ? '' : ` with the other end at ${xenbusStateName(otherEnd)}`;
  assert(
    rule !== undefined,
    `${protocol.name} has no move of the ${side} end from ${xenbusStateName(from)} to ${xenbusStateName(to)} by the ${by}${seen}`,
  );
  return rule;
}

/** The row of a key, `queue-3/event-channel` being that of `queue-N/event-channel`. */
export function keyRule(protocol: Protocol, side: Side, key: string): KeyRule | undefined {
  const name = key.replace(/^queue-[0-9]+\//, 'queue-N/');
  return protocol.keys.find((rule) => rule.side === side && rule.key === name);
}

/** Whether a reader may act on a key while the end that owns its directory is in `state`: not once that end is Closed. */
export function isPublished({ publishedAt }: KeyRule, state: number): boolean {
  if (publishedAt === XenbusState.Initialising) return true;
  return state >= publishedAt && state !== XenbusState.Closed;
}

/** A write of a key by one of us; `state`: that of the end whose directory it is. States themselves are moves. */
export function assertWrites(protocol: Protocol, side: Side, key: string, by: Writer, state: number): KeyRule {
  const rule = keyRule(protocol, side, key);
  assert(
    rule !== undefined && key !== XENBUS_KEY.state,
    `${protocol.name} has no key ${key} of the ${side} end to write`,
  );
  assert(rule.writers.includes(by), `${key} of the ${side} end is not the ${by}'s to write`);
  // A reader that has seen the state that publishes a key acts on what it reads: from there on the value stands.
  const early = rule.publishedAt === XenbusState.Initialising || !isPublished(rule, state);
  assert(early, `${key} is written in ${xenbusStateName(state)}, which has published it`);
  return rule;
}

/** A key that one of us reads to act on; `state`: that of the end whose directory it is, as the reader read it. */
export function assertReads(protocol: Protocol, side: Side, key: string, state: number): KeyRule {
  const rule = keyRule(protocol, side, key);
  assert(rule !== undefined, `${protocol.name} has no key ${key} of the ${side} end`);
  assert(isPublished(rule, state), `${key} of the ${side} end is acted on in ${xenbusStateName(state)}`);
  return rule;
}
