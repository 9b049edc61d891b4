// The text of what the journal keeps of guests' rings: a letter, the domain, the kind of change and its numbers, each ended
// by NUL; bytes of any value come last. Leaves what the changes mean to ring-kept.ts, the other records to journal-records.ts.
import type { XsMessage } from '../../lib/layout/xs-wire.js';
import { splitStrings } from '../../lib/xenstore/payload.js';
import type { LiveWatch } from './live-state.js';
import type { RingChange } from './ring-kept.js';

export const RING_RECORD = 'C';

const NO_DEPTH = '';

const headed = (domid: number, kind: RingChange['kind'], ...numbers: number[]): string => {
  let text = `${RING_RECORD}${domid}\0${kind}\0`;
  for (const number of numbers) text += `${number}\0`;
  return text;
};
const watchText = ({ path, token, depth }: LiveWatch): string => `${path}\0${token}\0${depth ?? NO_DEPTH}\0`;

export function ringRecord(domid: number, change: RingChange): string {
  const { kind } = change;
  switch (kind) {
    case 'begin':
      return headed(domid, kind, change.consumed);
    case 'input':
      return headed(domid, kind, change.consumed) + change.bytes;
    case 'queued': {
      const { type, reqId, txId, payload } = change.message;
      return headed(domid, kind, change.id, Number(change.answers), type, reqId, txId) + payload;
    }
    case 'dropped':
      return headed(domid, kind, change.id);
    case 'begun':
      return headed(domid, kind, change.id, change.at);
    case 'sending':
      return headed(domid, kind, change.at) + change.bytes;
    case 'watch':
    case 'unwatch':
      return headed(domid, kind) + watchText(change.watch);
    case 'opened':
    case 'closed':
      return headed(domid, kind, change.txId);
    case 'end':
      return headed(domid, kind);
    default:
      return change satisfies never;
  }
}

/** How many numbers stand behind a kind. */
const NUMBERS: Readonly<Record<RingChange['kind'], number>> = {
  begin: 1,
  input: 1,
  queued: 5,
  dropped: 1,
  begun: 2,
  sending: 1,
  watch: 0,
  unwatch: 0,
  opened: 1,
  closed: 1,
  end: 0,
};

/** Undefined for a record that none of ours could be. */
export function parseRingRecord(record: string): { readonly domid: number; readonly change: RingChange } | undefined {
  let at = RING_RECORD.length;
  const next = (): string => {
    const end = record.indexOf('\0', at);
    const text = end === -1 ? '' : record.slice(at, end);
    at = end === -1 ? record.length : end + 1;
    return text;
  };
  const domid = Number(next());
  const kind = next() as RingChange['kind'];
  if (!Object.hasOwn(NUMBERS, kind)) return undefined;
  const numbers = Array.from({ length: NUMBERS[kind] }, () => Number.parseInt(next(), 10));
  if (![domid, ...numbers].every(Number.isInteger)) return undefined;
  const change = changeOf(kind, numbers, record.slice(at));
  return change === undefined ? undefined : { domid, change };
}

function changeOf(kind: RingChange['kind'], numbers: readonly number[], rest: string): RingChange | undefined {
  const [first = 0, second = 0, type = 0, reqId = 0, txId = 0] = numbers;
  switch (kind) {
    case 'begin':
      return { kind, consumed: first };
    case 'input':
      return { kind, consumed: first, bytes: rest };
    case 'queued': {
      const message: XsMessage = { type, reqId, txId, payload: rest };
      return { kind, id: first, message, answers: second === 1 };
    }
    case 'dropped':
      return { kind, id: first };
    case 'begun':
      return { kind, id: first, at: second };
    case 'sending':
      return { kind, at: first, bytes: rest };
    case 'watch':
    case 'unwatch': {
      const [path, token, depth] = splitStrings(rest);
      if (path === undefined || token === undefined || depth === undefined) return undefined;
      return { kind, watch: { path, token, depth: depth === NO_DEPTH ? undefined : Number(depth) } };
    }
    case 'opened':
    case 'closed':
      return { kind, txId: first };
    case 'end':
      return { kind };
    default:
      return kind satisfies never;
  }
}
