// What a check of a clause comes to, in the words of virtio-villain where it has them: a suite that breaks virtio's rules from
// inside a guest (github.com/weltling/virtio-villain). Leaves running checks to run.ts.

export const OUTCOMES = {
  /** What the clause asks for was seen; of a broken request: it was answered, and the device lives. */
  PASS: true,
  /** A broken request met silence, and the device serves the next driver. */
  REJECT: true,
  /** What the clause forbids was seen. */
  FAIL: false,
  /** The device serves no driver any more, not even after a reset. */
  WEDGED: false,
  /** The other side does not have what the clause is about. */
  SKIP: true,
} as const;
/** True: acceptable. */
export type Outcome = keyof typeof OUTCOMES;

export interface Verdict {
  readonly outcome: Outcome;
  /** What was seen instead; empty where nothing is to be said. */
  readonly detail: string;
}

export const PASS: Verdict = { outcome: 'PASS', detail: '' };
export const fail = (detail: string): Verdict => ({ outcome: 'FAIL', detail });
export const skip = (detail: string): Verdict => ({ outcome: 'SKIP', detail });

/** PASS when two things are equal. */
export function same(found: unknown, wanted: unknown, what = ''): Verdict {
  const [a, b] = [found, wanted].map((value) =>
    JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? `0x${part.toString(16)}` : part)),
  );
  return a === b ? PASS : fail(`${what === '' ? '' : `${what}: `}${a}, not ${b}`);
}

/** The first verdict that is not PASS. */
export function all(...verdicts: readonly Verdict[]): Verdict {
  return verdicts.find(({ outcome }) => outcome !== 'PASS') ?? PASS;
}
