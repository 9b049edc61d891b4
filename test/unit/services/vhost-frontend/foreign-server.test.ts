// Foreign device servers that misbehave: they end each connection, stand still, or ask their display without reading.
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { NO_LOG } from '../../../../lib/core/log.js';
import { Wish } from '../../../../lib/core/not-wanted.js';
import type { Doorbell } from '../../../../lib/core/notify.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { VHOST_USER_HDR } from '../../../../lib/layout/vhost-user.js';
import type { OwnedFd } from '../../../../lib/node/files/owned-fd.js';
import { FdSocket, listenUnix } from '../../../../lib/node/files/unix-fds.js';
import { withDeadline } from '../../../../lib/node/process/wait.js';
import { openDisplay } from '../../../../services/vhost-frontend/node/display-viewer.js';
import { UnixDeviceServer } from '../../../../services/vhost-frontend/node/unix-device-server.js';
import { ManualClock } from '../../../../testkit/dom0-lab.js';
import { temporaryRunDir } from '../../../../testkit/processes.js';

const DEADLINE_MS = 5000;

const DOORBELL: Doorbell = {
  bind: () => ({ handle: { bell: 'test', bit: 0 }, release: () => {} }),
  open: () => ({ signal: () => {}, insist: () => {}, close: () => {} }),
};

/** A front-end's side of a server that `onConnection` plays. */
async function dialler(t: Test, onConnection: (fd: OwnedFd) => void) {
  const socketPath = join(temporaryRunDir(t), 'server.sock');
  const connections: OwnedFd[] = [];
  let wake = (): void => {};
  const listener = await listenUnix(socketPath, {
    onConnection: (fd) => {
      connections.push(fd);
      onConnection(fd);
      wake();
    },
    onRefused: (error) => t.fail(error.message),
  });
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = { ...NO_LOG, warn: (_fields: unknown, text: string) => void lines.push(text) };
  const abort = new AbortController();
  const server = new UnixDeviceServer({
    ...{ socketPath, runDir: '/nowhere', frames: undefined, doorbell: DOORBELL, probe: NO_PROBE, clock },
    log: log as typeof NO_LOG,
    signal: abort.signal,
  });
  t.teardown(async () => {
    abort.abort();
    for (const fd of connections) fd.close();
    await listener.close();
  });
  const connected = async (count: number): Promise<void> => {
    const until = async (): Promise<void> => {
      while (connections.length < count) await new Promise<void>((resolve) => (wake = resolve));
    };
    await withDeadline(until(), DEADLINE_MS, `connection ${count}`);
  };
  let lost = 0;
  const open = () => server.open('1/0', 2, { onLost: () => void lost++, onBackendRequest: () => {} }, new Wish());
  return { open, connections, connected, clock, lines, lost: () => lost, abort };
}

t.test('a server that ends each connection is dialled less and less often, with few words', async (t) => {
  const { open, connections, clock, lines, abort } = await dialler(t, (fd) => fd.close());
  await t.rejects(open(), { code: 'peer-died' });
  let waited = 0;
  for (let attempt = 2; attempt <= 12; attempt++) {
    const opening = open();
    opening.catch(() => {});
    let settled = false;
    const settles = opening.catch(() => {}).finally(() => (settled = true));
    // Time goes on only as far as it is waited for.
    while (!settled) {
      const before = connections.length;
      clock.advance(50);
      waited += 50;
      await new Promise((resolve) => setImmediate(resolve));
      if (connections.length > before) await settles;
    }
    await t.rejects(opening, { code: 'peer-died' });
    t.equal(connections.length, attempt);
  }
  t.ok(waited > 20_000, `${waited} ms for 11 more attempts`);
  t.equal(lines.length, 3, lines.join('; '));
  const last = open();
  abort.abort();
  await t.rejects(last, { code: 'peer-died' }, 'the end of the process is not kept waiting');
});

t.test('a server that stands still is given up after a while, and its device can go', async (t) => {
  const { open, connected, clock, lines, lost } = await dialler(t, () => {});
  const opening = open();
  opening.catch(() => {});
  await connected(1);
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(1999);
  t.equal(lost(), 0);
  clock.advance(1);
  await t.rejects(opening, { code: 'peer-died' });
  t.equal(lost(), 1);
  t.match(lines, [/no answer within 2000 ms/]);
});

t.test('a server that asks its display without reading the answers is not read either', async (t) => {
  const display = openDisplay(undefined, { log: NO_LOG, probe: NO_PROBE });
  const server = new FdSocket(display.theirs, { onReady: () => {} });
  t.teardown(() => {
    server.close();
    display.close();
  });
  const question = VHOST_USER_HDR.bytes({ request: 3, flags: 0, size: 0 });
  const many = new Uint8Array(question.length * 1000);
  for (let at = 0; at < many.length; at += question.length) many.set(question, at);
  const before = process.memoryUsage().rss;
  let taken = 0;
  let idle = 0;
  // Until it has taken nothing for many turns.
  while (idle < 200) {
    const count = server.write(many);
    if (count === 'end') break;
    if (count > 0) idle = 0;
    else idle++;
    taken += count;
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(taken < 4 << 20, `${taken} bytes of questions taken`);
  t.ok(process.memoryUsage().rss - before < 64 << 20);
  // Its answers are still there, and the rest is answered once they are read.
  const answers = new Uint8Array(1 << 16);
  let read = 0;
  const all = Math.floor(taken / question.length) * (VHOST_USER_HDR.size + 408);
  const drain = async (): Promise<void> => {
    while (read < all) {
      const got = server.read(answers);
      if (got === 'end') throw new Error('the display was closed');
      read += got?.count ?? 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await t.resolves(withDeadline(drain(), DEADLINE_MS, 'answers'));
});
