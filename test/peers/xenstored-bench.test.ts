// bench:xenstored measures everything that it names, of all three daemons, at its smallest: what its figures are is the machine's.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import type { Row } from '../../bench/xenstored/rows.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { C_DAEMON_NEEDS, missing, OXENSTORED_NEEDS, TEST_XENSTORE } from '../../testkit/xenstored-peers.js';

const SMALL = ['--iterations', '20', '--rounds', '32', '--nodes', '200', '--watches', '50', '--clients', '20'];
const ONCE = ['--idle-ms', '10', '--repeats', '1'];

const skip = missing(...C_DAEMON_NEEDS, ...OXENSTORED_NEEDS, TEST_XENSTORE);
t.test('every row has a figure of each daemon, rings of oxenstored apart', { skip }, async (t) => {
  const program = join(PACKAGE_ROOT, 'dist/bench/xenstored.js');
  const out = execFileSync(process.execPath, [program, ...SMALL, ...ONCE], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { rows } = JSON.parse(out) as { rows: Row[] };
  for (const { what, figures } of rows) {
    const who = /rings$/.test(what) ? ['c', 'ours'] : ['c', 'ocaml', 'ours'];
    t.same(Object.keys(figures).sort(), who, what);
    t.ok(Object.values(figures).every(Number.isFinite), what);
    if (/second|, ns$/.test(what))
      t.ok(
        Object.values(figures).every((figure) => figure > 0),
        `${what}: some`,
      );
  }
  t.same(
    rows.filter(({ max, min }) => max !== undefined || min !== undefined).map(({ what }) => what),
    ['test-xenstore mean', 'requests a second, 16 clients'],
    'the bars of docs/bars.md',
  );
  t.match(rows.map(({ what }) => what).join('\n'), /memory a client.*memory a node.*memory a watch/s);
});
