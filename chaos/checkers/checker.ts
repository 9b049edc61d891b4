// A checker looks at what the processes recorded during a case, and says what must not have happened. Each knows one rule and
// nothing of the fault; none reads a record's text.
import type { TraceRecord } from '../../lib/trace/record.js';

export interface Evidence {
  /** Of all processes, oldest first. */
  readonly records: readonly TraceRecord[];
  /** Incarnations that live from before the case to beyond it, at rest at both ends. */
  readonly survivors: ReadonlySet<number>;
  /** Incarnations that lived as the case began, whatever became of them. */
  readonly earlier: ReadonlySet<number>;
}

/** What must not have happened: a sentence, and the record that shows it, where one does. */
export interface Breach {
  readonly what: string;
  readonly at?: TraceRecord;
}

export interface Checker {
  /** Names the rule in verdicts and in the table of mutations. */
  readonly name: string;
  readonly describe: string;
  /** Whether the rule holds only once the lab is at rest again: of a wedged case it says nothing. */
  readonly atRest: boolean;
  check(evidence: Evidence): Breach[];
}

/** "vhost-frontend" of each life by itself: a process that was replaced is another one. */
export const lifeOf = ({ process, incarnation }: TraceRecord): string => `${process}.${incarnation}`;
