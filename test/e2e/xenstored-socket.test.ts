// xenstored's unix socket: any chunks, pipelined requests, bad clients, and many clients beside them.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { concatBytes } from '../../lib/core/bytes.js';
import { XS, type XsMessage } from '../../lib/layout/xs-wire.js';
import { encodeMessage } from '../../lib/xenstore/framing.js';
import { type Owner, startNode, temporaryRunDir } from '../../testkit/processes.js';
import { XsSocket } from '../peers/xs-socket.js';

const MAIN = new URL('../../services/xenstored/main.js', import.meta.url);

async function daemon(t: Owner): Promise<string> {
  const runDir = temporaryRunDir(t);
  const server = startNode(t, MAIN, ['--alone', '--run-dir', runDir]);
  await server.logged(/"ready"/);
  return join(runDir, 'xenstored.socket');
}

const message = (reqId: number, type: number, payload: string, txId = 0): XsMessage => ({
  type,
  reqId,
  txId,
  payload: payload.replaceAll('|', '\0'),
});

t.test('a socket of xenstored', async (t) => {
  const path = await daemon(t);
  const open = async (): Promise<XsSocket> => {
    const client = await XsSocket.open(path);
    t.teardown(() => client.close());
    return client;
  };
  const ask = async (client: XsSocket, type: number, payload: string, txId = 0): Promise<string> => {
    client.send(message(99, type, payload, txId));
    return (await client.until(99)).map((each) => each.payload.replaceAll('\0', '|')).join(' ');
  };

  await t.test('is for its owner only', async (t) => {
    t.equal(statSync(path).mode & 0o777, 0o600);
  });

  await t.test('takes requests byte by byte, and many at once', async (t) => {
    const client = await open();
    for (const byte of encodeMessage(message(1, XS.XS_WRITE, '/a/b|value'))) client.sendBytes(Uint8Array.of(byte));
    t.equal((await client.until(1)).at(-1)?.payload, 'OK\0');
    const many = Array.from({ length: 2000 }, (_, index) =>
      encodeMessage(message(index, XS.XS_WRITE, `/many/${index % 50}|${index}`)),
    );
    const all = concatBytes(many);
    for (let at = 0; at < all.length; at += 7777) client.sendBytes(all.subarray(at, at + 7777));
    const replies = await client.until(1999);
    t.same(
      replies.map(({ reqId }) => reqId),
      Array.from({ length: 2000 }, (_, index) => index),
      'answered in order',
    );
    t.equal(await ask(client, XS.XS_READ, '/many/49|'), '1999');
  });

  await t.test('has several transactions a connection, each its own', async (t) => {
    const [one, two] = [await open(), await open()];
    const first = await ask(one, XS.XS_TRANSACTION_START, '|');
    const second = await ask(one, XS.XS_TRANSACTION_START, '|');
    t.same([first, second], ['1|', '2|']);
    t.equal(await ask(one, XS.XS_WRITE, '/t1|1', 1), 'OK|');
    t.equal(await ask(one, XS.XS_WRITE, '/t2|2', 2), 'OK|');
    t.equal(await ask(two, XS.XS_READ, '/t1|'), 'ENOENT|');
    t.equal(await ask(two, XS.XS_READ, '/t1|', 1), 'ENOENT|', 'not open on this connection');
    t.equal(await ask(one, XS.XS_TRANSACTION_END, 'T|', 1), 'OK|');
    t.equal(await ask(one, XS.XS_TRANSACTION_END, 'T|', 2), 'EAGAIN|', 'both made a child of the root');
  });

  await t.test('drops a client that announces too much, and only that one', async (t) => {
    const [bad, good] = [await open(), await open()];
    t.equal(await ask(bad, XS.XS_WATCH, '/w|of the bad|'), 'OK|');
    const bytes = encodeMessage(message(5, XS.XS_READ, ''));
    new DataView(bytes.buffer).setUint32(12, 4097, true);
    bad.sendBytes(bytes);
    t.same(
      (await bad.until(5)).map(({ type }) => type).filter((type) => type !== XS.XS_WATCH_EVENT),
      [],
      'no reply',
    );
    t.ok(bad.closed);
    t.equal(await ask(good, XS.XS_WRITE, '/w|1'), 'OK|');
    t.equal(await ask(good, XS.XS_READ, '/w|'), '1');
  });

  await t.test('goes on for others while one does not read', async (t) => {
    const [deaf, good] = [await open(), await open()];
    t.equal(await ask(deaf, XS.XS_WATCH, '/flood|t|'), 'OK|');
    deaf.pause();
    const value = 'x'.repeat(3900);
    t.equal(await ask(good, XS.XS_WRITE, `/big|${value}`), 'OK|');
    // Replies for more than the kernel and the daemon hold for one client.
    const read = encodeMessage(message(1, XS.XS_READ, '/big|'));
    for (let index = 0; index < 2000; index++) deaf.sendBytes(read);
    for (let index = 0; index < 200; index++) t.equal(await ask(good, XS.XS_WRITE, `/flood/${index}|`), 'OK|');
    deaf.resume();
    deaf.send(message(2, XS.XS_READ, '/tool|'));
    const heard = await deaf.until(2);
    t.equal(heard.filter(({ type }) => type === XS.XS_READ).length, 2001, 'then it gets all of its replies');
    t.equal(heard.filter(({ type }) => type === XS.XS_WATCH_EVENT).length, 201, 'and events');
  });

  await t.test('forgets what a client held when it goes', async (t) => {
    const [gone, stays] = [await open(), await open()];
    t.equal(await ask(gone, XS.XS_TRANSACTION_START, '|'), '1|');
    t.equal(await ask(gone, XS.XS_WATCH, '/x|t|'), 'OK|');
    gone.close();
    t.equal(await ask(stays, XS.XS_WRITE, '/x|1'), 'OK|');
    t.equal(await ask(stays, XS.XS_CONTROL, 'check|'), 'OK|');
  });
});

