// Shared files: a peer's path cannot leave the run directory, a short file is refused, nothing stays behind.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { sharedFiles } from '../../../../lib/node/files/shm.js';
import { temporaryRunDir } from '../../../../testkit/processes.js';

t.test('two mappings of one file see each other; removing takes the file away', (t) => {
  const runDir = temporaryRunDir(t);
  const files = sharedFiles(runDir);
  const made = files.create('shm/a', 8192);
  const mapped = files.map(made.handle);
  made.bytes[8191] = 7;
  t.equal(mapped.bytes[8191], 7);
  t.equal(mapped.bytes.length, 8192);
  mapped.close();
  mapped.close();
  made.remove();
  t.notOk(existsSync(join(runDir, 'shm/a')));
  t.end();
});

t.test('bad handles are refused: outside the run directory, absolute, too large, empty, missing', (t) => {
  const runDir = temporaryRunDir(t);
  const files = sharedFiles(runDir);
  writeFileSync(join(runDir, 'short'), 'x');
  for (const path of ['../x', '/etc/passwd', 'a/../../x', '']) {
    t.throws(() => files.map({ path, size: 4096, offset: 0 }), { code: 'EINVAL' }, path);
  }
  t.throws(() => files.map({ path: 'short', size: 4096, offset: 0 }), { code: 'EINVAL' });
  t.throws(() => files.map({ path: 'short', size: 0, offset: 0 }), { code: 'EINVAL' });
  t.throws(() => files.map({ path: 'none', size: 4096, offset: 0 }), { code: 'ENOENT' });
  t.end();
});

t.test('more than the file system holds is ENOSPC now, not SIGBUS later', (t) => {
  const runDir = temporaryRunDir(t);
  const files = sharedFiles(runDir);
  t.throws(() => files.create('huge', 2 ** 46), { code: 'ENOSPC' });
  t.notOk(existsSync(join(runDir, 'huge')));
  t.end();
});
