// Every `npm run bench:*` says what it measures, and takes a mistake as one: a sentence and status 2, nothing measured.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';

const { scripts } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

for (const [name, script] of Object.entries(scripts).filter(([name]) => name.startsWith('bench:'))) {
  t.test(`${name} -- --help`, (t) => {
    const [, ...args] = script.split(' && ').at(-1)!.split(' ');
    const run = (...more: string[]) =>
      spawnSync(process.execPath, [...args, ...more], { cwd: PACKAGE_ROOT, encoding: 'utf8' });
    const help = run('--help');
    t.equal(help.status, 0);
    t.match(help.stdout, /^Usage: /);
    const mistake = run('--no-such-option');
    t.equal(mistake.status, 2);
    t.equal(mistake.stderr.trim().split('\n').length, 1, mistake.stderr);
    t.equal(mistake.stdout, '');
    t.end();
  });
}
