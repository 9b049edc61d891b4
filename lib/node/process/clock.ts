// The real clock.
import type { Clock } from '../../core/clock.js';

export const REAL_CLOCK: Clock = {
  nowNs: () => process.hrtime.bigint(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
