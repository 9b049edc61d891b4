// Supervision: whatever dies under `xenwire up` is started again, says so in one line, and the picture is right again; a
// guest's end is what its configuration says; a process that does not answer is declared dead.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { PROMISE_MS } from '../../lib/core/deadlines.js';
import { PACKAGE_ROOT } from '../../lib/node/process/package-root.js';
import { longTest } from '../../testkit/tier.js';
import { leftovers, processNamed, registered, startLab, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const EXAMPLE = readFileSync(join(PACKAGE_ROOT, 'examples', 'gpu-guest.cfg'), 'utf8');

/** The example's guest with another on_crash, beside the run directory. */
function configOf(runDir: string, onCrash: string): string {
  const path = join(runDir, '..', 'guest.cfg');
  writeFileSync(path, EXAMPLE.replace(/^on_crash.*$/m, `on_crash = "${onCrash}"`));
  return path;
}

const guestsOf = async (t: Test, runDir: string): Promise<string[]> => {
  const { stdout } = await xenwire(t, ['list', '--json', '--run-dir', runDir]);
  return (JSON.parse(stdout) as { name: string; domid: number; state: string }[]).map(
    ({ name, domid, state }) => `${name} ${domid} ${state}`,
  );
};

t.test('services that are killed come back, the host with its hypervisor, and the pictures with them', async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir, ['--guests', '2']);
  for (const [name, promiseMs] of [
    ['vhost-gpu', PROMISE_MS.vhostGpu],
    ['vhost-frontend', PROMISE_MS.vhostFrontend],
    ['xenstored', PROMISE_MS.xenstored],
    ['vhost-gpu', PROMISE_MS.vhostGpu],
  ] as const) {
    const { pid } = processNamed(runDir, name);
    process.kill(pid, 'SIGKILL');
    const line = await lab.line(new RegExp(`${name} \\(pid ${pid}\\) was killed by SIGKILL; pid \\d+ was ready after`));
    t.match(line, /all pictures were right again after \d+ ms$/);
    t.comment(`${line.trim()} (promised: ${promiseMs} ms)`);
  }
  const { pid } = processNamed(runDir, 'hypervisor');
  process.kill(pid, 'SIGKILL');
  const line = await lab.line(/booted again/, 20_000);
  t.match(
    line,
    `hypervisor (pid ${pid}) was killed by SIGKILL; the host and all 2 guests booted again, pictures equal`,
  );
  t.comment(line.trim());
  t.same(await guestsOf(t, runDir), ['gpu-guest 1 running', 'gpu-guest-2 2 running']);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
  t.match(lab.lines.at(-1), 'nothing is left behind');
  t.same(leftovers(runDir), []);
});

t.test('a guest that is killed is dumped and runs again as a new domain, a second time too', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir, ['--config', configOf(runDir, 'coredump-restart')]);
  for (const domid of [1, 2]) {
    const { pid } = processNamed(runDir, 'guest-gpu-guest');
    process.kill(pid, 'SIGKILL');
    await lab.line(
      new RegExp(`guest gpu-guest \\(domain ${domid}\\) crashed: .* it runs again as domain ${domid + 1}`),
    );
    await registered(runDir, 'guest-gpu-guest', /shown/);
    t.same(await guestsOf(t, runDir), [`gpu-guest ${domid + 1} running`]);
    const core = readFileSync(join(runDir, 'dumps', `gpu-guest-${domid}.core`));
    t.equal(core.length, 4096 + (64 << 20));
    t.equal(core.toString('latin1', 0, 4), '\x7fELF');
    t.ok(core.subarray(4096).some((byte) => byte !== 0));
  }
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
});

t.test('with on_crash = "destroy" a killed guest is removed, and the lab goes on without it', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir, ['--config', configOf(runDir, 'destroy')]);
  process.kill(processNamed(runDir, 'guest-gpu-guest').pid, 'SIGKILL');
  await lab.line(/guest gpu-guest \(domain 1\) crashed: it is removed, on_crash = "destroy"/);
  t.same(await guestsOf(t, runDir), []);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
});

t.test('rename-restart keeps the dead beside the living, until it is destroyed', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir, ['--config', configOf(runDir, 'rename-restart')]);
  process.kill(processNamed(runDir, 'guest-gpu-guest').pid, 'SIGKILL');
  await lab.line(/it is kept as gpu-guest-1, and runs again as domain 2/);
  await registered(runDir, 'guest-gpu-guest', /shown/);
  t.same((await guestsOf(t, runDir)).sort(), ['gpu-guest 2 running', 'gpu-guest-1 1 crashed']);
  t.equal((await xenwire(t, ['destroy', 'gpu-guest-1', '--run-dir', runDir])).status, 0);
  t.same(await guestsOf(t, runDir), ['gpu-guest 2 running']);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
});

t.test('a process that does not answer is declared dead, killed and replaced', longTest(), async (t) => {
  const runDir = temporaryLabDir(t);
  const lab = await startLab(t, runDir, ['--dead-after', '2']);
  const { pid } = processNamed(runDir, 'vhost-frontend');
  process.kill(pid, 'SIGSTOP');
  const line = await lab.line(/vhost-frontend \(pid \d+\) was killed/, 10_000);
  t.match(line, `vhost-frontend (pid ${pid}) was killed: it did not answer for 2 s; pid `);
  t.match(line, /the picture was right again after \d+ ms$/);
  lab.child.kill('SIGINT');
  t.equal(await lab.ended(), 0, lab.stderr);
});
