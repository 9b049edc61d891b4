// The doorbell of a process, in the hands of a fault: rings that were never sent, and rings that come late. Both are what a receiver
// must stand (docs/doorbells.md). Leaves which process and when to scene.ts.
import { existsSync } from 'node:fs';
import { ErrnoError } from '../lib/core/errors.js';
import { BELL_BITS } from '../lib/core/limits.js';
import type { Mapping } from '../lib/core/shared.js';
import { BELL_PAGE_SIZE, BELL_PENDING_WORDS, BELL_WORD } from '../lib/layout/ours/bell.js';
import { BellSender, bellName, bellPaths } from '../lib/node/bell/bell.js';
import { mapPath } from '../lib/node/files/shm.js';

type Life = { readonly name: string; readonly incarnation: number };

/** Rings every bit of a process; nothing where it has no doorbell yet, or none any more. */
export function ringAll(runDir: string, life: Life): void {
  ring(
    runDir,
    life,
    Array.from({ length: BELL_BITS }, (_, bit) => bit),
  );
}

export function ring(runDir: string, life: Life, bits: readonly number[]): void {
  const bell = bellName(life);
  let sender: BellSender;
  try {
    sender = new BellSender(runDir, bell);
  } catch (error) {
    if (error instanceof ErrnoError) return; // it has ended
    throw error;
  }
  try {
    for (const bit of bits) sender.ring(bit);
  } finally {
    sender.close();
  }
}

/** Takes the rings that a process which stands has not looked at; answers their bits. */
export function takeRings(runDir: string, life: Life): number[] {
  const { page } = bellPaths(runDir, bellName(life));
  if (!existsSync(page)) return [];
  const mapping: Mapping = mapPath(page, BELL_PAGE_SIZE, true);
  try {
    const words = new Uint32Array(mapping.bytes.buffer, 0, BELL_PAGE_SIZE / 4);
    // The summary may name words that are empty now: the receiver looks and finds nothing.
    return Array.from({ length: BELL_PENDING_WORDS }, (_, word) =>
      bitsOf(Atomics.exchange(words, BELL_WORD.PENDING + word, 0)).map((bit) => word * 32 + bit),
    ).flat();
  } finally {
    mapping.close();
  }
}

const bitsOf = (word: number): number[] =>
  Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (word >>> bit) & 1);
