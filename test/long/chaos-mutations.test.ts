// The judges judged: every deliberate bug of chaos/mutations.ts is caught by a checker that must catch it, and the same copy
// without a bug by none.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseCase } from '../../chaos/case.js';
import { CHECKERS, ENGINE_CHECKS } from '../../chaos/checkers/table.js';
import { MutatedCopy } from '../../chaos/mutate.js';
import { MUTATIONS } from '../../chaos/mutations.js';

/** One by itself: XENWIRE_MUTATION=part of its name. */
const CHOSEN = MUTATIONS.filter(({ name }) => name.includes(process.env['XENWIRE_MUTATION'] ?? ''));

t.test('every checker has a bug that it must catch', async (t) => {
  const known = [...CHECKERS.map(({ name }) => name), ...Object.keys(ENGINE_CHECKS)];
  const named = new Set(MUTATIONS.flatMap(({ caughtBy }) => caughtBy));
  t.same(
    [...named].filter((name) => !known.includes(name)),
    [],
  );
  t.equal(new Set(MUTATIONS.map(({ name }) => name)).size, MUTATIONS.length);
  for (const { case: text } of MUTATIONS) parseCase(text);
});

t.test('deliberate bugs', { timeout: 900_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'xw-mutations-'));
  const copy = new MutatedCopy(join(folder, 'copy'));
  t.teardown(() => {
    copy.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const runDir = join(folder, 'lab');
  for (const text of new Set(CHOSEN.map((mutation) => mutation.case))) {
    t.same(
      copy.runWithout(text, runDir),
      { name: 'no mutation', objected: [], caught: false },
      `without a bug: ${text}`,
    );
  }
  for (const mutation of CHOSEN) {
    const { caught, objected, trouble } = copy.run(mutation, runDir);
    t.ok(caught, `${mutation.name}: ${objected.join(', ')}`, { trouble, caughtBy: mutation.caughtBy });
  }
});
