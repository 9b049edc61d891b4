// The package as a user installs it: packed, installed elsewhere without what builds and tests it, and a lab run with it.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { temporaryRunDir } from '../../testkit/processes.js';

t.test('a packed package holds no test, and draws its picture where it is installed', (t) => {
  const dir = temporaryRunDir(t);
  const npm = (...args: string[]): string =>
    execFileSync('npm', args, { cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const packed = JSON.parse(npm('pack', PACKAGE_ROOT, '--json', '--ignore-scripts')) as {
    filename: string;
    files: { path: string }[];
  }[];
  const [{ filename, files }] = packed as [{ filename: string; files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  t.same(
    paths.filter((path) => /^(test|testkit|bench|build|scripts)\//.test(path) || /\.(map|ts)$/.test(path)),
    [],
    'nothing of tests, benches or sources',
  );
  for (const needed of [
    'LICENSE',
    'README.md',
    'dist/bin/xenwire.js',
    'dist/xenwire.1',
    'proto/bus.proto',
    'examples/gpu-guest.cfg',
  ])
    t.ok(paths.includes(needed), needed);

  mkdirSync(join(dir, 'user'));
  writeFileSync(join(dir, 'user', 'package.json'), '{}');
  npm('install', '--prefix', join(dir, 'user'), '--ignore-scripts', '--no-audit', '--no-fund', join(dir, filename));
  const program = join(dir, 'user', 'node_modules', '.bin', 'xenwire');
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim();
  t.match(version, /^\d+\.\d+\.\d+$/);
  const lab = join(dir, 'lab');
  const result = JSON.parse(
    execFileSync(program, ['up', '--once', '--json', '--run-dir', lab], { encoding: 'utf8' }),
  ) as { result: string; frame: { mismatchedPixels: number }; leaks: unknown[] };
  t.equal(result.result, 'ok');
  t.equal(result.frame.mismatchedPixels, 0);
  t.same(result.leaks, []);
  t.notOk(readdirSync(dir).includes('lab'), 'the run directory is gone');
  t.end();
});
