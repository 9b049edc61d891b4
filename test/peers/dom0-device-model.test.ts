// A device model in C, written for Debian's Xen libraries alone, in vhost-frontend's place: the guest's picture is equal.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { buildDom0Folder, dom0Missing } from '../../testkit/dom0-programs.js';
import { temporaryRunDir } from '../../testkit/processes.js';
import { temporaryLabDir, xenwire } from '../fixtures/lab.js';

const CONFIG = join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg');
const LIBRARIES = ['xenevtchn', 'xendevicemodel', 'xenforeignmemory', 'xenstore'];

for (const [how, path, option, granted] of [
  ['kicks by IOEVENTFD, calls by its event channel', 'relay', '', 0],
  ['kicks by IOEVENTFD, calls by IRQFD', 'irqfd', '--irqfd', 0],
  ['granted pages by its gntdev file', 'relay', '--grants', 1],
] as const) {
  t.test(`a foreign device model draws the guest's picture: ${how}`, { skip: dom0Missing() }, async (t) => {
    const program = buildDom0Folder(t, 'device-model', LIBRARIES);
    const config = join(temporaryRunDir(t), 'guest.cfg');
    writeFileSync(config, readFileSync(CONFIG, 'utf8').replace('grant_usage=0', `grant_usage=${granted}`));
    const command = `${program} {gpu} ${option}`;
    const run = await xenwire(t, [
      ...['up', '--once', '--json', '--no-restart', '--run-dir', temporaryLabDir(t)],
      ...['--path', path, '--backend-command', command, '--config', config],
    ]);
    t.equal(run.status, 0, run.stderr);
    const { frame, leaks } = JSON.parse(run.stdout) as { frame: { mismatchedPixels: number }; leaks: string[] };
    t.equal(frame.mismatchedPixels, 0);
    t.same(leaks, []);
  });
}
