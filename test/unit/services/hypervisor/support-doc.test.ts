// docs/dom0-calls.md is what the tables of dom0's devices make.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../../../lib/node/process/package-root.js';
import { dom0CallsDocument } from '../../../../services/hypervisor/dev/support-doc.js';

t.test('the document of what a dom0 program can call is up to date: npm run docs', (t) => {
  const text = readFileSync(join(PACKAGE_ROOT, 'docs', 'dom0-calls.md'), 'utf8');
  t.equal(text === dom0CallsDocument(), true, 'the file is the one that the tables make');
  t.match(text, /IOCTL_PRIVCMD_MMAP_RESOURCE \| 0x205007 \| 32/);
  t.end();
});
