// Which processes are stopped, and by what: with several faults in a case a gate and a fault, or two faults, may stop the same
// process. SIGCONT ends all of that at once, so only the last of them may send it. Pure; leaves the signals to its callers.

export class Stops {
  readonly #holders = new Map<number, Set<object>>();
  #changed: (() => void)[] = [];

  /** `by` stops the process from now on. */
  hold(pid: number, by: object): void {
    const holders = this.#holders.get(pid) ?? new Set();
    this.#holders.set(pid, holders.add(by));
  }

  /** `by` stops it no longer. True when it may go on: nothing else stops it. */
  release(pid: number, by: object): boolean {
    const holders = this.#holders.get(pid);
    holders?.delete(by);
    if (holders?.size === 0) this.#holders.delete(pid);
    const changed = this.#changed;
    this.#changed = [];
    for (const each of changed) each();
    return !this.#holders.has(pid);
  }

  /** The process has ended. */
  forget(pid: number): void {
    this.#holders.get(pid)?.clear();
    this.release(pid, this);
  }

  /** Resolves once nothing but `by` stops the process. */
  async alone(pid: number, by: object): Promise<void> {
    const others = (): boolean => [...(this.#holders.get(pid) ?? [])].some((each) => each !== by);
    while (others()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }
}
