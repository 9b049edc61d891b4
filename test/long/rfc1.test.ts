// The patch as posted as the driver of a guest in a real lab: it draws its picture when nothing goes wrong, under both xenbus
// cores.
import t from 'tap';
import { CORE_VERSIONS } from '../../services/guest/core-rules.js';
import { leftovers, temporaryLabDir, xenwire } from '../fixtures/lab.js';

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
