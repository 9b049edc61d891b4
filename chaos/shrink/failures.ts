// Explains the failures of a campaign: one of each kind, as many as are asked for. A kind is the rules that a case broke.
import { parseCase } from '../case.js';
import type { JudgedCase } from '../results.js';
import { type ExplainSettings, explain } from './explain.js';

/** One of each kind, the ones with the fewest faults of all first; of as many kinds as `count`. */
export function worthExplaining(judged: readonly JudgedCase[], count: number): JudgedCase[] {
  const kinds = new Map<string, JudgedCase>();
  const faults = ({ case: text }: JudgedCase): number => parseCase(text).then?.length ?? 0;
  const failed = judged.filter(({ outcome }) => outcome === 'broken' || outcome === 'wedged');
  for (const each of [...failed].sort((one, other) => faults(one) - faults(other))) {
    const kind = [...new Set(each.violations.map(({ check }) => check))].sort().join(' ');
    if (!kinds.has(kind)) kinds.set(kind, each);
  }
  return [...kinds.values()].slice(0, count);
}

/** The same cases, those that were explained with what was found. Runs labs, one after the other. */
export async function explainFailures(
  judged: readonly JudgedCase[],
  count: number,
  settings: ExplainSettings,
): Promise<JudgedCase[]> {
  const found = new Map<JudgedCase, JudgedCase>();
  for (const each of worthExplaining(judged, count)) {
    if (settings.abort.aborted) break;
    settings.tell(`why ${each.case}`);
    const explained = await explain(parseCase(each.case), settings);
    if (explained !== undefined) found.set(each, { ...each, explained });
  }
  return judged.map((each) => found.get(each) ?? each);
}
