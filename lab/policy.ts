// When a process of a lab that died is started again, and when the supervisor gives up. Pure: deaths in, verdicts out.
// Leaves starting and telling to supervisor.ts.

export interface Death {
  readonly ns: bigint;
  /** It had come so far as to say that it is ready. */
  readonly wasReady: boolean;
}

export type Verdict =
  | { readonly kind: 'restart'; readonly delayMs: number }
  | { readonly kind: 'give up'; readonly why: string };

/** What is remembered of one process's deaths. */
export interface DeathRecord {
  /** One after the other before it was ready. */
  readonly early: number;
  /** Of late, oldest first. */
  readonly ns: readonly bigint[];
}

export const NO_DEATHS: DeathRecord = { early: 0, ns: [] };

/** A process that never becomes ready is tried this often, after waits that double from the first to the last. */
const EARLY_MAX = 6;
const EARLY_PAUSE_MS = 100;
const EARLY_PAUSE_MS_MAX = 2000;
/** One that becomes ready and dies is started again at once, but not without end: it takes some 0.3 s to start. */
const RECENT_MAX = 120;
const RECENT_NS = 60_000_000_000n;

/** The verdict on a death, and what to remember of it. */
export function afterDeath(record: DeathRecord, { ns, wasReady }: Death): { record: DeathRecord; verdict: Verdict } {
  const recent = [...record.ns.filter((each) => ns - each < RECENT_NS), ns];
  const early = wasReady ? 0 : record.early + 1;
  const next = { early, ns: recent };
  if (early > EARLY_MAX) return { record: next, verdict: giveUp(`it died ${early} times before it was ready`) };
  if (recent.length > RECENT_MAX)
    return { record: next, verdict: giveUp(`it died ${recent.length} times in a minute`) };
  const delayMs = early < 2 ? 0 : Math.min(EARLY_PAUSE_MS * 2 ** (early - 2), EARLY_PAUSE_MS_MAX);
  return { record: next, verdict: { kind: 'restart', delayMs } };
}

function giveUp(why: string): Verdict {
  return { kind: 'give up', why };
}
