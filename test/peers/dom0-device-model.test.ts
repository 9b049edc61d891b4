// A device model in C, written for Debian's Xen libraries alone, in vhost-frontend's place: the guest's picture is equal.
import t from 'tap';
import { buildDom0Folder, dom0Missing } from '../../testkit/dom0-programs.js';
import { temporaryLabDir, xenwire } from '../fixtures/lab.js';

const LIBRARIES = ['xenevtchn', 'xendevicemodel', 'xenforeignmemory', 'xenstore'];

for (const [how, path, option] of [
  ['kicks by IOEVENTFD, calls by its event channel', 'relay', ''],
  ['kicks by IOEVENTFD, calls by IRQFD', 'irqfd', '--irqfd'],
] as const) {
  t.test(`a foreign device model draws the guest's picture: ${how}`, { skip: dom0Missing() }, async (t) => {
    const program = buildDom0Folder(t, 'device-model', LIBRARIES);
    const command = `${program} {gpu} ${option}`;
    const run = await xenwire(t, [
      ...['up', '--once', '--json', '--no-restart', '--run-dir', temporaryLabDir(t)],
      ...['--path', path, '--backend-command', command],
    ]);
    t.equal(run.status, 0, run.stderr);
    const { frame, leaks } = JSON.parse(run.stdout) as { frame: { mismatchedPixels: number }; leaks: string[] };
    t.equal(frame.mismatchedPixels, 0);
    t.same(leaks, []);
  });
}
