// The table of time-outs adds up: what happens inside a wait ends before it, and no time-out stands outside the table.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DEADLINE_MS, FITS, PROMISE_MS } from '../../../lib/core/deadlines.js';
import { PACKAGE_ROOT } from '../../../lib/node/process/package-root.js';

t.test('what happens inside a wait ends before the wait does', (t) => {
  for (const { whole, parts, why } of FITS) {
    const sum = parts.reduce((ms, part) => ms + DEADLINE_MS[part], 0);
    t.ok(
      sum < DEADLINE_MS[whole],
      `${parts.join(' + ')} = ${sum} ms within ${whole} = ${DEADLINE_MS[whole]} ms: ${why}`,
    );
  }
  t.end();
});

t.test('a wait for a process that recovers is no longer than what its recovery is promised to take', (t) => {
  t.ok(DEADLINE_MS.driverResets + DEADLINE_MS.removalReplies < PROMISE_MS.vhostGpu, 'closing and connecting anew');
  t.ok(DEADLINE_MS.storeBack >= PROMISE_MS.xenstored, 'a toolstack outlasts the return of xenstored');
  t.end();
});

t.test('no other file defines a time-out of its own', (t) => {
  // Poll windows, back-off and what a user may set are no deadlines: nothing fails when they are over.
  const WINDOWS = /(POLL|LOOK|YIELD|BACK_OFF|WINDOW|EAGER|TURN|BUSY|SPIN|GAP|IDLE|FALLBACK|_MAX|PROMISE|ROUND|PAUSE)/;
  const found = ['lib', 'services', 'toolstack', 'lab', 'measure', 'bin', 'bench'].flatMap((dir) =>
    readdirSync(join(PACKAGE_ROOT, dir), { recursive: true })
      .map(String)
      .filter((path) => path.endsWith('.ts') && path !== 'core/deadlines.ts')
      .flatMap((path) =>
        [...readFileSync(join(PACKAGE_ROOT, dir, path), 'utf8').matchAll(/const ([A-Z0-9_]+_MS)\b[^=;]*= [\d_.]+/g)]
          .filter(([, name]) => !WINDOWS.test(name!))
          .map(([, name]) => `${dir}/${path}: ${name}`),
      ),
  );
  t.same(found, []);
  t.end();
});
