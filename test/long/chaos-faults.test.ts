// Each fault that takes something from processes that go on: connections, messages, room, descriptors, the time of a notification.
// One case of each passes, and one of a process that stays away, and two of domids that come again.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseResult } from '../../chaos/results.js';
import { leftovers, startXenwire, temporaryLabDir } from '../fixtures/lab.js';

const CASES = [
  'vhost-frontend:back.state(backend/virtio-mmio/1/0/state)#1/CUT xenstored/restart',
  'guest:guest.frame#1/CUT hypervisor/restart',
  'vhost-frontend:back.state(backend/virtio-mmio/1/0/state)#1/DROP hypervisor/restart',
  'guest:front.state(device/virtio-mmio/0/state)#1/DOUBLE hypervisor/restart',
  'xenstored:store.serve(set_perms /local/domain/1/control/sysrq toolstack)#1/DOUBLE hypervisor/restart',
  'guest:guest.frame#1/KILL vhost-frontend/never',
  'guest:guest.frame#1/KILL guest/same',
  'vhost-frontend:held.give(session)#1/KILL vhost-frontend/same',
  'vhost-gpu:gpu.flush(1/0)#2/TEAR vhost-gpu/restart',
  'vhost-frontend:ioreq.read#10/TEAR vhost-frontend/late',
  'guest:guest.frame#1/DELAY 20 vhost-frontend/restart',
  'xenstored:store.serve(mkdir /libxl/1 toolstack)#1/SPACE xenstored/restart',
  'xenstored:store.tell(backend/virtio-mmio/1/0/grant_usage vhost-frontend)#1/FILES vhost-frontend/restart',
  'xenstored:store.commit(/local/domain/1/cpu/0/availability)#1/FILES guest/restart',
];

const DEADLINE_MS = 300_000;

t.test('a case of each fault passes', { timeout: DEADLINE_MS }, async (t) => {
  const runDir = temporaryLabDir(t);
  const [list, out] = [join(runDir, '..', 'cases'), join(runDir, '..', 'out.json')];
  writeFileSync(list, CASES.join('\n'));
  const run = startXenwire(t, [
    ...['chaos', '--cases', list, '--run-dir', runDir, '--jobs', '2', '--twice-every', '0', '--out', out],
  ]);
  t.equal(await run.ended(DEADLINE_MS), 0, run.lines.join('\n'));
  const { judged } = parseResult(readFileSync(out, 'utf8'), out);
  t.equal(judged.length, CASES.length);
  t.same(
    leftovers(runDir).filter((name) => !/cases|json/.test(name)),
    [],
  );
});
