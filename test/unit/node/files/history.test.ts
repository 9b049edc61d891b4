// History rings: what is written is read, also after the writer's death; going round loses the oldest and says so; a record
// that was under way when its writer was killed is never shown.
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HISTORY_RECORDS, POINT_LABELS_MAX } from '../../../../lib/core/limits.js';
import { HISTORY_TEXT_BYTES_MAX } from '../../../../lib/layout/ours/history-ring.js';
import { HistoryReader } from '../../../../lib/node/files/history-reader.js';
import { createProbe, type OwnProbe } from '../../../../lib/node/files/probe.js';
import { edge, POINT } from '../../../../lib/trace/points.js';
import { flowOf } from '../../../../lib/trace/record.js';
import { startNode, temporaryRunDir } from '../../../../testkit/processes.js';
import { tries } from '../../../../testkit/tier.js';

const probeOf = (history: string, process = 'p', incarnation = 1): OwnProbe =>
  createProbe({ process, incarnation, history });

t.test('records come back in order with their numbers, their whole text, their count and their message', (t) => {
  const path = join(temporaryRunDir(t), 'a.ring');
  const probe = probeOf(path, 'guest-1', 12345678901234);
  const reader = new HistoryReader(path);
  const state = 'device/virtio-mmio/0/state';
  probe.at(POINT['front.state-written'], state, 0, edge(1, 3), 5);
  probe.at(POINT['exit.leave'], '', 0xf0000050, 2 ** 53 - 1);
  probe.at(POINT['bus.call'], 'Hypervisor.evtchn_send', 7, 0, undefined, probe.nextFlow());
  probe.at(POINT['bus.event'], 'XenstoreEvents.watch_event', 0, 0, undefined, 9, 4711);
  probe.at(POINT['front.state-written'], state, 0, edge(3, 4), 5);
  const [first, second, third, fourth, fifth, ...rest] = reader.read();
  t.same(rest, []);
  t.match(first, { process: 'guest-1', index: 0, label: state, a: 0, b: edge(1, 3), domid: 5, occurrence: 1, flow: 0 });
  t.equal(first?.point, POINT['front.state-written']);
  t.match(second, { index: 1, a: 0xf0000050, b: 2 ** 53 - 1, domid: undefined, label: '' });
  t.ok(second!.ns >= first!.ns);
  t.equal(flowOf(third!), `${(12345678901234).toString(36)}.1`);
  t.equal(flowOf(fourth!), `${(4711).toString(36)}.9`);
  t.equal(flowOf(fifth!), undefined);
  t.equal(fifth!.occurrence, 2);
  t.equal(reader.incarnation, 12345678901234);
  t.same(reader.read(), []);
  probe.at(POINT['life.state'], 'again');
  t.equal(reader.read()[0]?.label, 'again');
  reader.close();
  probe.close();
  probe.at(POINT['life.state'], 'after close is dropped, not a crash');
  t.end();
});

t.test('a text of any length up to its bound is whole, a longer one cut between two characters', (t) => {
  const path = join(temporaryRunDir(t), 'a.ring');
  const probe = probeOf(path);
  const reader = new HistoryReader(path);
  const texts = [1, 47, 48, 49, 131, 132, 133, 3072, HISTORY_TEXT_BYTES_MAX].map(
    (length) => `${'x'.repeat(length - 1)}y`,
  );
  texts.push(`${'x'.repeat(47)}ä`);
  for (const text of texts) probe.at(POINT['store.commit'], text);
  probe.at(POINT['store.commit'], `${'x'.repeat(HISTORY_TEXT_BYTES_MAX - 1)}ä`);
  const labels = reader.read().map(({ label }) => label);
  t.same(labels.slice(0, -1), texts);
  t.equal(labels.at(-1), 'x'.repeat(HISTORY_TEXT_BYTES_MAX - 1));
  t.equal(reader.lostCount, 0);
  reader.close();
  probe.close();
  t.end();
});

