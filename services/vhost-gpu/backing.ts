// The guest pages behind a resource: pieces of guest memory in the order they were attached, read as one byte string.
// A piece may end inside a pixel or a row. Leaves which bytes of it a transfer wants to resources.ts.
import type { GuestMemory } from '../../lib/core/memory.js';
import type { MemEntry } from '../../lib/virtio/gpu-codec.js';

export class Backing {
  /** Pieces as they count against the device's bound: what the guest attached. */
  readonly entryCount: number;
  readonly #entries: readonly MemEntry[];
  /** Live views of the pieces, and where each begins in the byte string; made at the first copy after a change. */
  #views: Uint8Array[] | undefined;
  #starts = new Float64Array(0);
  #size = 0;

  private constructor(entries: readonly MemEntry[], entryCount: number) {
    this.#entries = entries;
    this.entryCount = entryCount;
  }

  /** Undefined when a piece is empty or not wholly inside `memory`. */
  static attach(memory: GuestMemory, entries: readonly MemEntry[]): Backing | undefined {
    const merged: { addr: number; length: number }[] = [];
    let last: { addr: number; length: number } | undefined;
    for (const { addr, length } of entries) {
      if (length === 0 || !memory.contains(addr, length)) return undefined;
      if (last !== undefined && last.addr + last.length === addr && memory.contains(last.addr, last.length + length)) {
        last.length += length;
      } else {
        last = { addr, length };
        merged.push(last);
      }
    }
    return new Backing(merged, entries.length);
  }

  /** Drops every view into guest memory: it is about to be unmapped, or mapped elsewhere. */
  forgetMemory(): void {
    this.#views = undefined;
  }

  /**
   * Makes sure of views into `memory`; false when a piece does not lie in it (any more). The views are used by copy()
   * and must not outlive the mapping: forgetMemory() comes before it is undone.
   */
  bind(memory: GuestMemory): boolean {
    if (this.#views !== undefined && memory.revocable !== true) return true;
    if (!this.#entries.every(({ addr, length }) => memory.contains(addr, length))) return false;
    const views = this.#entries.flatMap(({ addr, length }) => memory.views(addr, length));
    this.#starts = new Float64Array(views.length);
    let at = 0;
    for (const [index, view] of views.entries()) {
      this.#starts[index] = at;
      at += view.length;
    }
    this.#size = at;
    this.#views = views;
    return true;
  }

  /** Copies `length` bytes from `offset` on to `target` at `at`; what lies past the end is left out. Bound first. */
  copy(offset: number, length: number, target: Uint8Array, at: number): void {
    const views = this.#views!;
    const end = Math.min(offset + length, this.#size);
    let from = offset;
    let to = at;
    for (let piece = this.#find(offset); from < end; piece++) {
      const view = views[piece]!;
      const skip = from - this.#starts[piece]!;
      const take = Math.min(view.length - skip, end - from);
      target.set(skip === 0 && take === view.length ? view : view.subarray(skip, skip + take), to);
      from += take;
      to += take;
    }
  }

  /** The piece that holds byte `offset`, which lies inside. */
  #find(offset: number): number {
    const starts = this.#starts;
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low;
  }
}
