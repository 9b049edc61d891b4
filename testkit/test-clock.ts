// Time for tests: it stands until they move it.
import type { Clock } from '../lib/core/clock.js';

/** A clock that tests move: nothing waits for real time. */
export class TestClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ due: number; action: () => void }>();
  nowNs(): bigint {
    return BigInt(this.#now) * 1_000_000n;
  }
  after(delayMs: number, action: () => void): { cancel(): void } {
    const timer = { due: this.#now + delayMs, action };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.due > this.#now) continue;
      this.#timers.delete(timer);
      timer.action();
    }
  }
}
