// Doorbells between two real processes: no ring is lost in any phase of the receiver's falling asleep, and a sleep costs
// one wake-up at most.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { NO_PROBE } from '../../lib/core/probe.js';
import { BELL_PAGE_SIZE, BELL_WORD } from '../../lib/layout/ours/bell.js';
import { BellSender, bellPaths } from '../../lib/node/bell/bell.js';
import { messageDoorbell } from '../../lib/node/bell/zmq.js';
import { createPath, mapPath } from '../../lib/node/files/shm.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { startNode, temporaryRunDir } from '../../testkit/processes.js';
import { tries } from '../../testkit/tier.js';

const RECEIVER = new URL('../fixtures/bell-receiver.js', import.meta.url);
const SENDER = new URL('../fixtures/bell-sender.js', import.meta.url);
const MESSAGE_SENDER = new URL('../fixtures/bell-message-sender.js', import.meta.url);
const RINGS = tries(200_000, 1_000_000);
const MESSAGE_RINGS = 100_000;

t.test(`${RINGS} rings: none is lost, and no more wake-ups than sleeps`, async (t) => {
  const runDir = temporaryRunDir(t);
  mkdirSync(join(runDir, 'bell'));
  const counters = join(runDir, 'counters');
  createPath(counters, 4096).close();
  const receiver = startNode(t, RECEIVER, [runDir, counters, String(RINGS)]);
  const handle = JSON.parse((await receiver.line(/^bound/)).slice(6)) as { bit: number };
  const sender = startNode(t, SENDER, [runDir, counters, String(RINGS), String(handle.bit), '7']);
  t.equal(await sender.line(/^(sent|lost)/, 60_000), 'sent all');
  const result = JSON.parse((await receiver.line(/^done/)).slice(5)) as Record<string, number>;
  t.equal(result['seen'], RINGS);
  t.ok(result['sleepCount']! > 10, `it slept ${result['sleepCount']} times, so that falling asleep was met`);
  t.ok(
    result['wakeCount']! <= result['sleepCount']!,
    `${result['wakeCount']} wake-ups for ${result['sleepCount']} sleeps`,
  );
  t.equal(await receiver.ended(), 0);
});

t.test('whom a sender that died on the way has left asleep, insisting wakes', async (t) => {
  const runDir = temporaryRunDir(t);
  mkdirSync(join(runDir, 'bell'));
  const counters = join(runDir, 'counters');
  createPath(counters, 4096).close();
  const receiver = startNode(t, RECEIVER, [runDir, counters, '1']);
  const handle = JSON.parse((await receiver.line(/^bound/)).slice(6)) as { bit: number };
  const page = mapPath(bellPaths(runDir, 'receiver').page, BELL_PAGE_SIZE, true);
  const words = new Uint32Array(page.bytes.buffer);
  const deadline = Date.now() + 5000;
  while (Atomics.load(words, BELL_WORD.SLEEPING) === 0 && Date.now() < deadline) await setImmediate();
  // It has taken the sleeper upon itself, and dies before it writes the byte.
  t.equal(Atomics.exchange(words, BELL_WORD.SLEEPING, 0), 1);
  const count = mapPath(counters, 0, true);
  Atomics.store(new Uint32Array(count.bytes.buffer), 0, 1);
  const points: string[] = [];
  const sender = new BellSender(runDir, 'receiver', { ...NO_PROBE, at: ({ name }) => points.push(name) });
  sender.ring(handle.bit);
  t.equal(Atomics.load(words, BELL_WORD.SUMMARY), 1, 'it has not looked');
  t.same(points, [], 'a ring that wakes no sleeper is no point');
  sender.insist(handle.bit);
  t.same(points, ['bell.wake']);
  t.match(await receiver.line(/^done/), '"seen":1');
  sender.close();
  page.close();
  count.close();
  t.equal(await receiver.ended(), 0);
});

t.test('opening the doorbell of a process that was killed says so', async (t) => {
  const runDir = temporaryRunDir(t);
  mkdirSync(join(runDir, 'bell'));
  const counters = join(runDir, 'counters');
  createPath(counters, 4096).close();
  const receiver = startNode(t, RECEIVER, [runDir, counters, '1']);
  await receiver.line(/^bound/);
  process.kill(receiver.pid, 'SIGKILL');
  await receiver.ended();
  t.throws(() => new BellSender(runDir, 'receiver'), { code: 'ENOENT' });
  t.throws(() => new BellSender(runDir, 'nobody'), { code: 'ENOENT' });
  t.throws(() => new BellSender(runDir, '../../etc/passwd'), { code: 'EINVAL' });
});

t.test('rings as messages: none is lost, and both ends leave nothing behind', async (t) => {
  const runDir = temporaryRunDir(t);
  mkdirSync(join(runDir, 'bell'));
  const counters = join(runDir, 'counters');
  createPath(counters, 4096).close();
  const receiver = startNode(t, RECEIVER, [runDir, counters, String(MESSAGE_RINGS), 'zmq']);
  const handle = JSON.parse((await receiver.line(/^bound/)).slice(6)) as { bit: number };
  const sender = startNode(t, MESSAGE_SENDER, [runDir, counters, String(MESSAGE_RINGS), String(handle.bit)]);
  t.equal(await sender.line(/^(sent|lost)/, 60_000), 'sent all');
  t.match(await receiver.line(/^done/), `"seen":${MESSAGE_RINGS}`);
  t.equal(await sender.ended(), 0);
  t.equal(await receiver.ended(), 0);
  t.same(readdirSync(join(runDir, 'bell')), []);
});

t.test(
  'a ring as a message arrives though its sender is closed right after it, and before anything else was sent',
  async (t) => {
    const runDir = temporaryRunDir(t);
    mkdirSync(join(runDir, 'bell'));
    const receiver = await messageDoorbell(runDir, 'receiver');
    const sender = await messageDoorbell(runDir, 'sender');
    for (let round = 0; round < 50; round++) {
      let bound: { release(): void } | undefined;
      const rung = new Promise<void>((resolve) => {
        const bell = receiver.bind(() => resolve());
        bound = bell;
        const notifier = sender.open(bell.handle);
        notifier.signal();
        notifier.close();
        notifier.signal(); // nothing: it is closed
      });
      await withDeadline(rung, 5000, `ring ${round}`);
      bound?.release();
    }
    t.pass('50 rings');
    sender.close();
    receiver.close();
  },
);
