// History rings: what is written is read, also after the writer's death; going round loses the oldest and says so.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { HISTORY_RECORDS } from '../../../../lib/core/limits.js';
import { createHistory, HistoryReader, historyFiles } from '../../../../lib/node/files/history.js';
import { runPaths } from '../../../../lib/node/process/run-dir.js';
import { startNode, temporaryRunDir } from '../../../../testkit/processes.js';

t.test('records come back in order with their numbers, names cut to their field', (t) => {
  const path = join(temporaryRunDir(t), 'a.ring');
  const ring = createHistory(path, 'guest-1', 12345678901234, []);
  const reader = new HistoryReader(path);
  ring.record('state', 'device/virtio-mmio/0/state', 1, 3, 5);
  ring.record('exit', 'x'.repeat(100), 0xf0000050, 2 ** 53 - 1);
  const [first, second, ...rest] = reader.read();
  t.same(rest, []);
  t.match(first, {
    process: 'guest-1',
    index: 0,
    kind: 'state',
    name: 'device/virtio-mmio/0/state',
    a: 1,
    b: 3,
    domid: 5,
  });
  t.match(second, { index: 1, kind: 'exit', a: 0xf0000050, b: 2 ** 53 - 1, domid: undefined, name: 'x'.repeat(64) });
  t.ok(second!.ns >= first!.ns);
  t.equal(reader.incarnation, 12345678901234);
  t.same(reader.read(), []);
  ring.record('life', 'again');
  t.equal(reader.read()[0]?.name, 'again');
  reader.close();
  ring.close();
  ring.record('life', 'after close is dropped, not a crash');
  t.end();
});

t.test('a reader that was overtaken counts what it lost', (t) => {
  const path = join(temporaryRunDir(t), 'a.ring');
  const ring = createHistory(path, 'p', 1, []);
  const reader = new HistoryReader(path);
  for (let i = 0; i < HISTORY_RECORDS + 10; i++) ring.record('notify', 'n', i);
  const records = reader.read();
  t.equal(records.length, HISTORY_RECORDS);
  t.equal(records[0]?.a, 10);
  t.equal(reader.lostCount, 10);
  reader.close();
  ring.close();
  t.end();
});

t.test('a file that is no history ring is refused', (t) => {
  const path = join(temporaryRunDir(t), 'a.ring');
  createHistory(path, 'p', 1, []).close();
  t.throws(() => new HistoryReader(import.meta.filename ?? process.argv[1]!), /not a history ring/);
  t.throws(() => new HistoryReader(`${path}.none`), { code: 'ENOENT' });
  t.end();
});

t.test('a gate stops the process at its step, marked in its ring; killed there, its records remain', async (t) => {
  const runDir = temporaryRunDir(t);
  mkdirSync(join(runDir, 'history'));
  const server = startNode(t, new URL('../../../fixtures/echo-server.js', import.meta.url), ['--run-dir', runDir], {
    XENWIRE_GATES: 'hypervisor:serve Hypervisor.evtchn_alloc_unbound#2',
  });
  await server.line(/^ready/);
  const client = startNode(t, new URL('../../../fixtures/echo-client.js', import.meta.url), ['--run-dir', runDir]);
  await client.line(/^ready/);
  client.say('add 1 1');
  await client.line(/^add/);
  const ringPath = historyFiles(runDir).find((path) => path.includes('hypervisor'))!;
  const reader = new HistoryReader(ringPath);
  t.equal(reader.gated, false);
  client.say('add 2 2');
  const { retryOnChange, withDeadline } = await import('../../../../lib/node/process/wait.js');
  await withDeadline(
    retryOnChange(ringPath, () => (reader.gated ? true : undefined)),
    5000,
    'the gate',
  );
  process.kill(server.pid, 'SIGKILL');
  await client.line(/^lost/);
  const steps = reader.read().filter((record) => record.name === 'serve Hypervisor.evtchn_alloc_unbound');
  t.equal(steps.length, 2, 'the step at the gate was recorded before the stop');
  t.notOk(client.lines.includes('add {"port":4}'), 'nothing was answered past the gate');
  t.equal(runPaths.history(runDir, 'hypervisor', reader.incarnation), ringPath);
  reader.close();
});
