// What comments cite is there for their reader: files and pages of this tree exist, and no comment rests on a document that
// the tree does not have.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';

/** Folders of what is derived or fetched. */
const NO_SOURCE = /^(\.git|\.tap|node_modules|xenwire-out|(dist|build)(\..*)?)$/;
/** What may be cited although it is not there yet: the part that writes it lands it. */
const AWAITED = ['docs/rfc1.md'];

const COMMENT = /(?:^\s*(?:\/\/|\/?\*|#)|\s\/\/ )(.*)$/;
/** A path from the root, or the bare name of a source or a page. */
const PATH =
  /(?<![\w/.*<-])(?:bench|bin|docs|examples|lab|lib|measure|proto|scripts|services|test|testkit|toolstack)\/[\w./-]*\.\w+/g;
const NAME = /(?<![\w/.*-])[a-z][\w-]*(?:\.test)?\.(?:ts|mjs|md)\b/g;
const DESIGN = /\bdesign \d+/gi;
/** Other trees have a docs/ too: their files are cited with the tree before them. */
const OTHER_TREE = /\b(xen\.git|QEMU) $/;

const files = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    if (!entry.isDirectory()) return [path];
    return NO_SOURCE.test(entry.name) ? [] : files(path);
  });

const tree = new Set(files(PACKAGE_ROOT).map((file) => relative(PACKAGE_ROOT, file)));
const names = new Set([...tree].map((path) => basename(path)));

/** What a line's comment cites and its reader cannot find. */
function unfounded(line: string): string[] {
  const comment = COMMENT.exec(line)?.[1] ?? '';
  const cites = (pattern: RegExp): string[] =>
    [...comment.matchAll(pattern)]
      .filter((match) => !OTHER_TREE.test(comment.slice(0, match.index)))
      .map(([cite]) => cite);
  return [
    ...cites(PATH).filter((cite) => !tree.has(cite) && !AWAITED.includes(cite)),
    ...cites(NAME).filter((cite) => !names.has(cite)),
    ...cites(DESIGN),
  ];
}

t.test('what comments cite exists', async (t) => {
  const wrong = [...tree]
    .filter((path) => /\.(ts|mjs|sh|c|proto|yml)$/.test(path) && !path.endsWith('citations.test.ts'))
    .flatMap((path) =>
      readFileSync(join(PACKAGE_ROOT, path), 'utf8')
        .split('\n')
        .flatMap((line, index) => unfounded(line).map((cite) => `${path}:${index + 1} cites ${cite}`)),
    );
  t.same(wrong, []);
});

t.test('and what does not exist would be found', async (t) => {
  t.same(unfounded('// as docs/nowhere.md says, and lib/core/errors.ts'), ['docs/nowhere.md']);
  t.same(unfounded('const a = 1; // see nowhere.ts'), ['nowhere.ts']);
  t.same(unfounded(' * rests on design 4'), ['design 4']);
  t.same(unfounded('// QEMU docs/interop/vhost-user.rst'), []);
  t.same(unfounded("import './nowhere.js';"), []);
});
