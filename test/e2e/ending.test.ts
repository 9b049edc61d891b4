// How a lab ends: by the user's word, by the death of any of its processes, by the death of its supervisor. Whichever it
// is, nothing stays behind.
import t from 'tap';
import {
  leftovers,
  processesIn,
  processNamed,
  startLab,
  startXenwire,
  temporaryLabDir,
  xenwire,
} from '../fixtures/lab.js';

t.test('Ctrl-C takes an idle lab through Closing and Closed to nothing', async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
  const text = lab.lines.join('\n');
  const order = [/toolstack +Closing +backend/, /guest-gpu-guest +Closed +device/, /vhost-frontend +Closed +backend/];
  const positions = order.map((pattern) => text.search(pattern));
  t.ok(!positions.includes(-1), text);
  t.same(
    [...positions].sort((a, b) => a - b),
    positions,
    'in this order',
  );
  t.match(text, /nothing is left behind/);
  t.same(leftovers(runDir), []);
});

for (const name of ['hypervisor', 'xenstored', 'vhost-gpu', 'vhost-frontend', 'guest-gpu-guest']) {
  t.test(`killing ${name} of an idle lab ends it within 5 s with a message that names it`, async (t) => {
    const runDir = temporaryLabDir(t);
    const lab = await startLab(t, runDir);
    const { pid } = processNamed(runDir, name);
    process.kill(pid, 'SIGKILL');
    t.equal(await lab.ended(5000), 1);
    const said = name.replace('guest-', 'guest ');
    t.match(lab.stderr, `xenwire up: ${said} (pid ${pid}) was killed by SIGKILL`);
    t.same(leftovers(runDir), []);
  });
}

t.test('when the supervisor is killed its processes end by themselves, and the next lab starts', async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir);
  t.ok(processesIn(runDir).length >= 6);
  lab.child.kill('SIGKILL');
  await lab.ended();
  // Claims the directory once the orphans are gone, or refuses after its own deadline.
  const next = await xenwire(t, ['up', '--once', '--run-dir', runDir]);
  t.equal(next.status, 0, next.stderr);
  t.same(leftovers(runDir), []);
});

t.test('an interruption before the first frame is a failure, and leaves nothing either', async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = startXenwire(t, ['up', '--run-dir', runDir]);
  await lab.line(/guest gpu-guest is domain 1/);
  lab.child.kill('SIGTERM');
  t.equal(await lab.ended(), 1);
  t.match(lab.stderr, 'xenwire up: interrupted before the first frame');
  t.same(leftovers(runDir), []);
});
