import t from 'tap';
import { PeerDiedError } from '../../../lib/core/errors.js';
import { NO_PROBE, type Probe } from '../../../lib/core/probe.js';
import type { StoreChannel } from '../../../lib/xenstore/channel.js';
import { ChannelStoreClient } from '../../../lib/xenstore/client.js';
import { localChannel } from '../../../testkit/store-channel.js';
import { StoreLab } from '../../../testkit/store-lab.js';

function setUp(probe?: Probe) {
  const lab = new StoreLab();
  const channel = localChannel(lab.store);
  return { lab, channel, client: new ChannelStoreClient(channel, probe) };
}

t.test('operations on nodes', async (t) => {
  const { client } = setUp();
  await client.write('/a/b', 'x\0\xff');
  t.equal(await client.read('/a/b'), 'x\0\xff', 'values are bytes');
  await client.mkdir('/a/c');
  t.same(await client.directory('/a'), ['b', 'c']);
  await client.setPerms('/a/b', ['n0', 'r0']);
  t.same(await client.getPerms('/a/b'), ['n0', 'r0']);
  await client.rm('/a/b');
  await t.rejects(client.read('/a/b'), { name: 'ErrnoError', code: 'ENOENT', message: /READ \/a\/b/ });
});

t.test('operations on domains', async (t) => {
  const { client, lab } = setUp();
  lab.hostDomains.set(5, '1');
  lab.hostDomains.set(6, '2');
  t.equal(await client.isDomainIntroduced(5), false);
  await client.introduce(5, 1, 9);
  await client.introduce(6, 1, 9);
  t.equal(await client.isDomainIntroduced(5), true);
  t.equal(await client.getDomainPath(5), '/local/domain/5');
  await client.setTarget(5, 6);
  await client.resume(5);
  await client.release(5);
  t.equal(await client.control('check'), 'OK');
  await t.rejects(client.release(5), { code: 'ENOENT' });
});

t.test('a directory that changes between its parts is read anew', async (t) => {
  const { client, lab, channel } = setUp();
  const names = Array.from({ length: 400 }, (_, index) => `a-name-of-some-length-${index}`);
  for (const name of names) lab.expectOk('dom0', 'MKDIR', `/big/${name}|`);
  let parts = 0;
  const { send } = channel;
  channel.send = (message) => {
    if (message.type === 22 && ++parts === 2) lab.expectOk('dom0', 'MKDIR', '/big/late|');
    send(message);
  };
  t.same(await client.directory('/big'), [...names, 'late']);
});

t.test('a transaction is repeated until it commits, and aborted when its body fails', async (t) => {
  const { client, lab } = setUp();
  await client.write('/n', '1');
  let runs = 0;
  await client.transaction(async (tx) => {
    const value = Number(await tx.read('/n'));
    if (++runs < 3) lab.expectOk('dom0', 'WRITE', `/n|${value + 10}`);
    await tx.write('/n', String(value + 1));
  });
  t.equal(runs, 3);
  t.equal(await client.read('/n'), '22');
  await t.rejects(
    client.transactionOnce(async (tx) => {
      await tx.write('/n', 'never');
      throw new Error('changed my mind');
    }),
    /changed my mind/,
  );
  t.equal(await client.read('/n'), '22');
  t.same(lab.store.audit(), [], 'no transaction stays open');
});

t.test('transactionOnce tells of a conflict', async (t) => {
  const { client, lab } = setUp();
  await t.rejects(
    client.transactionOnce(async (tx) => {
      await tx.write('/n', '1');
      lab.expectOk('dom0', 'WRITE', '/n|2');
    }),
    { code: 'EAGAIN' },
  );
});

t.test('watches hear from their first event until they are taken back', async (t) => {
  const { client, lab } = setUp();
  const heard: string[] = [];
  await client.watch('/w', 'token', (path) => heard.push(path));
  await client.watch('/w/other', 'token', (path) => heard.push(`other ${path}`));
  await client.read('/');
  t.same(
    heard,
    ['/w', 'other /w/other', '/w/other'].sort().reverse().sort(),
    'one first event each, told to all it can mean',
  );
  heard.length = 0;
  await client.write('/w/x', '1');
  t.same(heard, ['/w/x']);
  await t.rejects(
    client.watch('/w', 'token', () => {}),
    { code: 'EEXIST' },
  );
  await client.unwatch('/w', 'token');
  await client.write('/w/x', '2');
  t.same(heard, ['/w/x']);
  t.same(lab.store.audit().length, 1);
  await client.resetWatches();
  t.same(lab.store.audit(), []);
});

t.test('a lost transport fails what is under way and all that follows', async (t) => {
  const { client, channel } = setUp();
  const reading = client.read('/tool');
  channel.breakDown(new PeerDiedError('xenstored'));
  await t.rejects(reading, { name: 'PeerDiedError' });
  await t.rejects(client.read('/tool'), { name: 'PeerDiedError' });
});

t.test('a listing whose last name lacks its NUL keeps that name', async (t) => {
  let deliver: Parameters<StoreChannel['onMessage']>[0] = () => {};
  const client = new ChannelStoreClient({
    send: ({ type, reqId }) => deliver({ type, reqId, txId: 0, payload: 'one\0two' }),
    onMessage: (action) => {
      deliver = action;
    },
    onLost: () => {},
    close: () => {},
  });
  t.same(await client.directory('/x'), ['one', 'two']);
});

t.test('a reply that is not due ends the client', async (t) => {
  const { client, channel } = setUp();
  let deliver: Parameters<typeof channel.onMessage>[0] = () => {};
  const odd = new ChannelStoreClient({
    send: () => deliver({ type: 2, reqId: 999, txId: 0, payload: '' }),
    onMessage: (action) => {
      deliver = action;
    },
    onLost: () => {},
    close: () => {},
  });
  await t.rejects(odd.read('/x'), { code: 'unexpected-reply' });
  client.close();
});

t.test('every request, reply and event is a point, with the whole path', async (t) => {
  const steps: string[] = [];
  const { client } = setUp({ ...NO_PROBE, at: ({ name }, label) => steps.push(`${name} ${label}`) });
  await client.watch('/d/state', 'w', () => {});
  await client.write('/d/state', '3');
  await client.read('/d/state');
  t.same(steps, [
    'store.request watch /d/state',
    'store.reply watch /d/state',
    'store.event /d/state',
    'store.request write /d/state=3',
    'store.event /d/state',
    'store.reply write /d/state=3',
    'store.request read /d/state',
    'store.reply read /d/state',
  ]);
});
