// The patch as posted as the driver of a guest in a real lab: it draws its picture when nothing goes wrong, under both xenbus
// cores; and what a search finds of it is so on real processes.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Search } from '../../explore/search.js';
import { modelOf } from '../../explore/settings.js';
import { chaosCase } from '../../explore/telling.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { CORE_VERSIONS } from '../../services/guest/core-rules.js';
import { leftovers, processNamed, startLab, temporaryLabDir, xenwire } from '../fixtures/lab.js';

for (const core of CORE_VERSIONS) {
  t.test(`the patch as posted draws the picture under the core of ${core}, and nothing is left`, async (t) => {
    const runDir = temporaryLabDir(t);
    const args = ['up', '--once', '--json', '--frontend', 'rfc1', '--core', core, '--run-dir', runDir];
    const { status, stdout, stderr } = await xenwire(t, args);
    t.equal(status, 0, stderr);
    t.match(JSON.parse(stdout), {
      result: 'ok',
      frame: { mismatchedPixels: 0 },
      guests: [{ frontend: [1, 3, 4, 6], backend: [1, 2, 4, 5, 6] }],
      leaks: [],
    });
    t.same(leftovers(runDir), []);
  });
}

t.test('a guest of that frontend, with a core of its own, is added to a lab of that protocol', async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir, ['--frontend', 'rfc1']);
  const config = join(runDir, '..', 'second.cfg');
  writeFileSync(
    config,
    readFileSync(join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg'), 'utf8').replace('"gpu-guest"', '"second"'),
  );
  const speaks = ['--frontend', 'rfc1', '--core', '6.12'];
  const created = await xenwire(t, ['create', config, '--wait', ...speaks, '--run-dir', runDir]);
  t.equal(created.status, 0, created.stderr);
  t.match(created.stdout, /^guest second is domain 2\npicture equal: /);
  const { pid } = processNamed(runDir, 'guest-second');
  const given = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ');
  t.match(given, /--frontend rfc1 --core 6\.12/);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
});

t.test(
  'the death of its backend: the case of the search is confirmed by real processes, and the reviewed one passes it',
  async (t) => {
    const fixed = { frontend: 'rfc1', backend: 'review', core: '6.12', copies: 1, transactions: 'whole' } as const;
    const search = new Search(await modelOf({ ...fixed, faults: 1, kinds: ['kill-backend'] }));
    const { found } = search.run({ statesMax: 1_000_000, violationsMax: 1 }, () => performance.now());
    t.match(found[0]?.violation, { property: 'recovery' });
    const posted = chaosCase(search, found[0]!);
    const replay = (text: string, ...args: string[]) =>
      xenwire(t, ['replay', ...args, '--run-dir', temporaryLabDir(t), text]);
    const confirmed = await replay(posted, '--frontend', 'rfc1');
    // How far the guest is as its backend dies decides between two ends: it closes and never comes back, or it unregisters its
    // device at the backend's 5 and again at its 6, and its kernel stops.
    t.match(confirmed, { status: 1, stdout: /shows no numbered frame|guest-gpu-guest ended/ });
    t.match(confirmed.stdout, /^[WF] (wedged|broken)/m);
    const { status, stdout } = await replay(posted.replace('backend/virtio/', 'backend/virtio-mmio/'));
    t.equal(status, 0, stdout);
  },
);
