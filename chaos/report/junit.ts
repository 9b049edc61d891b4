// A campaign's result as JUnit XML, for continuous integration.
import { type CampaignResult, countOutcomes } from '../results.js';

const XML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const xml = (text: string): string =>
  // What XML 1.0 has no character for does not belong into a report either.
  text.replace(/[^\t\n\r -\uD7FF\uE000-\uFFFD]/g, '?').replace(/[&<>"]/g, (char) => XML[char]!);

export function junitReport({ judged }: CampaignResult): string {
  const counts = countOutcomes(judged);
  const cases = judged.map(({ case: text, outcome, violations, trouble, ms }) => {
    const why = violations.map(({ check, what }) => `${check}: ${what}`).join('\n');
    const open = `<testcase classname="chaos" name="${xml(text)}" time="${(ms / 1000).toFixed(3)}"`;
    if (outcome === 'pass') return `${open}/>`;
    if (outcome === 'harness') return `${open}><error message="${xml(trouble ?? why)}"/></testcase>`;
    return `${open}><failure message="${outcome}">${xml(why)}</failure></testcase>`;
  });
  const failures = counts.broken + counts.wedged;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="xenwire chaos" tests="${judged.length}" failures="${failures}" errors="${counts.harness}">`,
    ...cases,
    '</testsuite>',
    '',
  ].join('\n');
}
