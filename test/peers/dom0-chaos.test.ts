// xenwire chaos on a backend of others: the device model in C, killed, paused and ended at points of our processes. It passes, and
// each fault that was put into it is found by the rule that it breaks.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseResult } from '../../chaos/results.js';
import { buildDom0Folder, dom0Missing } from '../../testkit/dom0-programs.js';
import { leftovers, temporaryLabDir, xenwire } from '../fixtures/lab.js';

const LIBRARIES = ['xenevtchn', 'xendevicemodel', 'xenforeignmemory', 'xenstore'];
const SLICE = { cases: 6, seed: 5 } as const;
const DEADLINE_MS = 200_000;

t.test('a seeded slice of cases passes', { skip: dom0Missing(), timeout: DEADLINE_MS }, async (t) => {
  const program = buildDom0Folder(t, 'device-model', LIBRARIES);
  const runDir = temporaryLabDir(t);
  const out = join(runDir, '..', 'slice.json');
  const slice = ['--sample', String(SLICE.cases), '--seed', String(SLICE.seed), '--jobs', '2', '--twice-every', '0'];
  const lab = ['--out', out, '--run-dir', runDir, '--backend-command', `${program} {gpu}`];
  const run = await xenwire(t, ['chaos', ...slice, ...lab], {}, DEADLINE_MS);
  const { judged, backendCommand } = parseResult(readFileSync(out, 'utf8'), out);
  t.equal(judged.length, SLICE.cases, run.stderr);
  t.equal(backendCommand, `${program} {gpu}`);
  const failed = judged.filter(({ outcome }) => outcome === 'broken' || outcome === 'wedged');
  t.same(failed, [], 'no rule is broken, and nothing is wedged');
  const unjudged = judged.filter(({ outcome }) => outcome === 'harness').map((each) => each.case);
  t.ok(unjudged.length <= 1, `cases without a verdict: ${unjudged.join(', ') || 'none'}`);
  t.same(
    leftovers(runDir).filter((name) => !name.endsWith('.json')),
    [],
  );
});

/** As it is about to write its own 4: the backend is connected. */
const CONNECTED = 'guest:front.state(device/virtio-mmio/0/state)#2/KILL vhost-frontend/restart';
/** The next access goes into the slot once the device model is dead, and waits there. */
const ACCESS = 'hypervisor:ioreq.fill#1/KILL vhost-frontend/restart';

t.test('faults of the device model are found', { skip: dom0Missing(), timeout: DEADLINE_MS }, async (t) => {
  const program = buildDom0Folder(t, 'device-model', LIBRARIES);
  const find = async (bug: string, text: string, check: string): Promise<void> => {
    const lab = ['--run-dir', temporaryLabDir(t), '--backend-command', `${program} {gpu} --bug ${bug}`];
    const run = await xenwire(t, ['replay', '--json', ...lab, text], {}, DEADLINE_MS);
    t.equal(run.status, 1, `${bug}: ${run.stderr}`);
    const { case: found, violations } = JSON.parse(run.stdout) as { case: string; violations: { check: string }[] };
    t.not(found, null, `${bug} is not found without a fault: ${run.stdout}`);
    t.ok(
      violations.some((violation) => violation.check === check),
      `${check} objects to ${bug}: ${run.stdout}`,
    );
  };
  // The last one waits most of its time.
  await Promise.all([
    find('wrong-edge', CONNECTED, 'committed').then(() => find('port-kept', CONNECTED, 'held')),
    find('lost-request', ACCESS, 'picture'),
  ]);
});

t.test('cases that a backend of others cannot be given are refused in a sentence', async (t) => {
  const refused: readonly [string, RegExp][] = [
    ['vhost-frontend:back.state(backend/virtio-mmio/1/0/state)#1/KILL guest/restart', /passes no points/],
    ['guest:front.state(device/virtio-mmio/0/state)#1/KILL vhost-gpu/restart', /GPU server/],
    ['guest:front.state(device/virtio-mmio/0/state)#1/TERM xenstored/restart', /does not connect again/],
  ];
  for (const [text, why] of refused) {
    const run = await xenwire(t, ['replay', '--backend-command', 'true', text]);
    t.equal(run.status, 2);
    t.match(run.stderr, why);
    t.equal(run.stderr.trim().split('\n').length, 1);
  }
});

t.test('a backend that serves no guest even without a fault is told of in sentences', async (t) => {
  const lab = ['--run-dir', temporaryLabDir(t), '--backend-command', 'sleep 100'];
  const run = await xenwire(t, ['chaos', '--sample', '1', ...lab], {}, DEADLINE_MS);
  t.equal(run.status, 1);
  t.match(run.stderr, /^xenwire: a run without a fault fails:\npicture: no first frame/);
  t.notMatch(run.stderr, /\n +at /, 'no stack: the fault is not ours');
});
