// Doorbell pages that a test fills with ones, in a running lab: every bit of every process rings, again and again;
// no process ends, and guests come, draw and go as before.
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { BELL_PAGE_SIZE } from '../../lib/layout/ours/bell.js';
import { mapPath } from '../../lib/node/files/shm.js';
import { leftovers, startLab, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const ROUNDS = 8;

t.test('pages full of ones ring every process for nothing, and that is all', async (t) => {
  const runDir = temporaryLabDir(t);
  const bells = join(runDir, 'bell');
  const lab = await startLab(t, runDir, ['--guests', '2', '--path', 'direct,dmop']);
  const pages = readdirSync(bells).filter((name) => name.endsWith('.page'));
  t.equal(pages.length, 6, 'xenstored has one too');
  for (let round = 0; round < ROUNDS; round++) {
    for (const page of pages) {
      const mapping = mapPath(join(bells, page), BELL_PAGE_SIZE, true);
      mapping.bytes.fill(0xff);
      mapping.close();
      writeFileSync(join(bells, page.replace(/page$/, 'fifo')), 'w');
    }
    // The host answers, having been through all that rang.
    const { status, stderr } = await xenwire(t, ['list', '--run-dir', runDir]);
    t.equal(status, 0, stderr);
  }
  const config = join(runDir, '..', 'next.cfg');
  writeFileSync(config, 'name = "next"\nmemory = 32\nvirtio = [ "type=virtio,device10,transport=mmio,path=direct" ]\n');
  const created = await xenwire(t, ['create', config, '--wait', '--run-dir', runDir]);
  t.equal(created.status, 0, created.stderr);
  t.match(created.stdout, /picture equal/);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
  t.match(lab.lines.join('\n'), /nothing is left behind/);
  t.same(leftovers(runDir), ['file next.cfg']);
});
