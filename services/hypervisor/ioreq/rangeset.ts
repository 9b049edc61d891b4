// A bounded set of inclusive ranges of 64-bit addresses, sorted, neighbours merged: what an ioreq server claims of one
// kind. As xen/common/rangeset.c. Kept exactly as bigints; looked up as numbers, which guest addresses fit.

interface Range {
  start: bigint;
  end: bigint;
  /** The same as numbers for the look-up; a bound past 2^53 reads as infinite, which no address reaches. */
  low: number;
  high: number;
}

export class RangeSet {
  readonly #max: number;
  readonly #ranges: Range[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  get ranges(): readonly { readonly start: bigint; readonly end: bigint }[] {
    return this.#ranges;
  }

  overlaps(start: bigint, end: bigint): boolean {
    return this.#ranges.some((range) => range.start <= end && start <= range.end);
  }

  contains(start: bigint, end: bigint): boolean {
    return this.#ranges.some((range) => range.start <= start && end <= range.end);
  }

  /** contains() for an access: both ends below 2^53; allocates nothing. */
  containsAccess(first: number, last: number): boolean {
    const ranges = this.#ranges;
    for (let index = 0; index < ranges.length; index++) {
      const range = ranges[index]!;
      if (range.low <= first && last <= range.high) return true;
    }
    return false;
  }

  /** Adds a range that overlaps none; false when that needs one range more than allowed. */
  add(start: bigint, end: bigint): boolean {
    const found = this.#ranges.findIndex((range) => range.start > end);
    const at = found === -1 ? this.#ranges.length : found;
    const before = this.#ranges[at - 1];
    const after = this.#ranges[at];
    const joinsBefore = before !== undefined && before.end + 1n === start;
    const joinsAfter = after !== undefined && end + 1n === after.start;
    if (joinsBefore && joinsAfter) {
      this.#ranges.splice(at - 1, 2, makeRange(before.start, after.end));
    } else if (joinsBefore) this.#ranges[at - 1] = makeRange(before.start, end);
    else if (joinsAfter) this.#ranges[at] = makeRange(start, after.end);
    else {
      if (this.#ranges.length >= this.#max) return false;
      this.#ranges.splice(at, 0, makeRange(start, end));
    }
    return true;
  }

  /** Removes a part that lies within one range; false when the split needs one range more than allowed. */
  remove(start: bigint, end: bigint): boolean {
    const at = this.#ranges.findIndex((range) => range.start <= start && end <= range.end);
    const range = this.#ranges[at];
    if (range === undefined) return true;
    const left = range.start < start ? [makeRange(range.start, start - 1n)] : [];
    const right = end < range.end ? [makeRange(end + 1n, range.end)] : [];
    if (left.length + right.length === 2 && this.#ranges.length >= this.#max) return false;
    this.#ranges.splice(at, 1, ...left, ...right);
    return true;
  }
}

function makeRange(start: bigint, end: bigint): Range {
  const number = (value: bigint) =>
    value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(value);
  return { start, end, low: number(start), high: number(end) };
}
