// Cases with several faults in real labs: the second fault finds a process that went on, the replacement of one that the first
// ended, or a process of a new host.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { formatCase, parseCase } from '../../chaos/case.js';
import { parseResult } from '../../chaos/results.js';
import { leftovers, startXenwire, temporaryLabDir, xenwire } from '../fixtures/lab.js';

/** Of four cases, a few seconds each on a quiet machine. */
const DEADLINE_MS = 240_000;

const PASSING = [
  // Both processes run on from before the case; the second fault falls into the removal.
  'guest:guest.frame#1/STOP vhost-gpu/restart then xenstored:store.commit(/local/domain/1/device/virtio-mmio/0/state)#4/KILL vhost-gpu/restart',
  // The replacement of the first victim is the second, in the middle of its recovery.
  'guest:guest.frame#1/KILL vhost-frontend/restart then vhost-frontend:back.effect(openSession)#1/KILL vhost-frontend/restart',
  // One process stands twice.
  'xenstored:store.commit(/local/domain/1/device/virtio-mmio/0/state)#2/STOP guest/restart then xenstored:store.commit(/local/domain/1/device/virtio-mmio/0/state)#3/KILL xenstored/restart',
  // A new host, and a guest in it.
  'guest:guest.frame#1/KILL hypervisor/restart then guest:guest.frame#1/STOP guest/restart',
];

t.test(
  'both faults of each list happen, one in the wake of the other, and the lab comes back',
  { timeout: DEADLINE_MS },
  async (t) => {
    const runDir = temporaryLabDir(t);
    const [list, out] = [join(runDir, '..', 'lists'), join(runDir, '..', 'out.json')];
    writeFileSync(list, PASSING.join('\n'));
    const args = ['--cases', list, '--out', out, '--jobs', '1', '--twice-every', '0', '--run-dir', runDir];
    const run = startXenwire(t, ['chaos', ...args]);
    t.equal(await run.ended(DEADLINE_MS), 0, run.lines.join('\n'));
    const { judged } = parseResult(readFileSync(out, 'utf8'), out);
    // A list of which a fault did not happen would have no verdict.
    t.same(
      judged.map(({ case: text, runs }) => [text, runs]),
      PASSING.map((text) => [formatCase(parseCase(text)), ['pass']]),
    );
    t.same(
      leftovers(runDir).filter((name) => !/^file (lists|out.json)$/.test(name)),
      [],
    );
  },
);

t.test('a list whose second point is not passed gives no verdict', { timeout: 120_000 }, async (t) => {
  const runDir = temporaryLabDir(t);
  const list = 'guest:guest.frame#1/STOP vhost-gpu/restart then vhost-gpu:gpu.flush(nothing)#1/KILL vhost-gpu/restart';
  const { status, stdout } = await xenwire(t, ['replay', '--json', '--run-dir', runDir, list]);
  t.equal(status, 1, stdout);
  const { outcome, trouble } = JSON.parse(stdout) as { outcome: string; trouble: string };
  t.equal(outcome, 'harness');
  t.match(trouble, /^vhost-gpu did not come to the point/);
  t.same(leftovers(runDir), []);
});
