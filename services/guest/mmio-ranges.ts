// The guest's resource tree for device registers: who has which range of the window. The lowest free aligned range is given,
// so that two runs of the same guest agree.
import { ErrnoError } from '../../lib/core/errors.js';
import type { History } from '../../lib/core/history.js';
import { MMIO_ALIGN, MMIO_WINDOW } from '../../lib/xenbus/keys.js';

export class MmioRanges {
  readonly #taken: { base: number; end: number }[] = [];
  readonly #history: History;

  constructor(history: History) {
    this.#history = history;
  }

  /** Takes the lowest free range of `size` bytes; whole pages are taken. Throws ENOSPC. */
  claim(size: number): number {
    const length = Math.ceil(size / MMIO_ALIGN) * MMIO_ALIGN;
    let base: number = MMIO_WINDOW.start;
    let index = 0;
    for (; index < this.#taken.length && this.#taken[index]!.base < base + length; index++)
      base = this.#taken[index]!.end;
    if (base + length - 1 > MMIO_WINDOW.end) throw new ErrnoError('ENOSPC', 'no free range for device registers');
    this.#taken.splice(index, 0, { base, end: base + length });
    this.#history.record('acquire', 'range', base, length);
    return base;
  }

  /** Gives a range back. Throws EINVAL when it is not taken. */
  release(base: number): void {
    const index = this.#taken.findIndex((range) => range.base === base);
    if (index < 0) throw new ErrnoError('EINVAL', `range 0x${base.toString(16)} is not taken`);
    this.#taken.splice(index, 1);
    this.#history.record('release', 'range', base);
  }

  get count(): number {
    return this.#taken.length;
  }
}
