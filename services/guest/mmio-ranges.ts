// The guest's resource tree for device registers: who has which range of the window. The lowest free aligned range is given,
// so that two runs of the same guest agree.
import { ErrnoError } from '../../lib/core/errors.js';
import type { Probe } from '../../lib/core/probe.js';
import { POINT } from '../../lib/trace/points.js';
import { MMIO_ALIGN, MMIO_WINDOW } from '../../lib/xenbus/keys.js';

export class MmioRanges {
  readonly #taken: { base: number; end: number }[] = [];
  readonly #probe: Probe;

  constructor(probe: Probe) {
    this.#probe = probe;
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
    this.#probe.at(POINT['range.take'], '', base, base + length - 1);
    return base;
  }

  /** Gives a range back. Throws EINVAL when it is not taken. */
  release(base: number): void {
    const index = this.#taken.findIndex((range) => range.base === base);
    if (index < 0) throw new ErrnoError('EINVAL', `range 0x${base.toString(16)} is not taken`);
    const [range] = this.#taken.splice(index, 1);
    this.#probe.at(POINT['range.give'], '', base, range!.end - 1);
  }

  get count(): number {
    return this.#taken.length;
  }
}
