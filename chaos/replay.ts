// One case in a fresh lab, told step by step. The lab is warmed up by a free run first, as in a campaign, so that what the
// services hold can be held against what they held before.
import { showRecord, type TraceRecord } from '../lib/trace/record.js';
import { type ChaosCase, formatCase } from './case.js';
import { type CaseResult, runCase } from './engine.js';
import { FreeRunError, openRig } from './open-rig.js';
import { jsonOf, verdictOf } from './replay-text.js';
import { explanationWords, replayLine } from './report/words.js';
import { type Personality, Rig } from './rig.js';
import { explain } from './shrink/explain.js';
import type { Explanation } from './shrink/explanation.js';

export interface ReplaySettings {
  readonly runDir: string;
  readonly keep: boolean;
  readonly speaks?: Personality;
  readonly trace: boolean;
  /** Asks the lab what it holds at the fault and at the end. */
  readonly snapshots?: boolean;
  readonly tell: (line: string) => void;
  /** Finds out why the case fails, where it does; until the signal aborts. */
  readonly explain?: AbortSignal;
}

export interface Replayed {
  readonly ok: boolean;
  readonly lines: readonly string[];
  readonly json: Readonly<Record<string, unknown>>;
  /** undefined when a run without a fault has failed. */
  readonly result?: CaseResult;
  readonly explained?: Explanation;
}

export async function replay(chaosCase: ChaosCase, settings: ReplaySettings): Promise<Replayed> {
  const start = performance.now();
  const say = (line: string): void => {
    settings.tell(`${(performance.now() - start).toFixed(0).padStart(6)} ms  ${line}`);
  };
  const rig = await openRig(settings.runDir, undefined, settings.speaks).catch((error: unknown) => {
    if (error instanceof FreeRunError) return error.result;
    throw error;
  });
  if (!(rig instanceof Rig)) {
    const lines = ['a run without a fault fails:', ...verdictOf(rig)];
    return { ok: false, lines, json: { ...jsonOf(chaosCase, rig), case: null } };
  }
  let result: CaseResult;
  try {
    say('the lab is ready');
    result = await runCase(rig, chaosCase, { tell: say, snapshots: settings.snapshots ?? false });
  } finally {
    await rig.close({ keep: settings.keep });
  }
  const explained =
    settings.explain === undefined || result.outcome === 'pass'
      ? undefined
      : await explain(chaosCase, {
          ...{ runDir: settings.runDir, abort: settings.explain, tell: say },
          ...(settings.speaks === undefined ? {} : { speaks: settings.speaks }),
        });
  const lines = [...(settings.trace ? traceOf(result) : []), ...verdictOf(result), formatCase(chaosCase)];
  if (explained !== undefined) {
    const { cases, rest } = explanationWords(explained, formatCase(chaosCase));
    lines.push('', ...cases.flatMap(([heading, text]) => [heading, replayLine(text)]), rest);
  }
  const json = { ...jsonOf(chaosCase, result), ...(explained === undefined ? {} : { explained: found(explained) }) };
  return { ok: result.outcome === 'pass', lines, json, result, ...(explained === undefined ? {} : { explained }) };
}

/** What was found, without the records that only a page can show. */
function found({ passed: _passed, ...told }: Explanation): Omit<Explanation, 'passed'> {
  return told;
}

function traceOf({ records, faultNs }: CaseResult): string[] {
  const start = records[0]?.ns ?? 0n;
  const line = (record: TraceRecord): string =>
    `${(Number(record.ns - start) / 1e6).toFixed(3).padStart(12)} ms  ${showRecord(record)}`;
  const at = faultNs === undefined ? records.length : records.findIndex(({ ns }) => ns > faultNs);
  const before = at < 0 ? records.length : at;
  return [...records.slice(0, before).map(line), '-- the fault --', ...records.slice(before).map(line)];
}
