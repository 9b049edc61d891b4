// Kicks that this guest's vCPU matches by itself (path `direct`): the table that the hypervisor publishes, and the doorbells
// that it names. Whatever it does not match leaves the guest as any other access does.

import { ErrnoError } from '../../lib/core/errors.js';
import type { Doorbell, Notifier, NotifyHandle } from '../../lib/core/notify.js';
import { DirectKicks } from '../../lib/events/direct.js';

export class DirectWrites {
  readonly #doorbell: Doorbell;
  readonly #kicks: DirectKicks;
  /** Sending ends, opened at the first kick; undefined for a doorbell that is gone: the process that it would have woken has died. */
  readonly #ends = new Map<NotifyHandle, Notifier | undefined>();

  /** `table`: the page, mapped. */
  constructor(table: Uint8Array, doorbell: Doorbell) {
    this.#doorbell = doorbell;
    this.#kicks = new DirectKicks(
      table,
      (handle) => this.#end(handle)?.signal(),
      (handle) => this.#forget(handle),
    );
  }

  /** Whether the write was a kick, and is done. */
  write(addr: number, size: number, value: number): boolean {
    return this.#kicks.write(addr, size, value);
  }

  close(): void {
    for (const handle of [...this.#ends.keys()]) this.#forget(handle);
  }

  #end(handle: NotifyHandle): Notifier | undefined {
    if (!this.#ends.has(handle)) this.#ends.set(handle, this.#open(handle));
    return this.#ends.get(handle);
  }

  #forget(handle: NotifyHandle): void {
    this.#ends.get(handle)?.close();
    this.#ends.delete(handle);
  }

  #open(handle: NotifyHandle): Notifier | undefined {
    try {
      return this.#doorbell.open(handle);
    } catch (error) {
      if (error instanceof ErrnoError) return undefined;
      throw error;
    }
  }
}
