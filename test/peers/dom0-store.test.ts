// Debian's C xenstored, unmodified, as the store of a whole lab: on guests' ring pages, its event channel and its grants; with our
// backend, and with a device model of others.
import t, { type Test } from 'tap';
import { buildDom0Folder, dom0Missing } from '../../testkit/dom0-programs.js';
import { temporaryLabDir, xenwire } from '../fixtures/lab.js';

const XENSTORED = '/usr/lib/xen-4.17/bin/xenstored';

async function picture(t: Test, ...args: string[]): Promise<void> {
  const run = await xenwire(t, ['up', '--once', '--json', '--no-restart', '--run-dir', temporaryLabDir(t), ...args]);
  t.equal(run.status, 0, run.stderr);
  const { frame, leaks } = JSON.parse(run.stdout) as { frame: { mismatchedPixels: number }; leaks: string[] };
  t.equal(frame.mismatchedPixels, 0);
  t.same(leaks, []);
}

t.test('the C xenstored serves a whole lab', { skip: dom0Missing(XENSTORED) }, async (t) => {
  await picture(t, '--store', 'c');
});

t.test('and one with a device model of others', { skip: dom0Missing(XENSTORED) }, async (t) => {
  const libraries = ['xenevtchn', 'xendevicemodel', 'xenforeignmemory', 'xenstore'];
  const program = buildDom0Folder(t, 'device-model', libraries);
  await picture(t, '--store', 'c', '--backend-command', `${program} {gpu}`);
});
