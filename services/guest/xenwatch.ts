// The one task that runs every watch callback, in order, each to its end before the next: Linux's xenwatch thread. A
// callback that sleeps holds up all others, and a driver's probe runs inside it.
import type { Log } from '../../lib/core/log.js';

export class Xenwatch {
  readonly #queue: { of: object; run: () => Promise<void> }[] = [];
  readonly #log: Log;
  #running = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Called from guest code, on the vCPU. `of` is the watch it belongs to. */
  add(of: object, run: () => Promise<void>): void {
    this.#queue.push({ of, run });
    if (!this.#running) void this.#work();
  }

  /** Drops events of a watch that is being removed; the callback that runs now is not one of them. */
  drop(of: object): void {
    for (let index = this.#queue.length - 1; index >= 0; index--) {
      if (this.#queue[index]!.of === of) this.#queue.splice(index, 1);
    }
  }

  async #work(): Promise<void> {
    this.#running = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        try {
          await next.run();
        } catch (error) {
          // A callback handles its errors: what comes out is a bug, and ends this process.
          this.#log.error('a watch callback failed');
          throw error;
        }
      }
    } finally {
      this.#running = false;
    }
  }
}
