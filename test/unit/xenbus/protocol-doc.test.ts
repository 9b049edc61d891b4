import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../../lib/node/process/package-root.js';
import { REVIEW_EDGES, REVIEW_KEYS } from '../../../lib/xenbus/protocol.js';
import { protocolDocument } from '../../../lib/xenbus/protocol-doc.js';
import { xenstorePaths } from '../../../lib/xenbus/xenstore-paths-doc.js';

t.test('docs/protocol.md says what the tables say (npm run docs writes it)', async (t) => {
  const text = readFileSync(join(PACKAGE_ROOT, 'docs', 'protocol.md'), 'utf8');
  t.equal(text === protocolDocument(), true, 'the file is the one that the tables make');
  for (const { key, meaning } of REVIEW_KEYS) t.ok(text.includes(`\`${key}\``) && text.includes(meaning), key);
  for (const { why } of REVIEW_EDGES) t.ok(text.includes(why));
  t.end();
});

t.test('docs/xenstore-paths.txt says what the tables say, in the notation of xenstore-paths.pandoc', async (t) => {
  const text = readFileSync(join(PACKAGE_ROOT, 'docs', 'xenstore-paths.txt'), 'utf8');
  t.ok(text === xenstorePaths(), 'the file is the one that the tables make');
  const heads = text.split('\n').filter((line) => line.startsWith('####'));
  t.equal(heads.length, REVIEW_KEYS.length + 2);
  for (const head of heads)
    t.match(head, /^#### ~\/[\w$/*-]+( = (PATH|STRING|INTEGER|EVTCHN|"mmio"|\("[^)]+"\)))? \[w?\]$/, head);
});
