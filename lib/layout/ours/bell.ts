// The page of a doorbell (docs/doorbells.md), one a receiving process: pending bits, a summary word over them, a sleeping flag.
// Ours; lib/node/bell/bell.ts argues why no wake-up is lost. Every word that two processes write is on a cache line of its own.

/** Indexes of u32 words in the page. */
export const BELL_WORD = {
  /** 1 while the receiver blocks, or is about to: the sender that exchanges it with 0 owes it a wake-up. */
  SLEEPING: 16,
  /** When the sender that exchanged SLEEPING wrote its byte: CLOCK_MONOTONIC, microseconds modulo 2^32. */
  RUNG_US: 17,
  /** Bit w: look at pending word w. */
  SUMMARY: 32,
  /** 32 words of 32 pending bits. */
  PENDING: 48,
} as const;
export const BELL_PENDING_WORDS = 32;
export const BELL_PAGE_SIZE = 4096;
