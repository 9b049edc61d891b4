// A campaign's result as JUnit XML, for continuous integration.
import { type JunitCase, junitText } from '../../lib/core/junit.js';
import type { CampaignResult } from '../results.js';

export function junitReport({ judged }: CampaignResult): string {
  const cases = judged.map(({ case: name, outcome, violations, trouble, ms }): JunitCase => {
    const why = violations.map(({ check, what }) => `${check}: ${what}`).join('\n');
    const head = { classname: 'chaos', name, seconds: ms / 1000 };
    if (outcome === 'pass') return head;
    if (outcome === 'harness') return { ...head, outcome: { kind: 'error', message: trouble ?? why } };
    return { ...head, outcome: { kind: 'failure', message: outcome, text: why } };
  });
  return junitText('xenwire chaos', cases);
}
