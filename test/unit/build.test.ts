// What the build makes of each program: a script whose code cache this Node takes.
import { readdirSync, readFileSync } from 'node:fs';
import Module from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';

const bundles = [
  'bin',
  ...readdirSync(join(PACKAGE_ROOT, 'dist', 'services')).map((name) => `services/${name}`),
].flatMap((folder) =>
  readdirSync(join(PACKAGE_ROOT, 'dist', folder))
    .filter((name) => name.endsWith('.bundle.cjs'))
    .map((name) => join(PACKAGE_ROOT, 'dist', folder, name)),
);

t.test('every program has a code cache that fits it', (t) => {
  t.ok(bundles.length >= 6, `${bundles.length} programs`);
  for (const filename of bundles) {
    const cachedData = readFileSync(filename.replace(/\.cjs$/, '.cache'));
    const script = new Script(Module.wrap(readFileSync(filename, 'utf8')), { filename, cachedData });
    t.equal(script.cachedDataRejected, false, filename.slice(PACKAGE_ROOT.length));
  }
  t.end();
});
