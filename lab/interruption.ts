// Ctrl-C and SIGTERM of a command that has things to give back: the first asks for an end in order, a second one for an end at once.
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { InterruptedError } from '../lib/core/errors.js';

/** From its making on, signals do not end the process. */
export class Interruption {
  readonly #abort = new AbortController();
  /** Resolves at the first signal. */
  readonly happened: Promise<void>;
  #firstMs: number | undefined;
  #onSecond: () => void = () => process.exit(1);

  constructor() {
    this.happened = new Promise((resolve) => {
      this.signal.addEventListener('abort', () => resolve());
    });
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => this.now());
  }

  /** Aborts at the first signal, with a sentence for the user as its reason. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What ends the process at once; it must do so. */
  onSecond(action: () => void): void {
    this.#onSecond = action;
  }

  /** As if a signal had come. */
  now(): void {
    this.#abort.abort(new InterruptedError('interrupted'));
    this.#firstMs ??= performance.now();
    if (performance.now() - this.#firstMs > DEADLINE_MS.oneSignal) this.#onSecond();
  }
}
