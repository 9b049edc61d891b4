// xenstored replaced under a whole lab: its processes go on with the next program, and end in order with nothing left.
import { join } from 'node:path';
import t from 'tap';
import { XS } from '../../lib/layout/xs-wire.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { leftovers, processNamed, startLab, temporaryLabDir, xenwire } from '../fixtures/lab.js';
import { XsSocket } from '../peers/xs-socket.js';

const PROGRAM = join(PACKAGE_ROOT, 'dist', 'services', 'xenstored', 'main.js');

async function liveUpdate(runDir: string): Promise<void> {
  const admin = await XsSocket.open(join(runDir, 'xenstored.socket'));
  let reqId = 0;
  for (const payload of [`-f\0${PROGRAM}`, '-s\0-t\x0010']) {
    admin.send({ type: XS.XS_CONTROL, reqId: ++reqId, txId: 0, payload: `live-update\0${payload}\0` });
    const reply = (await admin.until(reqId)).at(-1)?.payload;
    if (reply !== 'OK\0') throw new Error(`live update answered ${reply}`);
  }
  admin.close();
}

for (const transport of ['bus', 'ring'])
  t.test(`a running lab goes on with its next store, guests by ${transport}`, async (t) => {
    const runDir = temporaryLabDir(t);
    const lab = await startLab(t, runDir, ['--store-transport', transport]);
    const before = processNamed(runDir, 'xenstored');
    await liveUpdate(runDir);
    await liveUpdate(runDir);
    const after = processNamed(runDir, 'xenstored');
    t.equal(after.pid, before.pid);
    t.ok(after.incarnation > before.incarnation);
    const listed = await xenwire(t, ['list', '--run-dir', runDir]);
    t.match(listed.stdout, /gpu-guest/, listed.stderr);
    lab.child.kill('SIGINT');
    t.equal(await lab.ended(), 0, lab.stderr);
    const text = lab.lines.join('\n');
    t.match(text, /guest-gpu-guest +Closed +device/, 'the guest and the backend hear of its end');
    t.match(text, /vhost-frontend +Closed +backend/);
    t.match(text, /nothing is left behind/);
    t.same(leftovers(runDir), []);
  });
