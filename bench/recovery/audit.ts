// What every process of the lab holds, before and after many kills, by name: also a process that was replaced must hold what the
// first of its name did. Resident memory is sampled on the way. Leaves killing to recovery.ts.

import { askHoldings, without } from '../../lab/audit.js';
import { countDescriptors } from '../../lab/descriptors.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { ErrnoError, PeerDiedError } from '../../lib/core/errors.js';
import { lookAgain } from '../../lib/node/process/wait.js';
import type { RecoveryLab } from './lab.js';

/** Of each process by its name: one text for each thing held, and for each kind of descriptor how many. */
export type Books = ReadonlyMap<string, readonly string[]>;

/** No event tells that the last replaced connection is closed: it is looked at so often. */
const LOOK_MS = 100;
const MIB = 2 ** 20;

/** Ports, domains and tokens are numbered anew: what counts is how many of a kind are held. */
const shape = (text: string): string => text.replace(/\b[0-9A-F]{16}\b|\d+/g, 'N');

/** What is held now. Rejects with PeerDiedError when a process ends meanwhile. */
async function books(lab: RecoveryLab): Promise<Books> {
  // Before anything is asked: each server closes the connection of a question some time after its answer.
  const descriptors = countDescriptors(lab.runDir);
  const held = new Map((await askHoldings(lab.session)).map(({ process, held }) => [process, held.map(shape).sort()]));
  for (const [process, kinds] of descriptors) {
    const name = process.replace(/ \(\d+\)$/, '');
    const counted = [...kinds].map(([kind, count]) => `${count} descriptors of kind ${kind}`).sort();
    held.set(name, [...(held.get(name) ?? []), ...counted]);
  }
  return held;
}

/** The books once two looks in a row are the same: what was just replaced is still being let go of. */
export async function settledBooks(lab: RecoveryLab): Promise<Books> {
  let last: Books | undefined;
  const same = async (): Promise<Books | undefined> => {
    const before = last;
    last = await orEnded(books(lab));
    return before !== undefined && last !== undefined && difference(before, last).length === 0 ? last : undefined;
  };
  const settled = await lookAgain(same, LOOK_MS, AbortSignal.timeout(DEADLINE_MS.measuredRecovery));
  if (settled === undefined) throw new Error('what the processes hold does not come to rest');
  return settled;
}

/** What differs once it has had time to be let go of, a sentence each. */
export async function lasting(lab: RecoveryLab, before: Books): Promise<string[]> {
  let found = ['no process answered'];
  const equal = async (): Promise<true | undefined> => {
    const now = await orEnded(books(lab));
    if (now !== undefined) found = difference(before, now);
    return found.length === 0 ? true : undefined;
  };
  await lookAgain(equal, LOOK_MS, AbortSignal.timeout(DEADLINE_MS.measuredRecovery));
  return found;
}

function difference(before: Books, now: Books): string[] {
  return [...new Set([...before.keys(), ...now.keys()])].flatMap((name) => {
    const [then, after] = [before.get(name) ?? [], now.get(name) ?? []];
    return [
      ...without(after, then).map((text) => `${name}: ${text}, not so before`),
      ...without(then, after).map((text) => `${name}: no longer ${text}`),
    ];
  });
}

/** How many things and descriptors each process holds. */
export function counted(books: Books): Record<string, { held: number; descriptors: number }> {
  const rows = [...books].map(([name, texts]) => {
    const kinds = texts.map((text) => Number(/^(\d+) descriptors of kind /.exec(text)?.[1] ?? 0));
    const descriptors = kinds.reduce((sum, count) => sum + count, 0);
    return [name, { held: kinds.filter((count) => count === 0).length, descriptors }] as const;
  });
  return Object.fromEntries(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Samples of resident memory, by process name, in MiB. */
export class Memory {
  readonly #samples = new Map<string, number[]>();

  async sample(lab: RecoveryLab): Promise<void> {
    for (const { process, residentBytes } of (await orEnded(askHoldings(lab.session))) ?? []) {
      const samples = this.#samples.get(process) ?? [];
      samples.push(Math.round(residentBytes / MIB));
      this.#samples.set(process, samples);
    }
  }

  get samples(): Record<string, readonly number[]> {
    return Object.fromEntries(this.#samples);
  }

  /** A sentence for each process whose memory still grows: see stillGrows. The victim is another process at each sample. */
  growing(victim: string): string[] {
    return [...this.#samples]
      .filter(([name, samples]) => !name.startsWith(victim) && stillGrows(samples))
      .map(([name, samples]) => `${name}: resident memory still grows: ${samples.join(', ')} MiB`);
  }
}

/** Samples below which nothing can be told. */
const SAMPLES_MIN = 8;
/** What a garbage collector may leave more at one look than at another, MiB. */
const SLACK_MIB = 10;

/** What the samples of the last quarter may differ by where memory has levelled off, MiB. */
const LEVEL_MIB = 3;

/**
 * The least of the last quarter is above the most of the second one, by more than a collector's whim, and the last quarter grows
 * itself: a heap that has grown to what it needs, and stays there, is no leak.
 */
export function stillGrows(samples: readonly number[]): boolean {
  if (samples.length < SAMPLES_MIN) return false;
  const quarter = Math.floor(samples.length / 4);
  const last = samples.slice(-quarter);
  const higher = Math.min(...last) > Math.max(...samples.slice(quarter, 2 * quarter)) + SLACK_MIB;
  return higher && last.at(-1)! - last[0]! > LEVEL_MIB;
}

async function orEnded<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof PeerDiedError) && !(error instanceof ErrnoError)) throw error;
    return undefined;
  }
}
