// The store's time for tests: it stands until they move it.
import type { HostTime } from '../services/xenstored/host-time.js';

export class StoreClock implements HostTime {
  now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly action: () => void }>();

  seconds(): number {
    return this.now;
  }
  later(seconds: number, action: () => void): () => void {
    const timer = { at: this.now + seconds, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  get pending(): number {
    return this.#timers.size;
  }
  advanceTo(now: number): void {
    this.now = now;
    for (const timer of [...this.#timers]) {
      if (timer.at > now) continue;
      this.#timers.delete(timer);
      timer.action();
    }
  }
}
