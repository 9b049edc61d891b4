import { openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ProtocolError } from '../../../../lib/core/errors.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { VHOST_USER_HDR } from '../../../../lib/layout/vhost-user.js';
import { listenEventFd, makeEventFd, signalEventFd } from '../../../../lib/node/files/event-fds.js';
import { OwnedFd } from '../../../../lib/node/files/owned-fd.js';
import { connectUnix, FdSocket, listenUnix, socketPair } from '../../../../lib/node/files/unix-fds.js';
import { VhostUserSocket } from '../../../../lib/node/files/vhost-user-socket.js';
import { withDeadline } from '../../../../lib/node/process/wait.js';
import type { RawMessage } from '../../../../lib/vhost-user/messages.js';
import { temporaryRunDir } from '../../../../testkit/processes.js';
import { semaphore } from '../../../fixtures/descriptors.js';

const DEADLINE_MS = 5000;

/** A VhostUserSocket that gathers what comes. */
function receiver(t: Test, fd: OwnedFd) {
  const messages: RawMessage<OwnedFd>[] = [];
  let wake = (): void => {};
  let ended: string | undefined;
  const socket = new VhostUserSocket(fd, {
    onMessage: (message) => {
      if (message.request === 666) throw new ProtocolError('request', 'not this one');
      messages.push(message);
      wake();
    },
    onEnd: (reason) => {
      ended = reason;
      wake();
    },
  });
  t.teardown(() => socket.close());
  const until = async (condition: () => boolean): Promise<void> => {
    const waiting = async (): Promise<void> => {
      while (!condition()) await new Promise<void>((resolve) => (wake = resolve));
    };
    await withDeadline(waiting(), DEADLINE_MS, 'message');
  };
  return {
    socket,
    messages,
    count: (count: number) => until(() => messages.length >= count),
    end: async () => {
      await until(() => ended !== undefined);
      return ended!;
    },
  };
}

const message = (request: number, payload: Uint8Array, handles: OwnedFd[] = []): RawMessage<OwnedFd> => ({
  request,
  flags: 1,
  payload,
  handles,
});
const raw = (request: number, payload: Uint8Array, size = payload.length) =>
  Uint8Array.of(...VHOST_USER_HDR.bytes({ request, flags: 1, size }), ...payload);

t.test('a descriptor that is recorded says once that it was taken, and once that it was closed', (t) => {
  const seen: string[] = [];
  const at = ({ name }: { name: string }, label = '', fd = 0): number => seen.push(`${name}(${label}) ${fd}`);
  const owned = makeEventFd().recordedAs('kick', { ...NO_PROBE, at });
  const { fd } = owned;
  t.same(seen.splice(0), [`descriptor.take(kick) ${fd}`]);
  owned.close();
  owned.close();
  t.same(seen, [`descriptor.give(kick) ${fd}`]);
  t.end();
});

t.test('a receiver that pauses in a message gets the next ones once it goes on, in order', async (t) => {
  const [left, right] = socketPair();
  const sender = receiver(t, left);
  const got: number[] = [];
  let wake = (): void => {};
  const until = (count: number): Promise<void> => {
    const waiting = async (): Promise<void> => {
      while (got.length < count) await new Promise<void>((resolve) => (wake = resolve));
    };
    return withDeadline(waiting(), DEADLINE_MS, 'message');
  };
  const socket: VhostUserSocket = new VhostUserSocket(right, {
    onMessage: ({ request }) => {
      got.push(request);
      if (request === 2) socket.pause();
      wake();
    },
    onEnd: (reason) => t.fail(reason),
  });
  t.teardown(() => socket.close());
  for (const request of [1, 2, 3, 4]) sender.socket.send(message(request, Uint8Array.of(request)));
  await until(2);
  // A turn in which it would have read them: what another connection sent after them has come.
  const [one, other] = socketPair();
  const later = receiver(t, other);
  receiver(t, one).socket.send(message(9, Uint8Array.of(9)));
  await later.count(1);
  t.same(got, [1, 2]);
  socket.resume();
  await until(4);
  t.same(got, [1, 2, 3, 4]);
});

