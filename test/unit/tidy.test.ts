// The rules of this tree that no compiler knows: which folder may import which, where Node and native packages may be
// touched, how long a file may be, and that nothing names the machine it was written on.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { longTest } from '../../testkit/tier.js';

const walk = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(join(dir, entry.name)) : entry.name.endsWith('.ts') ? [join(dir, entry.name)] : [],
  );

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: string[];
}

/** Every folder with sources in it: a new one is refused until a row of MAY_IMPORT names it. */
const FOLDERS = readdirSync(PACKAGE_ROOT, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !/^(\.|node_modules$|dist|build)/.test(entry.name))
  .map((entry) => entry.name);

const sources: Source[] = FOLDERS.flatMap((dir) => walk(join(PACKAGE_ROOT, dir))).map((file) => {
  const text = readFileSync(file, 'utf8');
  const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!);
  return { path: relative(PACKAGE_ROOT, file), text, imports };
});

const inside = (path: string, folder: string): boolean => path.startsWith(`${folder}/`);
const target = (source: Source, name: string): string => normalize(join(dirname(source.path), name));

const PURE_LIB = ['lib/layout', 'lib/core', 'lib/events', 'lib/virtio', 'lib/xenstore', 'lib/xenbus', 'lib/vhost-user'];
/**
 * What each folder may import, itself apart: everything else is refused, and so is a folder that has no row. The first row
 * that a file's path begins with counts. `services/*` stands for each service by itself.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'lib/layout': [],
  'lib/core': ['lib/layout'],
  'lib/trace': ['lib/layout', 'lib/core'],
  'lib/events': ['lib/layout', 'lib/core'],
  'lib/virtio': ['lib/layout', 'lib/core'],
  'lib/xenstore': ['lib/layout', 'lib/core', 'lib/trace'],
  'lib/xenbus': ['lib/layout', 'lib/core', 'lib/virtio'],
  'lib/vhost-user': ['lib/layout', 'lib/core', 'lib/virtio', 'lib/trace'],
  'lib/node': [...PURE_LIB, 'lib/trace'],
  'services/*': ['lib'],
  toolstack: ['lib'],
  lab: ['lib', 'toolstack'],
  explore: ['lib', 'toolstack', 'services/pure'],
  chaos: ['lib', 'toolstack', 'lab'],
  conformance: ['lib', 'toolstack', 'lab', 'testkit', 'services/pure'],
  dashboard: ['lib', 'toolstack', 'lab'],
  testkit: ['lib', 'services/pure'],
  measure: ['lib', 'toolstack', 'lab', 'testkit'],
  bench: ['lib', 'toolstack', 'lab', 'testkit', 'measure'],
  scripts: ['lib'],
  bin: ['*'],
  test: ['*'],
};
/** A service's protocol code, which knows nothing of Node: tsconfig.pure.json compiles these files without its types. */
const isPureService = (path: string): boolean =>
  /^services\/[^/]+\/(?!main\.ts$|server\.ts$|node\/)/.test(path.replace(/\.js$/, '.ts'));
/** What only lib/node may load; measure/floor and bench measure bare packages too. */
const NODE_PACKAGES = ['zeromq', 'koffi', 'protobufjs', 'pino', 'commander', 'pngjs'];

function rowOf(path: string): { self: string; allowed: readonly string[] } | undefined {
  const service = /^services\/[^/]+/.exec(path)?.[0];
  if (service !== undefined) return { self: service, allowed: MAY_IMPORT['services/*']! };
  const self = Object.keys(MAY_IMPORT).find((folder) => inside(path, folder));
  return self === undefined ? undefined : { self, allowed: MAY_IMPORT[self]! };
}

t.test('every folder may import only what its row names', (t) => {
  const wrong = sources.flatMap((source) => {
    const row = rowOf(source.path);
    if (row === undefined) return [`${source.path} is in a folder without a row`];
    return source.imports
      .filter((name) => name.startsWith('.'))
      .map((name) => target(source, name))
      .filter((to) => {
        if (row.allowed.includes('*') || inside(to, row.self)) return false;
        if (row.allowed.includes('services/pure') && isPureService(to)) return false;
        return !row.allowed.some((folder) => inside(to, folder));
      })
      .map((to) => `${source.path} imports ${to}`);
  });
  t.same(wrong, []);
  t.end();
});

t.test('Node and its packages are imported by lib/node, by main.ts and server.ts, and by programs only', (t) => {
  const free = (path: string): boolean =>
    /^(lib\/node|lab|measure|dashboard|conformance|chaos|testkit|bench|bin|test|scripts)\//.test(path) ||
    /^services\/[^/]+\/node\//.test(path) ||
    /^services\/[^/]+\/(main|server)\.ts$/.test(path);
  const wrong = sources
    .filter((source) => !free(source.path))
    .flatMap((source) =>
      source.imports.filter((name) => name.startsWith('node:')).map((name) => `${source.path} imports ${name}`),
    );
  const packages = sources
    .filter((source) => !/^(lib\/node|test|bench|measure\/floor)\b/.test(source.path))
    .flatMap((source) =>
      source.imports.filter((name) => NODE_PACKAGES.includes(name)).map((name) => `${source.path} imports ${name}`),
    );
  t.same([...wrong, ...packages], []);
  t.end();
});

/** Written by scripts/derive-proto.mjs. */
const DERIVED = ['lib/core/proto-types.ts', 'lib/node/bus/proto-codecs.ts'];

t.test('files stay small and begin by saying what they are for', (t) => {
  const wrong = sources.flatMap(({ path, text }) => {
    const problems: string[] = [];
    if (text.split('\n').length > 450 && !DERIVED.includes(path)) problems.push(`${path} has more than 450 lines`);
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

/** Folders where files may still name each other's types in a circle; values may nowhere. */
const TYPE_CIRCLES = ['services/hypervisor', 'lib/node/files'];

/** What a file imports of this tree, as paths; without what only its types need where `values`. */
function importedFiles(source: Source, values: boolean): string[] {
  const found: string[] = [];
  for (const [, type, names, name] of source.text.matchAll(
    /^(?:import|export)\s+(type\s+)?([^;']*?)\s*from\s*'(\.[^']+)'/gm,
  )) {
    const listed = /^\{([^}]*)\}$/.exec(names!.trim())?.[1]?.split(',') ?? [];
    const named = listed.map((each) => each.trim()).filter((each) => each !== '');
    const onlyTypes = type !== undefined || (named.length > 0 && named.every((each) => each.startsWith('type ')));
    if (!values || !onlyTypes) found.push(target(source, name!).replace(/\.js$/, '.ts'));
  }
  return found;
}

/** Each circle as its files, in the order in which they import each other. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, above: readonly string[]): void => {
    const at = above.indexOf(path);
    if (at !== -1) found.push([...above.slice(at), path].join(' > '));
    if (at !== -1 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...above, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

t.test('files do not import each other in circles', (t) => {
  const mayNameTypes = (path: string): boolean => TYPE_CIRCLES.some((folder) => inside(path, folder));
  const graph = new Map(sources.map((source) => [source.path, importedFiles(source, mayNameTypes(source.path))]));
  t.same(circles(graph), []);
  t.same(circles(new Map(Object.entries({ a: ['b'], b: ['c'], c: ['b'] }))), ['b > c > b'], 'one would be found');
  t.end();
});

t.test('tests of the second tier share no options, into which tap writes what TAP_GREP says of one of them', (t) => {
  t.not(longTest(), longTest());
  t.end();
});
