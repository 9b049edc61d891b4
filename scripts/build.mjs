// Builds what runs: dist/ (a bundle a program, with V8's code cache of it: docs/start.md) and, with --tests,
// build/ (every source transpiled file by file, for tap). Also derives from proto/ what scripts/derive-proto.mjs says.
// --out DIR names another folder than build/. Skips what is newer than its sources, so that `npm start` costs nothing after `npm ci`.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deriveProto, PROTO_CODECS, PROTO_TYPES } from './derive-proto.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tests = process.argv.includes('--tests');
const force = process.argv.includes('--force');
/** For sources with a deliberate bug (chaos/mutate.ts), whose lab may never show a picture. */
const noLab = process.argv.includes('--no-lab');
const testsDir = process.argv.includes('--out') ? process.argv[process.argv.indexOf('--out') + 1] : 'build';
process.chdir(root);

const walk = (dir, keep) =>
  existsSync(dir)
    ? readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
        const path = join(dir, entry.name);
        return entry.isDirectory() ? walk(path, keep) : keep(path) ? [path] : [];
      })
    : [];
const newest = (files) => files.reduce((max, file) => Math.max(max, statSync(file).mtimeMs), 0);

const SOURCE_DIRS = [
  ...['lib', 'services', 'toolstack', 'lab', 'explore', 'chaos', 'conformance', 'measure', 'dashboard', 'testkit'],
  ...['bin', 'bench', 'test'],
];
const isTs = (path) => path.endsWith('.ts') && !path.endsWith('.d.ts');
const protos = walk('proto', (path) => path.endsWith('.proto'));
const derived = [PROTO_TYPES, PROTO_CODECS];
if (force || !derived.every(existsSync) || newest([...protos, 'scripts/derive-proto.mjs']) > newest(derived))
  await deriveProto(protos);
const sources = SOURCE_DIRS.flatMap((dir) => walk(dir, isTs));
/** Of test/, in dist/ too: a daemon that bench:xenstored measures and that the tests against the C daemon run. */
const MEASURED = 'test/peers/diff/ring-daemon.ts';
const runtime = sources.filter((path) => !path.startsWith('test/') || path === MEASURED);
const inputs = [
  // The page's files are copied as they are.
  ...walk('dashboard/public', () => true),
  ...walk('native', () => true),
  'scripts/build.mjs',
  'scripts/derive-proto.mjs',
  'scripts/run-bundle.cjs',
  'package-lock.json',
  ...protos,
];

const stale = (stamp, files) => force || !existsSync(stamp) || newest([...inputs, ...files]) > statSync(stamp).mtimeMs;

if (stale('dist/.stamp', runtime)) {
  // Built beside and moved into place, so that a process that starts meanwhile finds a whole folder.
  const fresh = `dist.${process.pid}`;
  try {
    await bundle(fresh);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
if (tests && stale(`${testsDir}/.stamp`, sources)) await transpile();

async function bundle(fresh) {
  const { build } = await import('esbuild');
  const programs = runtime.filter((path) => /^services\/[^/]+\/main\.ts$|^bin\/[^/]+\.ts$/.test(path));
  const entryPoints = runtime.filter((path) => /^(bench|measure)\/[^/]+\.ts$/.test(path) || path === MEASURED);
  await build({
    entryPoints,
    outdir: fresh,
    outbase: '.',
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    sourcemap: true,
    loader: { '.proto': 'text' },
    // Native modules stay outside; CommonJS packages inside an ESM bundle need a require of their own.
    external: ['zeromq', 'koffi', 'playwright-core'],
    banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
    logLevel: 'warning',
  });
  await bundlePrograms(build, programs, fresh);
  copyPage(fresh);
  buildNative(fresh);
  writeFileSync(join(fresh, '.stamp'), '');
  rmSync('dist', { recursive: true, force: true });
  renameSync(fresh, 'dist');
  if (!noLab) cacheLab();
}

/** Has the programs write into their caches what they compile up to a picture and down again, where the machine can run a lab now. */
function cacheLab() {
  const lab = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'xw-build-'));
  try {
    runToCache([join('dist', 'bin', 'xenwire.js'), 'up', '--once', '--run-dir', join(lab, 'lab')], 'write-all');
  } catch (error) {
    console.error(`build: no code cache of a whole lab: ${error.message}`);
  } finally {
    rmSync(lab, { recursive: true, force: true });
  }
}

