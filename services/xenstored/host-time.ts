// Time as the store has it of its host: what quotas by time, expiring events and live updates wait by. In seconds, as
// CONTROL's commands and the C daemon's rules are.
export interface HostTime {
  /** Seconds since some moment, with their fraction; never goes back. */
  seconds(): number;
  /** Calls back once, that many seconds from now; returns how to take that back. */
  later(seconds: number, action: () => void): () => void;
}
