// Time as an interface, so that protocol code never reads a clock by itself. Real one: lib/node/process/clock.ts.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** CLOCK_MONOTONIC in nanoseconds: comparable across the processes of one host. */
  nowNs(): bigint;
  /** Runs `action` once after `delayMs`; for deadlines and back-off, never to wait for an event. */
  after(delayMs: number, action: () => void): Timer;
}
