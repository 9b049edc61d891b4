// How guest code sleeps: completions and deadlines whose wake-ups enter the vCPU by Vcpu.run, as a scheduler would have it.
import type { Clock, Timer } from '../../lib/core/clock.js';
import { DeadlineError } from '../../lib/core/errors.js';
import type { Vcpu } from './vcpu.js';

/** Something that happens once: wait() before it resolves then, and after it at once. */
export class Completion<T = void> {
  readonly #vcpu: Vcpu;
  readonly #waiters: { resolve: (value: T) => void; reject: (error: Error) => void }[] = [];
  #outcome: { value: T } | { error: Error } | undefined;

  constructor(vcpu: Vcpu) {
    this.#vcpu = vcpu;
  }

  get done(): boolean {
    return this.#outcome !== undefined;
  }

  complete(value: T): void {
    this.#settle({ value });
  }

  fail(error: Error): void {
    this.#settle({ error });
  }

  #settle(outcome: { value: T } | { error: Error }): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      this.#vcpu.run(() => ('error' in outcome ? reject(outcome.error) : resolve(outcome.value)));
    }
  }

  /** Waits for it; with a clock and a time, throws DeadlineError when it does not come. */
  wait(limit?: { clock: Clock; ms: number; what: string }): Promise<T> {
    const outcome = this.#outcome;
    if (outcome !== undefined)
      return 'error' in outcome ? Promise.reject(outcome.error) : Promise.resolve(outcome.value);
    return new Promise((resolve, reject) => {
      if (limit === undefined) {
        this.#waiters.push({ resolve, reject });
        return;
      }
      const waiter = {
        resolve: (value: T) => {
          timer.cancel();
          resolve(value);
        },
        reject: (error: Error) => {
          timer.cancel();
          reject(error);
        },
      };
      this.#waiters.push(waiter);
      const timer: Timer = limit.clock.after(limit.ms, () => {
        const index = this.#waiters.indexOf(waiter);
        if (index < 0) return;
        this.#waiters.splice(index, 1);
        const late = new DeadlineError(`${limit.what} did not come within ${limit.ms} ms`);
        this.#vcpu.run(() => reject(late));
      });
    });
  }
}