t.test('a socket path that is taken, or is no socket, is a mistake said in one sentence', async (t) => {
  const path = await daemon(t);
  const runDir = temporaryRunDir(t);
  const second = startNode(t, MAIN, ['--alone', '--run-dir', runDir, '--socket', path]);
  t.equal(await second.ended(), 2);
  t.match(second.stderr, /xenstored\.socket is served by another process\n$/);
  const third = startNode(t, MAIN, ['--alone', '--run-dir', runDir, '--socket', runDir]);
  t.equal(await third.ended(), 2);
  t.match(third.stderr, /is there and is no socket\n$/);
});

t.test('a store that stands alone has a run directory of its own, and leaves nothing', async (t) => {
  const lab = temporaryRunDir(t);
  const env = { XENWIRE_RUN_DIR: lab };
  const start = async (...args: string[]) => {
    const server = startNode(t, MAIN, ['--alone', ...args], env);
    await server.logged(/"ready"/);
    return server;
  };
  const ask = async (path: string, type: number, payload: string): Promise<string | undefined> => {
    const client = await XsSocket.open(path);
    client.send(message(1, type, payload));
    const reply = (await client.until(1)).at(-1)?.payload;
    client.close();
    return reply;
  };
  const pathOf = (stderr: string): string => /XENSTORED_PATH=([^"\s]+)/.exec(stderr)![1]!;
  const [first, second] = [await start(), await start()];
  const [one, two] = [pathOf(first.stderr), pathOf(second.stderr)];
  t.equal(await ask(one, XS.XS_WRITE, '/x|1'), 'OK\0');
  t.equal(await ask(two, XS.XS_READ, '/x|'), 'ENOENT\0', 'they know nothing of each other');
  t.equal(statSync(dirname(one)).mode & 0o777, 0o700);

  // The next program in the same process is the same store.
  const admin = await XsSocket.open(one);
  t.teardown(() => admin.close());
  const control = async (reqId: number, payload: string): Promise<string | undefined> => {
    admin.send(message(reqId, XS.XS_CONTROL, payload));
    return (await admin.until(reqId)).at(-1)?.payload;
  };
  t.equal(await control(1, `live-update|-f|${fileURLToPath(MAIN)}|`), 'OK\0');
  t.equal(await control(2, 'live-update|-s|-t|10|'), 'OK\0');
  t.equal(await ask(one, XS.XS_READ, '/x|'), '1');

  first.child.kill('SIGTERM');
  second.child.kill('SIGTERM');
  t.same([await first.ended(), await second.ended()], [0, 0]);
  t.same([existsSync(dirname(one)), existsSync(dirname(two)), readdirSync(lab)], [false, false, []]);

  // One that cannot start leaves none either.
  const named = join(lab, 'sub', 'store.sock');
  const refused = startNode(t, MAIN, ['--alone', '--socket', named], env);
  t.equal(await refused.ended(), 2);
  t.same(readdirSync(lab), []);
  const left = (pid: number): string[] =>
    readdirSync(dirname(dirname(one))).filter((name) => name.includes(`-${pid}-`));
  t.same(left(refused.pid), []);
});
