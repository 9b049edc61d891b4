import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../../lib/node/process/package-root.js';
import { REVIEW_EDGES, REVIEW_KEYS } from '../../../lib/xenbus/protocol.js';
import { protocolDocument } from '../../../lib/xenbus/protocol-doc.js';

t.test('docs/protocol.md says what the tables say (npm run docs writes it)', async (t) => {
  const text = readFileSync(join(PACKAGE_ROOT, 'docs', 'protocol.md'), 'utf8');
  t.equal(text === protocolDocument(), true, 'the file is the one that the tables make');
  for (const { key, meaning } of REVIEW_KEYS) t.ok(text.includes(`\`${key}\``) && text.includes(meaning), key);
  for (const { why } of REVIEW_EDGES) t.ok(text.includes(why));
  t.end();
});
