// The store as the guest's kernel reaches it: answers and watch events enter by Vcpu.enter, as the interrupt of the
// store's port would bring them. Messages are points of the client (lib/xenstore/client.ts).
import type { Probe } from '../../lib/core/probe.js';
import { POINT } from '../../lib/trace/points.js';
import type { StoreClient, StoreOps } from '../../lib/xenstore/api.js';
import type { Vcpu } from './vcpu.js';

/** Operations, plain or inside a transaction. */
export class GuestStoreOps {
  protected readonly vcpu: Vcpu;
  readonly #ops: StoreOps;

  constructor(ops: StoreOps, vcpu: Vcpu) {
    this.#ops = ops;
    this.vcpu = vcpu;
  }

  read(path: string): Promise<string> {
    return this.vcpu.enter(this.#ops.read(path));
  }
  write(path: string, value: string): Promise<void> {
    return this.vcpu.enter(this.#ops.write(path, value));
  }
  rm(path: string): Promise<void> {
    return this.vcpu.enter(this.#ops.rm(path));
  }
  directory(path: string): Promise<string[]> {
    return this.vcpu.enter(this.#ops.directory(path));
  }
}

export class GuestStore extends GuestStoreOps {
  readonly #client: StoreClient;
  readonly #probe: Probe;

  constructor(client: StoreClient, vcpu: Vcpu, probe: Probe) {
    super(client, vcpu);
    this.#client = client;
    this.#probe = probe;
  }

  /** Like StoreClient.transaction: the body is repeated on EAGAIN; what it throws aborts. */
  transaction<T>(body: (tx: GuestStoreOps) => Promise<T>): Promise<T> {
    const inside = async (tx: StoreOps): Promise<T> => {
      // The start was answered outside the vCPU.
      await this.vcpu.enter(Promise.resolve());
      return body(new GuestStoreOps(tx, this.vcpu));
    };
    return this.vcpu.enter(this.#client.transaction(inside));
  }

  /** Events enter the vCPU one by one, in the store's order. */
  async watch(path: string, token: string, onEvent: (path: string) => void): Promise<void> {
    await this.vcpu.enter(this.#client.watch(path, token, (changed) => this.vcpu.run(() => onEvent(changed))));
    this.#probe.at(POINT['watch.take'], path);
  }
  async unwatch(path: string, token: string): Promise<void> {
    await this.vcpu.enter(this.#client.unwatch(path, token));
    this.#probe.at(POINT['watch.give'], path);
  }
  resetWatches(): Promise<void> {
    return this.vcpu.enter(this.#client.resetWatches());
  }
}
