// Builds what runs: dist/ (a bundle a program, with V8's code cache of it: docs/start.md) and, with --tests,
// build/ (every source transpiled file by file, for tap). Also derives lib/core/proto-types.ts from proto/.
// --out DIR names another folder than build/. Skips what is newer than its sources, so that `npm start` costs nothing after `npm ci`.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tests = process.argv.includes('--tests');
const force = process.argv.includes('--force');
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
await deriveProtoTypes();
const sources = SOURCE_DIRS.flatMap((dir) => walk(dir, isTs));
const runtime = sources.filter((path) => !path.startsWith('test/'));
const inputs = ['scripts/build.mjs', 'scripts/run-bundle.cjs', 'package-lock.json', ...protos];

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
  const entryPoints = runtime.filter((path) => /^(bench|measure)\/[^/]+\.ts$/.test(path));
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
  writeFileSync(join(fresh, '.stamp'), '');
  rmSync('dist', { recursive: true, force: true });
  renameSync(fresh, 'dist');
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
  // Each program runs once to its --help: what it compiles on the way is what it compiles at each start.
  for (const program of programs) {
    execFileSync(process.execPath, [join(fresh, program.replace(/\.ts$/, '.js')), '--help'], {
      env: { ...process.env, XENWIRE_CODE_CACHE: 'write' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }
  // package.json names it for `man xenwire`.
  writeFileSync(join(fresh, 'xenwire.1'), execFileSync(process.execPath, [join(fresh, 'bin/xenwire.js'), 'man']));
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

/** Writes the TypeScript shapes of every message and method of proto/, only when they changed. */
async function deriveProtoTypes() {
  const target = 'lib/core/proto-types.ts';
  if (!force && existsSync(target) && newest([...protos, 'scripts/build.mjs']) <= statSync(target).mtimeMs) return;
  const { default: protobuf } = await import('protobufjs');
  const space = new protobuf.Root();
  for (const file of protos.sort()) protobuf.parse(readFileSync(file, 'utf8'), space, { keepCase: true });
  space.resolveAll();
  const scalar = { string: 'string', bytes: 'Uint8Array', bool: 'boolean' };
  const messages = [];
  const services = [];
  const visit = (space) => {
    for (const item of space.nestedArray) {
      if (item instanceof protobuf.Type) {
        const fields = item.fieldsArray.map((field) => {
          const type = field.resolvedType
            ? field.resolvedType instanceof protobuf.Enum
              ? 'number'
              : field.resolvedType.name
            : (scalar[field.type] ?? 'number');
          return `  ${field.name}: ${type}${field.repeated ? '[]' : ''};`;
        });
        messages.push(
          fields.length
            ? `export interface ${item.name} {\n${fields.join('\n')}\n}`
            : `export type ${item.name} = Record<never, never>;`,
        );
      } else if (item instanceof protobuf.Service) {
        const methods = item.methodsArray.map(
          (method) => `    ${method.name}: { req: ${method.requestType}; res: ${method.responseType} };`,
        );
        services.push(`  ${item.name}: {\n${methods.join('\n')}\n  };`);
      }
      if (item.nestedArray) visit(item);
    }
  };
  visit(space);
  const text = `// Derived from proto/ by scripts/build.mjs; not edited by hand. 64-bit integers are numbers below 2^53.\n${messages.join('\n')}\n\nexport interface Services {\n${services.join('\n')}\n}\n`;
  mkdirSync(dirname(target), { recursive: true });
  if (!existsSync(target) || readFileSync(target, 'utf8') !== text) writeFileSync(target, text);
}
