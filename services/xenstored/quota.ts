// What a domain may use: the named quotas with xenstored's defaults, and the account of one domain. Sockets and the
// privileged domain have no account that limits them; who charges what is with the operation that does.

/** Every accounted thing, in xenstored's order, which is the order of its listings. `soft` marks a warning level. */
export const QUOTAS = [
  { name: 'nodes', hard: 1000, about: 'nodes that a domain owns' },
  { name: 'watches', hard: 128, about: 'watches of a domain' },
  { name: 'outstanding', hard: 20, about: 'requests of a domain not yet done with' },
  { name: 'memory', hard: 2_621_440, soft: 2_097_152, about: 'bytes held for a domain' },
  { name: 'transactions', hard: 10, about: 'open transactions of a domain' },
  { name: 'transaction-nodes', hard: 1024, about: 'nodes touched by one transaction' },
  { name: 'node-permissions', hard: 5, about: 'permissions of one node' },
  { name: 'path-max', hard: 2048, about: 'length of a path' },
  { name: 'node-size', hard: 2048, about: 'size of one node' },
] as const;
export type QuotaName = (typeof QUOTAS)[number]['name'];

/** A limit that can be read and set: "nodes", "soft-memory". */
export type QuotaKey = QuotaName | `soft-${QuotaName}`;

/** Limits by key; 0 is no limit. A missing soft key does not exist. */
export type Limits = Map<QuotaKey, number>;

export function defaultLimits(): Limits {
  const limits: Limits = new Map();
  for (const quota of QUOTAS) {
    limits.set(quota.name, quota.hard);
    if ('soft' in quota) limits.set(`soft-${quota.name}`, quota.soft);
  }
  return limits;
}

/** The keys that GET_QUOTA lists, in its order. */
export function quotaKeys(limits: Limits): QuotaKey[] {
  return [...limits.keys()];
}

/** What one domain uses, with the most it ever did. */
export class Account {
  readonly limits: Limits;
  readonly #used = new Map<QuotaName, number>();
  readonly #most = new Map<QuotaName, number>();
  readonly #met = new Map<QuotaName, number>();

  constructor(limits: Limits) {
    this.limits = limits;
  }

  used(name: QuotaName): number {
    return this.#used.get(name) ?? 0;
  }
  most(name: QuotaName): number {
    return this.#most.get(name) ?? 0;
  }

  /** Charges (or with a negative count gives back); never below 0. */
  add(name: QuotaName, count: number): void {
    const value = Math.max(0, this.used(name) + count);
    this.#used.set(name, value);
    this.see(name, value);
  }

  /** Remembers a value that is not accumulated, such as a path's length. */
  see(name: QuotaName, value: number): void {
    if (value > this.most(name)) this.#most.set(name, value);
  }

  /** A request was refused for this quota. Returns how many were. */
  meet(name: QuotaName): number {
    const times = (this.#met.get(name) ?? 0) + 1;
    this.#met.set(name, times);
    return times;
  }

  resetMost(): void {
    this.#most.clear();
    for (const [name, value] of this.#used) this.#most.set(name, value);
  }
}
