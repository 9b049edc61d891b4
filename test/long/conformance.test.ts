// Our server against every clause that has a check, as `xenwire conformance` runs them.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { startXenwire } from '../fixtures/lab.js';

t.test(
  'our server keeps every clause, and the published table says what it answered',
  { timeout: 180_000 },
  async (t) => {
    const run = startXenwire(t, ['conformance', '--json']);
    const closed = once(run.child, 'close');
    t.equal(await run.ended(170_000), 0, run.stderr);
    await closed;
    const { results } = JSON.parse(run.lines.join('\n')) as {
      results: { id: string; outcome?: string; detail: string }[];
    };
    const page = readFileSync(join(PACKAGE_ROOT, 'docs', 'conformance.md'), 'utf8');
    for (const { id, outcome, detail } of results) {
      if (outcome === undefined) continue;
      const row = page.split('\n').find((line) => line.startsWith(`| ${id} |`));
      t.equal(row?.split(' | ')[3], outcome, `${id} ${detail}`);
    }
  },
);
