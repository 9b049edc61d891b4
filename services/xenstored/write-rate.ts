// How often guests may change the store while others have transactions open, which every change may make fail: the C
// daemon's credits. All domains share one rate. A domain that does not use its share fills a common reserve; one that writes faster than its
// share and the reserve allow is not heard until its credit is back. Pure arithmetic on milliseconds: bounds.ts says which
// domain is charged, and when.

/** Credits are counted in thousandths of a write, as rates and waits are in milliseconds. */
const WRITE = 1000;
/** Writes a second, shared by all domains. */
const RATE = 200;
/** What one domain can save, what the reserve can, and how far new domains may overdraw the reserve. */
const BURST = 10 * WRITE;
const RESERVE = 1000 * WRITE;
const NEWCOMERS = 5 * BURST;
/** A longer pause counts as this one. */
const PAUSE_MS_MAX = 1_000_000_000;

interface Purse {
  amount: number;
}

/** Moves as much as leaves `from` its floor and `to` its ceiling. */
function move(from: Purse, floor: number, to: Purse, ceiling: number): void {
  const amount = Math.max(0, Math.min(from.amount - floor, ceiling - to.amount));
  from.amount -= amount;
  to.amount += amount;
}

export class WriteRate {
  readonly #credits = new Map<number, Purse>();
  readonly #reserve: Purse = { amount: 0 };
  #updatedMs = 0;

  /** The control domain takes a share like any other. */
  get #sharers(): number {
    return this.#credits.size + 1;
  }

  /** A domain came: it starts with what the reserve can give, or owe. */
  begin(domid: number, nowMs: number): void {
    if (this.#credits.has(domid)) return;
    this.#update(nowMs);
    const credit = { amount: 0 };
    move(this.#reserve, -NEWCOMERS, credit, BURST);
    this.#credits.set(domid, credit);
  }

  end(domid: number): void {
    const credit = this.#credits.get(domid);
    if (credit === undefined) return;
    this.#credits.delete(domid);
    move(credit, 0, this.#reserve, BURST);
  }

  /** Takes the price of so many writes, beyond 0 if need be. */
  spend(domid: number, writes: number, nowMs: number): void {
    this.begin(domid, nowMs);
    this.#update(nowMs);
    const credit = this.#credits.get(domid) as Purse;
    for (let count = 0; count < writes; count++) {
      move(this.#reserve, 0, credit, 0);
      credit.amount -= WRITE;
    }
  }

  /** Milliseconds until the domain is heard again; 0: it is now. */
  waitMs(domid: number, nowMs: number): number {
    const credit = this.#credits.get(domid);
    if (credit === undefined || credit.amount >= 0) return 0;
    this.#update(nowMs);
    move(this.#reserve, 0, credit, 0);
    return credit.amount >= 0 ? 0 : Math.ceil((-credit.amount * this.#sharers) / RATE);
  }

  /** Credit grows by whole milliseconds; what is past a domain's burst goes to the reserve, what is past that is lost. */
  #update(nowMs: number): void {
    const elapsed = Math.min(nowMs - this.#updatedMs, PAUSE_MS_MAX);
    if (elapsed < 1) return;
    this.#updatedMs = nowMs;
    const grown = Math.floor((elapsed * RATE) / this.#sharers);
    for (const credit of this.#credits.values()) {
      credit.amount += grown;
      move(this.#reserve, 0, credit, 0);
      const surplus = { amount: Math.max(0, credit.amount - BURST) };
      credit.amount -= surplus.amount;
      move(surplus, 0, this.#reserve, RESERVE);
    }
  }
}
