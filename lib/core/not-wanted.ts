// That what is waited for is not wanted any more: told once, with the reason. What an AbortSignal is to Node, for code that
// knows no Node.

export interface NotWanted {
  /** Undefined as long as it is wanted. */
  readonly reason: Error | undefined;
  /** Runs `action` when it is not wanted any more, at once where that is so already. Answers how to stop listening. */
  listen(action: (reason: Error) => void): () => void;
}

/** The end that tells. */
export class Wish implements NotWanted {
  readonly #listeners = new Set<(reason: Error) => void>();
  #reason: Error | undefined;

  get reason(): Error | undefined {
    return this.#reason;
  }

  giveUp(reason: Error): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (const listener of this.#listeners) listener(reason);
    this.#listeners.clear();
  }

  listen(action: (reason: Error) => void): () => void {
    if (this.#reason !== undefined) action(this.#reason);
    else this.#listeners.add(action);
    return () => void this.#listeners.delete(action);
  }
}
