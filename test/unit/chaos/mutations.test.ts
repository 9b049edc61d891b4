// The deliberate bugs fit the sources as they are: a change that moves a mutated line is noticed at once, and not only where the
// mutations are run (test/long/chaos-mutations.test.ts).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MUTATIONS } from '../../../chaos/mutations.js';
import { PACKAGE_ROOT } from '../../../lib/node/process/package-root.js';

t.test('each line that a mutation changes stands in its file once', async (t) => {
  for (const { name, edits } of MUTATIONS) {
    for (const { file, find, replace } of edits) {
      const times = readFileSync(join(PACKAGE_ROOT, file), 'utf8').split(find).length - 1;
      t.equal(times, 1, `${name}: ${file}`);
      t.not(find, replace);
    }
  }
});
