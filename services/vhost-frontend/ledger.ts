// What this process holds on behalf of others, so that it can say at its end whether everything was given back; each
// taking and giving is a trace point.
import type { Probe } from '../../lib/core/probe.js';
import { POINT } from '../../lib/trace/points.js';

export interface Held {
  readonly what: string;
  readonly number: number;
  readonly domid: number;
}

export class Ledger {
  readonly #probe: Probe;
  readonly #held = new Set<Held>();

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** Writes down that something was taken; the answer, called once or more, that it was given back. */
  take(what: string, number: number, domid: number): () => void {
    const held = { what, number, domid };
    this.#held.add(held);
    this.#probe.at(POINT['held.take'], what, number, 0, domid);
    return () => {
      if (this.#held.delete(held)) this.#probe.at(POINT['held.give'], what, number, 0, domid);
    };
  }

  get held(): readonly Held[] {
    return [...this.#held];
  }
}
