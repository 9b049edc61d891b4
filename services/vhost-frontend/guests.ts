// The guests that devices belong to, each opened with its first device and closed with its last.
import { Guest, type GuestDeps } from './guest.js';

interface Entry {
  readonly guest: Promise<Guest>;
  users: number;
}

export class Guests {
  readonly #deps: GuestDeps;
  readonly #entries = new Map<number, Entry>();
  /** Closings under way: the domain's next opening waits for them. */
  readonly #closing = new Map<number, Promise<void>>();

  constructor(deps: GuestDeps) {
    this.#deps = deps;
  }

  /** Rejects with ErrnoError when there is no such domain. Each success is owed one release. */
  async acquire(domid: number): Promise<Guest> {
    let entry = this.#entries.get(domid);
    if (entry === undefined) {
      const closed = this.#closing.get(domid) ?? Promise.resolve();
      entry = { guest: closed.then(() => Guest.open(domid, this.#deps)), users: 0 };
      this.#entries.set(domid, entry);
    }
    entry.users++;
    try {
      return await entry.guest;
    } catch (error) {
      if (this.#entries.get(domid) === entry) this.#entries.delete(domid);
      throw error;
    }
  }

  /** Resolves once nothing of the guest is held on this user's behalf. */
  async release(guest: Guest): Promise<void> {
    const { domid } = guest;
    const entry = this.#entries.get(domid);
    if (entry === undefined || --entry.users > 0) return;
    this.#entries.delete(domid);
    const closing = guest.close().finally(() => this.#closing.delete(domid));
    this.#closing.set(domid, closing);
    await closing;
  }
}
