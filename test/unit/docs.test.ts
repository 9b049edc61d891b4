// The documents against the tree: what they name exists, and they name every part.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';

const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(join(PACKAGE_ROOT, 'docs')).map((name) => `docs/${name}`),
];
const text = (document: string): string => readFileSync(join(PACKAGE_ROOT, document), 'utf8');
const folders = (dir: string): string[] =>
  readdirSync(join(PACKAGE_ROOT, dir), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${dir}/${entry.name}/`);

t.test('links lead somewhere, and files that are named exist', async (t) => {
  for (const document of DOCUMENTS.filter((name) => name.endsWith('.md'))) {
    const links = [...text(document).matchAll(/\]\(([^)#]+)[^)]*\)/g)].map((match) => match[1]!);
    for (const link of links.filter((target) => !/^[a-z]+:/.test(target))) {
      t.ok(existsSync(join(PACKAGE_ROOT, dirname(document), link)), `${document}: ${link}`);
    }
    const paths = [
      ...text(document).matchAll(
        /`((?:lib|services|toolstack|lab|measure|testkit|bin|proto|test|docs|bench|examples|scripts)\/[\w./-]*)`/g,
      ),
    ];
    for (const [, path] of paths) t.ok(existsSync(join(PACKAGE_ROOT, path!)), `${document}: ${path}`);
  }
});

t.test('files named alone in the architecture exist somewhere in the sources', async (t) => {
  const all = new Set(
    ['services', 'lib', 'toolstack', 'lab'].flatMap((dir) =>
      readdirSync(join(PACKAGE_ROOT, dir), { recursive: true }).map((path) => String(path).split('/').at(-1)),
    ),
  );
  for (const [, name] of text('docs/architecture.md').matchAll(/`([\w-]+\.ts)`/g)) t.ok(all.has(name), name!);
});

t.test('the code map names every service and every part of lib', async (t) => {
  const map = text('docs/architecture.md');
  for (const folder of [...folders('services'), ...folders('lib')]) t.ok(map.includes(`\`${folder}\``), folder);
});

t.test('every npm script that the documents name exists', async (t) => {
  const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
  for (const document of DOCUMENTS.filter((name) => name.endsWith('.md'))) {
    for (const [, name] of text(document).matchAll(/npm run ([\w:]+)/g)) t.ok(name! in scripts, `${document}: ${name}`);
  }
});
