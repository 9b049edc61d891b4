// The lab's time as the page counts it on between two messages, so that the server need not tell how long something lasts.
let [nowMs, runs, toldMs] = [0, false, 0];

export function setClock(message) {
  nowMs = message.nowMs;
  runs = message.runs;
  toldMs = performance.now();
}

export const labNow = () => nowMs + (runs ? performance.now() - toldMs : 0);

/** "8.1 s", from a time of the lab until now. */
export const since = (ms) => `${(Math.max(0, labNow() - ms) / 1000).toFixed(1)} s`;