t.test('labels past what is kept are told all the same, each its own, and counted as one', (t) => {
  const path = join(temporaryRunDir(t), 'a.ring');
  const probe = probeOf(path);
  const reader = new HistoryReader(path);
  const commit = (label: string): void => probe.at(POINT['store.commit'], label);
  for (let i = 0; i < POINT_LABELS_MAX; i++) {
    commit(`known-${i}`);
    if (i % 1000 === 0) reader.read();
  }
  reader.read();
  for (const label of ['new-and-longer', 'other', 'new-and-longer', 'known-7']) commit(label);
  t.same(
    reader.read().map(({ label, occurrence }) => [label, occurrence]),
    [
      ['new-and-longer', 1],
      ['other', 2],
      ['new-and-longer', 3],
      ['known-7', 2],
    ],
  );
  reader.close();
  probe.close();
  t.end();
});

t.test('a reader that was overtaken counts what it lost, and never looks at the slot that is written next', (t) => {
  const path = join(temporaryRunDir(t), 'a.ring');
  const probe = probeOf(path);
  const reader = new HistoryReader(path);
  for (let i = 0; i < HISTORY_RECORDS + 10; i++) probe.at(POINT['kick.guest'], '', i);
  const records = reader.read();
  t.equal(records.length, HISTORY_RECORDS - 1);
  t.equal(records[0]?.a, 11);
  t.equal(reader.lostCount, 11);
  const late = new HistoryReader(path);
  t.equal(late.lostCount, 11);
  t.equal(late.read()[0]?.a, 11);
  late.close();
  // Texts that go on in further records: what is left of one whose beginning was overwritten is passed over.
  for (let i = 0; i < HISTORY_RECORDS; i++) probe.at(POINT['store.commit'], 'p'.repeat(200), i);
  const long = reader.read();
  t.ok(long.length > HISTORY_RECORDS / 3 - 2 && long.every(({ label, a }) => label.length === 200 && a > 0));
  t.equal(long.at(-1)?.a, HISTORY_RECORDS - 1);
  reader.close();
  probe.close();
  t.end();
});

t.test('a file that is no history ring is refused', (t) => {
  const path = join(temporaryRunDir(t), 'a.ring');
  probeOf(path).close();
  t.throws(() => new HistoryReader(import.meta.filename ?? process.argv[1]!), /not a history ring/);
  t.throws(() => new HistoryReader(`${path}.none`), { code: 'ENOENT' });
  t.end();
});

/** Each life goes round its ring some times before it is killed. */
const LIVES = tries(4, 12);
const ROUNDS_MIN = 2;

t.test('a writer that is killed in the middle of a wrapped ring leaves no record that is torn', async (t) => {
  const dir = temporaryRunDir(t);
  for (let life = 0; life < LIVES; life++) {
    const path = join(dir, `${life}.ring`);
    const begin = process.hrtime.bigint();
    const writer = startNode(t, new URL('../../../fixtures/ring-writer.js', import.meta.url), [
      path,
      String(ROUNDS_MIN),
    ]);
    await writer.line(/^wrapped/);
    const living = new HistoryReader(path);
    for (let look = 0; look < 3; look++) whole(t, living.read(), begin);
    process.kill(writer.pid, 'SIGKILL');
    await writer.ended();
    whole(t, living.read(), begin);
    const after = new HistoryReader(path);
    const records = after.read();
    whole(t, records, begin);
    t.ok(records.length > 0 && after.lostCount > HISTORY_RECORDS);
    living.close();
    after.close();
  }
});

/** The fixture writes its count into both numbers and, with a text that goes on in further records, its last digits. */
function whole(t: Test, records: readonly ReturnType<HistoryReader['read']>[number][], begin: bigint): void {
  const now = process.hrtime.bigint();
  let last = -1;
  let lastNs = begin;
  for (const { a, b, label, ns, point, occurrence } of records) {
    const right =
      a === b &&
      a > last &&
      ns >= lastNs &&
      ns <= now &&
      occurrence > 0 &&
      (point === POINT['kick.guest']
        ? label === ''
        : label === String(a % 10).repeat(label.length) && label.length > 100);
    if (!right) t.fail(`a torn record: ${JSON.stringify({ a, b, label, ns: String(ns), last })}`);
    last = a;
    lastNs = ns;
  }
}
