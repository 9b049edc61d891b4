// What this process holds on behalf of others, so that it can say at its end whether everything was given back; each
// taking and giving is a point of the catalogue.

import type { Probe } from '../../lib/core/probe.js';
import { POINT } from '../../lib/trace/points.js';

/** One thing that is out. */
export interface LedgerEntry {
  readonly what: string;
  readonly number: number;
  readonly domid: number;
}

export class Ledger {
  readonly #probe: Probe;
  readonly #held = new Set<LedgerEntry>();

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** Writes down that something was taken; the answer, called once or more, that it was given back. */
  take(what: string, number: number, domid: number): () => void {
    const entry = { what, number, domid };
    this.#held.add(entry);
    this.#probe.at(POINT['held.take'], what, number, 0, domid);
    return () => {
      if (this.#held.delete(entry)) this.#probe.at(POINT['held.give'], what, number, 0, domid);
    };
  }

  get held(): readonly LedgerEntry[] {
    return [...this.#held];
  }
}
