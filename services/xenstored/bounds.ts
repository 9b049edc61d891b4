// What keeps a guest from making others wait, beside its quotas (quota.ts): its writes have a rate while transactions are
// open, and while it is past one of its bounds it is not heard. The C daemon's rules. Time is given; without it no rate
// holds. Leaves events that their client does not take to outbox.ts.
import type { Connection } from './connection.js';
import type { HostTime } from './host-time.js';
import { WriteRate } from './write-rate.js';

const MS_PER_S = 1000;

export class Bounds {
  readonly #time: HostTime | undefined;
  readonly #rate = new WriteRate();
  /** Open transactions of all connections. */
  #transactions = 0;
  /** Guests that are not heard just now. */
  readonly #held = new Set<Connection>();
  /** When a guest's credit comes back, and what then looks at it. */
  #wake: { readonly atMs: number; readonly cancel: () => void } | undefined;
  readonly #onCredit: () => void;

  /** `onCredit`: guests may be heard again. */
  constructor(time: HostTime | undefined, onCredit: () => void) {
    this.#time = time;
    this.#onCredit = onCredit;
  }

  #now(time: HostTime): number {
    return Math.floor(time.seconds() * MS_PER_S);
  }

  // --- writes --------------------------------------------------------------------------------------------------------

  domainCame(domid: number): void {
    if (this.#time !== undefined) this.#rate.begin(domid, this.#now(this.#time));
  }
  domainWent(domid: number): void {
    this.#rate.end(domid);
  }
  transactionOpened(): void {
    this.#transactions++;
  }
  transactionClosed(): void {
    this.#transactions--;
  }

  /** A guest changed nodes outside of any transaction: that can only hurt where transactions are open. */
  wrote(domid: number, writes: number): void {
    if (this.#transactions > 0) this.#spend(domid, writes);
  }

  /** A guest's transaction, which is still open, was committed: it can hurt others. */
  committed(domid: number): void {
    if (this.#transactions > 1) this.#spend(domid, 1);
  }

  #spend(domid: number, writes: number): void {
    if (this.#time !== undefined && writes > 0) this.#rate.spend(domid, writes, this.#now(this.#time));
  }

  /** True while a guest has written faster than its rate; it is looked at again when its credit is back. */
  isSpent(domid: number): boolean {
    if (this.#time === undefined) return false;
    const now = this.#now(this.#time);
    const wait = this.#rate.waitMs(domid, now);
    if (wait > 0) this.#wakeAt(this.#time, now + wait);
    return wait > 0;
  }

  #wakeAt(time: HostTime, atMs: number): void {
    if (this.#wake !== undefined && this.#wake.atMs <= atMs) return;
    this.#wake?.cancel();
    const cancel = time.later(Math.max(1, atMs - this.#now(time)) / MS_PER_S, () => {
      this.#wake = undefined;
      this.#onCredit();
    });
    this.#wake = { atMs, cancel };
  }

  // --- guests that wait ----------------------------------------------------------------------------------------------

  hold(connection: Connection): void {
    this.#held.add(connection);
  }

  /** Those that were held: each is held again if it must be. */
  takeHeld(): readonly Connection[] {
    if (this.#held.size === 0) return [];
    const held = [...this.#held];
    this.#held.clear();
    return held;
  }

  forget(connection: Connection): void {
    this.#held.delete(connection);
  }
}