/** Runs a program that writes its code cache: 'write', or with 'write-all' that of each program that it starts too. */
function runToCache(args, how) {
  execFileSync(process.execPath, args, {
    env: { ...process.env, XENWIRE_CODE_CACHE: how },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** The preloaded library of dom0 programs, where the machine has a C compiler; elsewhere lab/preload.ts says what is missing. */
function buildNative(fresh) {
  const target = resolve(fresh, 'native');
  mkdirSync(target);
  try {
    execFileSync(resolve('native/build.sh'), [join(target, 'dom0-preload.so')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  } catch (error) {
    if (error.status !== 127) console.error(`build: no library for dom0 programs: ${error.message}`);
  }
}

/** The live page's files as they are, and uPlot's beside them: no page needs a network. */
function copyPage(fresh) {
  const target = join(fresh, 'dashboard', 'public');
  cpSync('dashboard/public', target, { recursive: true });
  mkdirSync(join(target, 'vendor'), { recursive: true });
  copyFileSync('node_modules/uplot/dist/uPlot.esm.js', join(target, 'vendor', 'uplot.js'));
  copyFileSync('node_modules/uplot/dist/uPlot.min.css', join(target, 'vendor', 'uplot.css'));
}

/**
 * What starts often, as one script each with V8's code cache beside it (docs/start.md): dist/X/main.js is a few lines that
 * load main.bundle.cjs with main.bundle.cache. A cache that this Node cannot use is passed over by V8.
 */
async function bundlePrograms(build, programs, fresh) {
  await build({
    entryPoints: programs,
    outdir: fresh,
    outbase: '.',
    outExtension: { '.js': '.bundle.cjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    loader: { '.proto': 'text' },
    external: ['zeromq', 'koffi', 'playwright-core'],
    define: { 'import.meta.url': '__bundle_url' },
    banner: { js: "const __bundle_url = require('node:url').pathToFileURL(__filename).href;" },
    logLevel: 'warning',
  });
  for (const program of programs) {
    const target = join(fresh, program.replace(/\.ts$/, '.js'));
    const bundle = basename(program, '.ts');
    writeFileSync(join(dirname(target), 'package.json'), '{ "type": "commonjs" }\n');
    writeFileSync(
      target,
      `#!/usr/bin/env node\nrequire('${relative(dirname(target), join(fresh, 'run.cjs'))}')(__dirname + '/${bundle}.bundle');\n`,
      { mode: 0o755 },
    );
  }
  copyFileSync('scripts/run-bundle.cjs', join(fresh, 'run.cjs'));
  const xenwire = join(fresh, 'bin', 'xenwire.js');
  // What a program compiles on the way to its --help is in its cache.
  for (const program of programs) runToCache([join(fresh, program.replace(/\.ts$/, '.js')), '--help'], 'write');
  // package.json names it for `man xenwire`.
  writeFileSync(join(fresh, 'xenwire.1'), execFileSync(process.execPath, [xenwire, 'man']));
}

async function transpile() {
  const { build } = await import('esbuild');
  rmSync(testsDir, { recursive: true, force: true });
  await build({
    entryPoints: sources,
    outdir: testsDir,
    outbase: '.',
    platform: 'node',
    target: 'node20',
    format: 'esm',
    sourcemap: true,
    logLevel: 'warning',
  });
  writeFileSync(`${testsDir}/.stamp`, '');
}
