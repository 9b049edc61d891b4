// How long a process looks at its shared pages after an activity before it blocks (docs/doorbells.md), learnt from what its
// wake-ups cost on this machine and from how soon they came. Pure; lib/node/bell/poller.ts polls, lib/node/bell/bell.ts measures.

/** Before a wake-up was measured. Less than 50 us costs the tail of a round trip. */
const WINDOW_START_MS = 0.15;
/** A wake-up within so many times its cost came soon: looking on would have been cheaper than to block. */
const SOON = 8;
/** The window never exceeds so many times what a wake-up costs, nor so many milliseconds. */
const WINDOW_MAX = 16;
const WINDOW_MAX_MS = 2;
/** Of a longer wake-up into what one costs: of those that waited for a busy core there may be many, of the machine they say nothing. */
const RISE = 1 / 64;
/** One that is asleep when its byte comes waits in the kernel for nearly all that the wake-up costs. */
const BLOCKED = 0.5;
/** Milliseconds. What a page says is another process's word: outside of these it is no measurement. */
const WAKE_COST_MIN = 0.001;
const WAKE_COST_MAX = 2;

export class PollWindow {
  #windowMs: number;
  #costMs = 0;
  readonly #fixed: boolean;

  /** `fixedUs`: always this long, 0 not at all; undefined: learnt. */
  constructor(fixedUs?: number) {
    this.#fixed = fixedUs !== undefined;
    this.#windowMs = fixedUs === undefined ? WINDOW_START_MS : fixedUs / 1000;
  }

  /** How long to look after the last activity, ms. */
  get windowMs(): number {
    return this.#windowMs;
  }

  /** What a wake-up costs here at best, ms; 0 before there was one. */
  get costMs(): number {
    return this.#costMs;
  }

  /**
   * This process was woken `sleptMs` after it had said that it sleeps, `costMs` after the byte for it was written. Of these
   * the event loop had waited in the kernel for `blockedMs`: next to nothing when the byte was there before it got so far,
   * and then the wake-up says nothing of what one costs.
   */
  woken(sleptMs: number, costMs: number, blockedMs: number): void {
    if (costMs < WAKE_COST_MIN || costMs > WAKE_COST_MAX) return;
    const known = this.#costMs;
    if (blockedMs >= BLOCKED * costMs)
      this.#costMs = known === 0 || costMs < known ? costMs : known + (costMs - known) * RISE;
    const cost = this.#costMs;
    if (this.#fixed || cost === 0) return;
    if (sleptMs <= SOON * cost)
      this.#windowMs = Math.min(Math.max(2 * this.#windowMs, 2 * cost), WINDOW_MAX * cost, WINDOW_MAX_MS);
    // It came late: the looking before was for nothing, and the next time there is less of it, and soon none.
    else this.#windowMs = this.#windowMs > cost / 2 ? this.#windowMs / 2 : 0;
  }
}
