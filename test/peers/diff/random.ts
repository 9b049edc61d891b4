// Random choices that a seed repeats exactly, on every machine.

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 <= n < 2^32. */
  #next(): number {
    // A Weyl sequence through a 32-bit finaliser: every seed is as good as any other, 0 included.
    this.#state = (this.#state + 0x9e37_79b9) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0_aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a_2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** 0 <= n < limit. */
  below(limit: number): number {
    return Math.floor((this.#next() / 2 ** 32) * limit);
  }

  /** min <= n <= max. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /** True `percent` times in a hundred. */
  chance(percent: number): boolean {
    return this.#next() / 2 ** 32 < percent / 100;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** One of the entries, each as often as its weight says. */
  weighted<T>(entries: readonly (readonly [weight: number, item: T])[]): T {
    let at = this.below(entries.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, item] of entries) {
      at -= weight;
      if (at < 0) return item;
    }
    throw new Error('nothing to choose from');
  }
}
