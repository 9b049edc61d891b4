// Our server against every clause that has a check, as `xenwire conformance` runs them.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { startNode, temporaryRunDir } from '../../testkit/processes.js';
import { startXenwire } from '../fixtures/lab.js';

const SERVER = new URL('../../services/vhost-gpu/main.js', import.meta.url);

t.test(
  'our server keeps every clause, and the published table says what it answered',
  { timeout: 300_000 },
  async (t) => {
    const run = startXenwire(t, ['conformance', '--json']);
    const closed = once(run.child, 'close');
    t.equal(await run.ended(290_000), 0, run.stderr);
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

t.test('a server that listens is checked as the device behind our registers', { timeout: 60_000 }, async (t) => {
  const socket = join(temporaryRunDir(t), 'gpu.sock');
  const server = startNode(t, SERVER, ['--run-dir', temporaryRunDir(t), '--socket-path', socket]);
  await server.logged(/ready/);
  const clauses = ['M0016', 'S0025', 'DEV-SERVES', 'VU-FEATURES'];
  const run = startXenwire(t, ['conformance', '--device', socket, '--clause', ...clauses]);
  const closed = once(run.child, 'close');
  t.equal(await run.ended(50_000), 0, run.stderr);
  await closed;
  t.equal(run.lines.at(-1), '4 PASS, 0 REJECT, 0 FAIL, 0 WEDGED, 0 SKIP, 0 unchecked');
});
