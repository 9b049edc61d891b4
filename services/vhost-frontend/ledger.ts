// What this process holds on behalf of others, so that it can say at its end whether everything was given back; each
// taking and giving is a history record.
import type { History } from '../../lib/core/history.js';

export interface Held {
  readonly what: string;
  readonly number: number;
  readonly domid: number;
}

export class Ledger {
  readonly #history: History;
  readonly #held = new Set<Held>();

  constructor(history: History) {
    this.#history = history;
  }

  /** Writes down that something was taken; the answer, called once or more, that it was given back. */
  take(what: string, number: number, domid: number): () => void {
    const held = { what, number, domid };
    this.#held.add(held);
    this.#history.record('acquire', what, number, 0, domid);
    return () => {
      if (this.#held.delete(held)) this.#history.record('release', what, number, 0, domid);
    };
  }

  get held(): readonly Held[] {
    return [...this.#held];
  }
}
