// Results as JUnit XML, for continuous integration: what campaigns and conformance runs write. Pure.

const MARKUP: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text as it may stand in HTML or XML, attributes included. */
export const escapeMarkup = (text: string): string => text.replace(/[&<>"]/g, (char) => MARKUP[char]!);

/** What XML 1.0 has no character for does not belong into a report either. */
const xml = (text: string): string => escapeMarkup(text.replace(/[^\t\n\r -\uD7FF\uE000-\uFFFD]/g, '?'));

export interface JunitCase {
  readonly classname: string;
  readonly name: string;
  readonly seconds?: number;
  /** Left out: it passed. `text`: more than fits into a message. */
  readonly outcome?:
    | { readonly kind: 'failure' | 'error'; readonly message: string; readonly text?: string }
    | { readonly kind: 'skipped' };
}

/** One suite; counts its failures and errors. */
export function junitText(suite: string, cases: readonly JunitCase[]): string {
  const countOf = (kind: string): number => cases.filter(({ outcome }) => outcome?.kind === kind).length;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="${xml(suite)}" tests="${cases.length}" failures="${countOf('failure')}" errors="${countOf('error')}">`,
    ...cases.map(caseText),
    '</testsuite>',
    '',
  ].join('\n');
}

function caseText({ classname, name, seconds, outcome }: JunitCase): string {
  const time = seconds === undefined ? '' : ` time="${seconds.toFixed(3)}"`;
  const open = `<testcase classname="${xml(classname)}" name="${xml(name)}"${time}`;
  if (outcome === undefined) return `${open}/>`;
  if (outcome.kind === 'skipped') return `${open}><skipped/></testcase>`;
  const { kind, message, text } = outcome;
  const inside = text === undefined ? '/>' : `>${xml(text)}</${kind}>`;
  return `${open}><${kind} message="${xml(message)}"${inside}</testcase>`;
}
