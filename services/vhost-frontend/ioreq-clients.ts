// The ioreq clients of the guests that devices belong to, each opened with its guest's first device and closed with its last.
import { passOver } from '../../lib/core/errors.js';
import type { DomId } from '../../lib/core/ids.js';
import { IoreqClient, type IoreqClientDeps } from './ioreq-client.js';

interface Entry {
  readonly client: Promise<IoreqClient>;
  users: number;
}

export class IoreqClients {
  readonly #deps: IoreqClientDeps;
  readonly #entries = new Map<DomId, Entry>();
  /** Closings under way: the domain's next opening waits for them. */
  readonly #closing = new Map<DomId, Promise<void>>();

  constructor(deps: IoreqClientDeps) {
    this.#deps = deps;
  }

  /** Rejects with ErrnoError when there is no such domain. Each success is owed one release. */
  async acquire(domid: DomId): Promise<IoreqClient> {
    let entry = this.#entries.get(domid);
    if (entry === undefined) {
      const closed = this.#closing.get(domid) ?? Promise.resolve();
      entry = { client: closed.then(() => IoreqClient.open(domid, this.#deps)), users: 0 };
      this.#entries.set(domid, entry);
    }
    entry.users++;
    try {
      return await entry.client;
    } catch (error) {
      if (this.#entries.get(domid) === entry) this.#entries.delete(domid);
      throw error;
    }
  }

  /**
   * Every device of the domain has claimed what it will claim: requests that an earlier emulator left, and that none of them
   * took, are answered as an address without a device.
   */
  async settled(domid: DomId): Promise<void> {
    const client = await this.#entries.get(domid)?.client.catch(passOver);
    client?.settled();
  }

  /** Resolves once nothing of the guest is held on this device's behalf. */
  async release(client: IoreqClient): Promise<void> {
    const { domid } = client;
    const entry = this.#entries.get(domid);
    if (entry === undefined || --entry.users > 0) return;
    this.#entries.delete(domid);
    const closing = client.close().finally(() => this.#closing.delete(domid));
    this.#closing.set(domid, closing);
    await closing;
  }
}