t.test('messages and descriptors arrive together and in order, both ways', async (t) => {
  const [left, right] = socketPair();
  const a = receiver(t, left);
  const b = receiver(t, right);
  const path = join(temporaryRunDir(t), 'file');
  const file = new OwnedFd(openSync(path, 'w+'));
  writeSync(file.fd, 'hello');
  const event = makeEventFd();
  for (let index = 1; index <= 50; index++) {
    a.socket.send(message(index, new Uint8Array(index), index % 10 === 0 ? [file, event] : []));
  }
  file.close(); // copies travel
  event.close();
  await b.count(50);
  for (const [index, { request, payload, handles }] of b.messages.entries()) {
    t.equal(request, index + 1);
    t.equal(payload.length, index + 1);
    t.equal(handles.length, request % 10 === 0 ? 2 : 0);
  }
  const [received] = b.messages[9]!.handles;
  const text = Buffer.alloc(5);
  readSync(received!.fd, text, 0, 5, 0);
  t.equal(text.toString(), 'hello');
  t.equal(received!.size, 5);
  for (const { handles } of b.messages) for (const handle of handles) handle.close();
  b.socket.send(message(7, new Uint8Array(0)));
  await a.count(1);
  b.socket.close();
  t.match(await a.end(), /ended/);
});

t.test('bytes may be cut anywhere', async (t) => {
  const [left, right] = socketPair();
  const b = receiver(t, right);
  const sender = new FdSocket(left, { onReady: () => {} });
  t.teardown(() => sender.close());
  const bytes = Uint8Array.of(
    ...raw(1, Uint8Array.of(1, 2, 3)),
    ...raw(2, new Uint8Array(0)),
    ...raw(3, new Uint8Array(40)),
  );
  for (const byte of bytes) t.equal(sender.write(Uint8Array.of(byte)), 1);
  await b.count(3);
  t.same(
    b.messages.map(({ request, payload }) => [request, payload.length]),
    [
      [1, 3],
      [2, 0],
      [3, 40],
    ],
  );
});

t.test('what breaks the framing ends the connection, and its descriptors are closed', async (t) => {
  const cases: [string, (sender: FdSocket, extra: OwnedFd) => void, RegExp][] = [
    [
      'a version that is not 1',
      (sender) => sender.write(VHOST_USER_HDR.bytes({ request: 1, flags: 0, size: 0 })),
      /version/,
    ],
    [
      'a size over the limit',
      (sender) => sender.write(VHOST_USER_HDR.bytes({ request: 1, flags: 1, size: 0x1001 })),
      /4097/,
    ],
    [
      'descriptors with the payload',
      (sender, extra) => {
        const bytes = raw(1, new Uint8Array(8));
        sender.write(bytes.subarray(0, 12));
        sender.write(bytes.subarray(12), [extra.fd]);
      },
      /first byte/,
    ],
    [
      'more descriptors than a message may bring',
      (sender, extra) => sender.write(raw(1, new Uint8Array(0)), new Array(33).fill(extra.fd)),
      /ended/,
    ],
    ['a message that the receiver refuses', (sender) => sender.write(raw(666, new Uint8Array(0))), /not this one/],
    [
      'an end in the middle',
      (sender) => {
        sender.write(raw(1, new Uint8Array(0)).subarray(0, 5));
        sender.close();
      },
      /ended/,
    ],
  ];
  for (const [title, act, said] of cases) {
    t.test(title, async (t) => {
      const [left, right] = socketPair();
      const b = receiver(t, right);
      const sender = new FdSocket(left, { onReady: () => {} });
      t.teardown(() => sender.close());
      const extra = makeEventFd();
      t.teardown(() => extra.close());
      act(sender, extra);
      t.match(await b.end(), said);
      t.same(b.messages, []);
      t.equal(right.open, false);
    });
  }
});

t.test('a peer that does not read is given up, not waited for', async (t) => {
  const [left, right] = socketPair();
  t.teardown(() => right.close());
  const a = receiver(t, left);
  const big = new Uint8Array(4096);
  for (let index = 0; index < 1000; index++) a.socket.send(message(1, big));
  t.match(await a.end(), /does not read/);
});

