// The rules of this tree that no compiler knows: which folder may import which, where Node and native packages may be
// touched, how long a file may be, and that nothing names the machine it was written on.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/package-root.js';

const walk = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(join(dir, entry.name)) : entry.name.endsWith('.ts') ? [join(dir, entry.name)] : [],
  );

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: string[];
}

const sources: Source[] = ['lib', 'services', 'bin', 'test', 'bench', 'chaos', 'dashboard']
  .flatMap((dir) => {
    try {
      return walk(join(PACKAGE_ROOT, dir));
    } catch {
      return [];
    }
  })
  .map((file) => {
    const text = readFileSync(file, 'utf8');
    const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);
    return { path: relative(PACKAGE_ROOT, file), text, imports };
  });

const inside = (path: string, folder: string): boolean => path.startsWith(`${folder}/`);
const target = (source: Source, name: string): string => normalize(join(dirname(source.path), name));

/** Each folder may import the ones named, and itself. */
const LAYERS: Record<string, string[]> = {
  'lib/layout': [],
  'lib/core': ['lib/layout'],
  'lib/virtio': ['lib/layout', 'lib/core'],
  'lib/xenstore': ['lib/layout', 'lib/core'],
  'lib/xenbus': ['lib/layout', 'lib/core', 'lib/virtio'],
  'lib/vhost-user': ['lib/layout', 'lib/core', 'lib/virtio'],
  'lib/node': ['lib/layout', 'lib/core', 'lib/virtio', 'lib/xenstore', 'lib/xenbus', 'lib/vhost-user'],
};
/** What only lib/node may load; bench/ measures bare packages too, and a service may draw with pngjs. */
const NODE_PACKAGES = ['zeromq', 'koffi', 'protobufjs', 'pino', 'pino-pretty', 'commander'];

t.test('a folder imports only from the layers below it', (t) => {
  const wrong = sources.flatMap((source) => {
    const layer = Object.keys(LAYERS).find((folder) => inside(source.path, folder));
    const service = /^services\/([^/]+)\//.exec(source.path)?.[1];
    return source.imports
      .filter((name) => name.startsWith('.'))
      .map((name) => target(source, name))
      .filter((to) => {
        if (layer !== undefined) return !inside(to, layer) && !LAYERS[layer]!.some((folder) => inside(to, folder));
        if (service !== undefined) return !inside(to, `services/${service}`) && !inside(to, 'lib');
        return false;
      })
      .map((to) => `${source.path} imports ${to}`);
  });
  t.same(wrong, []);
  t.end();
});

t.test('Node and its packages are imported by lib/node, by main.ts and server.ts, and by programs only', (t) => {
  const free = (path: string): boolean =>
    /^(lib\/node|bin|test|bench|chaos|dashboard)\//.test(path) ||
    /^services\/(toolstack|[^/]+\/node)\//.test(path) ||
    /^services\/[^/]+\/(main|server)\.ts$/.test(path);
  const wrong = sources
    .filter((source) => !free(source.path))
    .flatMap((source) =>
      source.imports.filter((name) => name.startsWith('node:')).map((name) => `${source.path} imports ${name}`),
    );
  const packages = sources
    .filter((source) => !/^(lib\/node|test|bench)\//.test(source.path))
    .flatMap((source) =>
      source.imports.filter((name) => NODE_PACKAGES.includes(name)).map((name) => `${source.path} imports ${name}`),
    );
  t.same([...wrong, ...packages], []);
  t.end();
});

t.test('files stay small and begin by saying what they are for', (t) => {
  const wrong = sources.flatMap(({ path, text }) => {
    const problems: string[] = [];
    if (text.split('\n').length > 450) problems.push(`${path} has more than 450 lines`);
    if (!path.endsWith('.test.ts') && !/^(#!.*\n)?(\/\/ |\/\*\*)/.test(text))
      problems.push(`${path} does not begin with a comment`);
    return problems;
  });
  t.same(wrong, []);
  t.end();
});

t.test('nothing is left unfinished, waits for a fixed time, or names a machine', (t) => {
  const PATTERNS: [RegExp, string][] = [
    [/\b(TODO|FIXME|XXX)\b/, 'is unfinished'],
    [/await (sleep|delay)\(/, 'sleeps'],
    [new RegExp(`['"\`/]/?${'work'}/(main|shared)\\b`), 'names a machine path'],
  ];
  const wrong = sources.flatMap(({ path, text }) =>
    PATTERNS.filter(([pattern]) => pattern.test(text) && !path.endsWith('tidy.test.ts')).map(
      ([, what]) => `${path} ${what}`,
    ),
  );
  t.same(wrong, []);
  t.end();
});
