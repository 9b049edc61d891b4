// The histories of a lab as they grow, in one order of time over all processes, until none of them lives any more or the reader
// has seen enough. What is told is what the rings hold at the start, then what is added.

import { listProcesses } from '../lib/node/process/run-dir.js';
import { lookAgain } from '../lib/node/process/wait.js';
import type { TraceRecord } from '../lib/trace/record.js';
import type { HistoryFeed } from './feed.js';

/** A record is in its ring within this after its time was taken, unless its process was interrupted just there. */
export const SETTLED_NS = 2_000_000n;
/** No event tells that a record was written: rings are memory. */
const LOOK_MS = 50;

/** Records that are old enough for none to come before them; the younger ones wait in it. */
export class InOrder {
  #waiting: TraceRecord[] = [];

  /** `records` are in order among themselves. Gives what was written before `untilNs`. */
  take(records: readonly TraceRecord[], untilNs: bigint): TraceRecord[] {
    // Not as arguments: full rings are more than one call takes.
    this.#waiting = this.#waiting.concat(records);
    this.#waiting.sort((a, b) => (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0));
    const young = this.#waiting.findIndex(({ ns }) => ns > untilNs);
    return this.#waiting.splice(0, young < 0 ? this.#waiting.length : young);
  }

  /** What still waits. */
  rest(): TraceRecord[] {
    return this.#waiting.splice(0);
  }
}

export interface Follower {
  records(records: readonly TraceRecord[]): void;
  /** Records of these processes were overwritten before they were read; counts since the last call. */
  lost(counts: ReadonlyMap<string, number>): void;
}

/** Resolves once no process of the lab lives. */
export async function followHistories(
  runDir: string,
  feed: HistoryFeed,
  follower: Follower,
  signal: AbortSignal,
): Promise<void> {
  const inOrder = new InOrder();
  const told = new Map<string, number>();
  const tell = (untilNs: bigint | undefined): void => {
    const taken = inOrder.take(feed.read(), untilNs ?? 0n);
    const records = untilNs === undefined ? [...taken, ...inOrder.rest()] : taken;
    if (records.length > 0) follower.records(records);
    const fresh = new Map([...feed.lost].map(([name, count]) => [name, count - (told.get(name) ?? 0)] as const));
    for (const [name, count] of fresh) {
      told.set(name, (told.get(name) ?? 0) + count);
      if (count === 0) fresh.delete(name);
    }
    if (fresh.size > 0) follower.lost(fresh);
  };
  await lookAgain(
    async () => {
      const over = listProcesses(runDir).every(({ state }) => state === 'dead');
      tell(process.hrtime.bigint() - SETTLED_NS);
      return over || undefined;
    },
    LOOK_MS,
    signal,
  );
  tell(undefined);
}
