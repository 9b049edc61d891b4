// What a guest's ring holds beyond its page, kept so that the next xenstored goes on at the exact byte after this one is
// killed: what was read and not answered, what was answered and is not in the page, watches, open transactions. Told as
// changes, each written down in the same frame as what it acknowledges. Leaves records to journal-records.ts, the page to
// ring-session.ts.
//
// Why nothing is done twice or lost, in the order in which ring-session.ts acts:
// - A chunk of requests is written down (`input`) before the ring's index says that it was taken. A xenstored killed between
//   the two leaves an index that lies behind `consumed`: the next one moves it on and reads nothing twice.
// - A request's reply is written down (`queued`) in one frame with the nodes that the request changed. Replies come in the order
//   of requests, so each takes the oldest request out of the input: one whose reply is kept is not done again.
// - Where in the stream a message begins is written down (`begun`) before its first byte goes. The page's index says how many
//   bytes of it are gone.
import { XS, XSD_SOCKMSG, type XsMessage } from '../../lib/layout/xs-wire.js';
import type { LiveWatch } from './live-state.js';

/** Indexes count bytes of a stream modulo 2^32, as those of the page do. */
export type RingChange =
  /** A session begins with nothing under way; everything kept before it is void. */
  | { readonly kind: 'begin'; readonly consumed: number }
  /** Bytes taken from the request stream; `consumed`: its index behind them. */
  | { readonly kind: 'input'; readonly consumed: number; readonly bytes: string }
  /** A message waits to be sent. Ids of one session grow. */
  | { readonly kind: 'queued'; readonly id: number; readonly message: XsMessage; readonly answers: boolean }
  /** An event was not taken in time. */
  | { readonly kind: 'dropped'; readonly id: number }
  /** The message is next, and those before it are gone; its first byte has index `at`. */
  | { readonly kind: 'begun'; readonly id: number; readonly at: number }
  /** As `begun`, for what an earlier session had begun: its bytes. */
  | { readonly kind: 'sending'; readonly at: number; readonly bytes: string }
  | { readonly kind: 'watch'; readonly watch: LiveWatch }
  | { readonly kind: 'unwatch'; readonly watch: LiveWatch }
  | { readonly kind: 'opened'; readonly txId: number }
  | { readonly kind: 'closed'; readonly txId: number }
  /** Nothing is kept any more. */
  | { readonly kind: 'end' };

export type Begun =
  | { readonly at: number; readonly message: XsMessage }
  | { readonly at: number; readonly bytes: string };

export interface KeptRing {
  consumed: number;
  /** Requests without a reply: whole ones, and at last part of one. */
  input: string;
  begun: Begun | undefined;
  /** By id, oldest first; replies, and events that nothing was sent of. */
  readonly queued: Map<number, XsMessage>;
  readonly watches: Map<string, LiveWatch>;
  readonly transactions: Set<number>;
}

const keyOf = ({ path, token }: LiveWatch): string => `${path}\0${token}`;

function beginning(consumed: number): KeptRing {
  return { consumed, input: '', begun: undefined, queued: new Map(), watches: new Map(), transactions: new Set() };
}

/** Without its first request, which must be whole. */
function withoutFirst(input: string): string {
  let length = 0;
  for (let byte = 3; byte >= 0; byte--) length = length * 256 + input.charCodeAt(XSD_SOCKMSG.offset.len + byte);
  return input.slice(XSD_SOCKMSG.size + length);
}

/** Changes `rings` by what happened to the ring of a domain; a ring that never began, or ended, has nothing to change. */
export function applyRingChange(rings: Map<number, KeptRing>, domid: number, change: RingChange): void {
  if (change.kind === 'begin') rings.set(domid, beginning(change.consumed));
  else if (change.kind === 'end') rings.delete(domid);
  const kept = rings.get(domid);
  if (kept === undefined) return;
  switch (change.kind) {
    case 'begin':
    case 'end':
      return;
    case 'input':
      kept.input += change.bytes;
      kept.consumed = change.consumed;
      return;
    case 'queued':
      kept.queued.set(change.id, change.message);
      if (change.answers) kept.input = withoutFirst(kept.input);
      return;
    case 'dropped':
      kept.queued.delete(change.id);
      return;
    case 'begun': {
      const message = kept.queued.get(change.id);
      kept.queued.delete(change.id);
      kept.begun = message === undefined ? undefined : { at: change.at, message };
      return;
    }
    case 'sending':
      kept.begun = { at: change.at, bytes: change.bytes };
      return;
    case 'watch':
      kept.watches.set(keyOf(change.watch), change.watch);
      return;
    case 'unwatch':
      kept.watches.delete(keyOf(change.watch));
      return;
    case 'opened':
      kept.transactions.add(change.txId);
      return;
    case 'closed':
      kept.transactions.delete(change.txId);
      return;
    default:
      change satisfies never;
  }
}

/** The changes that make a kept ring out of nothing: for a log that is written anew. */
export function* changesOf(kept: KeptRing): Generator<RingChange> {
  yield { kind: 'begin', consumed: kept.consumed };
  if (kept.input !== '') yield { kind: 'input', consumed: kept.consumed, bytes: kept.input };
  // Ids count from 1 in a session: 0 is free for the message that has been begun.
  if (kept.begun !== undefined && 'bytes' in kept.begun) yield { kind: 'sending', ...kept.begun };
  else if (kept.begun !== undefined) {
    yield { kind: 'queued', id: 0, message: kept.begun.message, answers: false };
    yield { kind: 'begun', id: 0, at: kept.begun.at };
  }
  for (const [id, message] of kept.queued) yield { kind: 'queued', id, message, answers: false };
  for (const watch of kept.watches.values()) yield { kind: 'watch', watch };
  for (const txId of kept.transactions) yield { kind: 'opened', txId };
}

/** True for what answers a request; events answer none. */
export const isReply = ({ type }: XsMessage): boolean => type !== XS.XS_WATCH_EVENT;
