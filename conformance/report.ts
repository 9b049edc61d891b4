// Results of clauses as a table for people, as JUnit for continuous integration, and as the page that is published.
import { type JunitCase, junitText } from '../lib/core/junit.js';
import { CLAUSES, type Clause, type Group } from './clauses.js';
import { OUTCOMES, type Outcome } from './outcome.js';
import type { Result } from './run.js';
import { SECTIONS } from './sections.js';

export const acceptable = ({ outcome }: Result): boolean => outcome === undefined || OUTCOMES[outcome];

/** How many came to what. */
export function countOf(results: readonly Result[]): Record<Outcome | 'unchecked', number> {
  const counts = { PASS: 0, REJECT: 0, FAIL: 0, WEDGED: 0, SKIP: 0, unchecked: 0 };
  for (const { outcome } of results) counts[outcome ?? 'unchecked']++;
  return counts;
}

export function line({ clause, outcome, detail }: Result): string {
  const how = outcome ?? (clause.test === undefined ? 'gap' : 'test');
  const more = [detail, clause.test, clause.gap].filter((part) => part !== undefined && part !== '').join('; ');
  return `${clause.id.padEnd(22)} ${how.padEnd(7)} ${clause.text}${more === '' ? '' : ` (${more})`}`;
}

export function junit(name: string, results: readonly Result[]): string {
  const cases = results.map((result): JunitCase => {
    const { clause, outcome, detail } = result;
    const head = { classname: `${name}.${clause.group}`, name: `${clause.id} ${clause.text}` };
    if (!acceptable(result)) return { ...head, outcome: { kind: 'failure', message: `${outcome}: ${detail}` } };
    return outcome === 'SKIP' || outcome === undefined ? { ...head, outcome: { kind: 'skipped' } } : head;
  });
  return junitText(name, cases);
}

const TITLES: Record<Group, string> = {
  mmio: 'virtio-mmio',
  status: 'Device status and queue reset',
  split: 'Split rings',
  packed: 'Packed rings',
  gpu: 'GPU',
  device: 'Registers and server together',
  'vhost-user': 'vhost-user',
  xenbus: 'xenbus',
};

/** The table of docs/conformance.md: a column a target. */
export function markdown(targets: readonly { readonly name: string; readonly results: readonly Result[] }[]): string {
  const found = targets.map(({ results }) => new Map(results.map((result) => [result.clause.id, result])));
  const cell = (clause: Clause, of: ReadonlyMap<string, Result>): string => {
    const outcome = of.get(clause.id)?.outcome;
    if (outcome !== undefined) return OUTCOMES[outcome] ? outcome : `**${outcome}**`;
    return clause.test === undefined ? 'no check' : 'test';
  };
  const groups = [...new Set(CLAUSES.map(({ group }) => group))].map((group) => {
    const rows = CLAUSES.filter((clause) => clause.group === group).map((clause) => {
      const note = clause.gap ?? (clause.test === undefined ? '' : `\`${clause.test}\``);
      return `| ${clause.id} | ${clause.section} | ${clause.text} | ${found.map((of) => cell(clause, of)).join(' | ')} | ${note} |`;
    });
    const head = `| id | where | clause | ${targets.map(({ name }) => name).join(' | ')} | |`;
    return [`### ${TITLES[group]}`, '', head, `|---|---|---|${targets.map(() => '---|').join('')}---|`, ...rows].join(
      '\n',
    );
  });
  const titles = Object.entries(SECTIONS).map(([number, title]) => `| ${number} | ${title} |`);
  const sections = ['### Sections of virtio 1.4', '', '| | |', '|---|---|', ...titles].join('\n');
  return `${[...groups, sections].join('\n\n')}\n`;
}