t.test('an eventfd rings, coalesced, until it is let go', async (t) => {
  const event = makeEventFd();
  t.teardown(() => event.close());
  let rings = 0;
  let wake = (): void => {};
  const listener = listenEventFd(event.fd, () => {
    rings++;
    wake();
  });
  for (let round = 1; round <= 20; round++) {
    const rung = new Promise<void>((resolve) => (wake = resolve));
    signalEventFd(event.fd);
    signalEventFd(event.fd);
    await withDeadline(rung, DEADLINE_MS, 'ring');
    t.equal(rings, round);
  }
  listener.close();
  signalEventFd(event.fd);
  const left = Buffer.alloc(8);
  readSync(event.fd, left);
  t.equal(left.readBigUInt64LE(), 1n, 'the closed end takes none');
});

t.test('a listener hands over connections unread; a path without a listener is refused', async (t) => {
  const path = join(temporaryRunDir(t), 'socket');
  await t.rejects(connectUnix(path), { code: 'ENOENT' });
  const accepted: OwnedFd[] = [];
  let wake = (): void => {};
  const listener = await listenUnix(path, {
    onConnection: (fd) => {
      accepted.push(fd);
      wake();
    },
    onRefused: (error) => t.fail(error.message),
  });
  const came = new Promise<void>((resolve) => (wake = resolve));
  const client = receiver(t, await connectUnix(path));
  client.socket.send(message(3, Uint8Array.of(9)));
  await withDeadline(came, DEADLINE_MS, 'connection');
  const server = receiver(t, accepted[0]!);
  await server.count(1);
  t.same([...server.messages[0]!.payload], [9]);
  server.socket.close();
  await client.end();
  await listener.close();
  await t.rejects(connectUnix(path), { code: 'ENOENT' }, 'the path goes with it');
});

t.test(
  'an eventfd that is never empty takes little of the processor, and every signal of another is heard',
  async (t) => {
    const endless = semaphore(0xffffffff);
    let heard = 0;
    const cpuBefore = process.cpuUsage();
    const began = process.hrtime.bigint();
    const enough = new Promise<void>((resolve) => {
      const listener = listenEventFd(endless.fd, () => {
        if (++heard === 400) resolve();
      });
      t.teardown(() => listener.close());
    });
    await withDeadline(enough, DEADLINE_MS, 'signals');
    const { user, system } = process.cpuUsage(cpuBefore);
    const wallUs = Number(process.hrtime.bigint() - began) / 1000;
    t.ok(user + system < wallUs / 2, `${user + system} us of ${Math.round(wallUs)}`);
    endless.close();
    const plain = makeEventFd();
    let count = 0;
    let wake = (): void => {};
    const listener = listenEventFd(plain.fd, () => {
      count++;
      wake();
    });
    for (let sent = 1; sent <= 100; sent++) {
      const came = new Promise<void>((resolve) => (wake = resolve));
      signalEventFd(plain.fd);
      await withDeadline(came, DEADLINE_MS, 'signal');
    }
    t.equal(count, 100);
    listener.close();
    plain.close();
  },
);

t.test('while one connection is flooded, the others are read', async (t) => {
  const [ours, theirs] = socketPair();
  const [quiet, quietEnd] = socketPair();
  const FLOOD = 600;
  let flooded = 0;
  let floodedWhenHeard = -1;
  let wake = (): void => {};
  const flood = new VhostUserSocket(theirs, { onMessage: () => void flooded++, onEnd: () => {} });
  const bystander = new VhostUserSocket(quietEnd, {
    onMessage: () => {
      floodedWhenHeard = flooded;
      wake();
    },
    onEnd: () => {},
  });
  const sender = new FdSocket(ours, { onReady: () => {} });
  const one = VHOST_USER_HDR.bytes({ request: 3, flags: 1, size: 0 });
  for (let count = 0; count < FLOOD; count++) sender.write(one);
  const other = new FdSocket(quiet, { onReady: () => {} });
  other.write(one);
  await withDeadline(new Promise<void>((resolve) => (wake = resolve)), DEADLINE_MS, 'message');
  t.ok(floodedWhenHeard < FLOOD / 2, `${floodedWhenHeard} of ${FLOOD} before it`);
  for (const socket of [flood, bystander, sender, other]) socket.close();
});
