// A campaign's result as JUnit XML, for continuous integration.
import { type JunitCase, junitText } from '../../lib/core/junit.js';
import { parseCase } from '../case.js';
import type { CampaignResult } from '../results.js';
import { caseWords, replayLine } from './words.js';

export function junitReport({ judged, backendCommand }: CampaignResult): string {
  const cases = judged.map(({ case: name, outcome, violations, trouble, ms }): JunitCase => {
    const why = violations.map(({ check, what }) => `${check}: ${what}`).join('\n');
    const head = { classname: 'chaos', name, seconds: ms / 1000 };
    if (outcome === 'pass') return head;
    if (outcome === 'harness') return { ...head, outcome: { kind: 'error', message: trouble ?? why } };
    const text = `${caseWords(parseCase(name))}\n${why}\n${replayLine(name, backendCommand)}`;
    return { ...head, outcome: { kind: 'failure', message: outcome, text } };
  });
  return junitText('xenwire chaos', cases);
}
