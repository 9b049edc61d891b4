// A client whose server is replaced under it, again and again.
import fc from 'fast-check';
import t from 'tap';
import { PeerDiedError } from '../../../lib/core/errors.js';
import { ChannelStoreClient } from '../../../lib/xenstore/client.js';
import { ReconnectingChannel } from '../../../lib/xenstore/reconnecting-channel.js';
import { type LocalChannel, localChannel } from '../../../testkit/store-channel.js';
import { StoreLab } from '../../../testkit/store-lab.js';

/** One store whose transport breaks on demand: what a killed server with its journal is to a client. */
class Lives {
  readonly lab = new StoreLab();
  current: LocalChannel | undefined;
  connections = 0;
  /** Set: the next server is made to wait for it. */
  hold: Promise<void> | undefined;

  async connect(): Promise<LocalChannel> {
    await this.hold;
    this.connections++;
    this.current = localChannel(this.lab.store, `life-${this.connections}`);
    return this.current;
  }

  end(): void {
    const { current } = this;
    this.current = undefined;
    current?.breakDown(new PeerDiedError('xenstored'));
  }
}

function setUp(): { lives: Lives; client: ChannelStoreClient } {
  const lives = new Lives();
  return { lives, client: new ChannelStoreClient(new ReconnectingChannel(() => lives.connect())) };
}

t.test('requests wait for the first server, and for the next', async (t) => {
  const { lives, client } = setUp();
  await client.write('/a', '1');
  let go: () => void = () => {};
  lives.hold = new Promise((resolve) => {
    go = resolve;
  });
  const underWay = client.write('/a', '2');
  lives.end();
  const later = client.read('/a');
  go();
  await underWay;
  t.equal(await later, '2');
  t.equal(lives.connections, 2);
});

t.test('watches are registered anew, in order, and fire once more', async (t) => {
  const { lives, client } = setUp();
  const heard: string[] = [];
  await client.watch('/a', 'one', (path) => heard.push(`one ${path}`));
  await client.watch('/b', 'two', (path) => heard.push(`two ${path}`));
  await client.watch('/c', 'gone', (path) => heard.push(`gone ${path}`));
  await client.unwatch('/c', 'gone');
  await client.read('/');
  heard.length = 0;
  lives.end();
  await client.write('/b/x', '1');
  await client.read('/');
  t.same(heard, ['one /a', 'two /b', 'two /b/x']);
  t.same(
    lives.lab.store.audit().map(({ name }) => name),
    ['life-2 /a one', 'life-2 /b two'],
  );
  await client.unwatch('/a', 'one');
  await client.resetWatches();
  lives.end();
  await client.read('/');
  t.same(lives.lab.store.audit(), []);
});

t.test('open transactions are to be repeated, also when ids meet again', async (t) => {
  const { lives, client } = setUp();
  await client.write('/n', '1');
  let runs = 0;
  await client.transaction(async (tx) => {
    const value = Number(await tx.read('/n'));
    if (++runs === 1) lives.end();
    await tx.write('/n', String(value + 1));
  });
  t.equal(runs, 2);
  t.equal(await client.read('/n'), '2');
  // A transaction of the next server has the number that the lost one had: they are not mixed up.
  await t.rejects(
    client.transactionOnce(async (old) => {
      await old.read('/n');
      lives.end();
      await client.transactionOnce(async (fresh) => {
        await fresh.write('/n', '3');
        await t.rejects(old.write('/n', 'never'), { code: 'EAGAIN' });
      });
      throw new Error('enough');
    }),
    /enough/,
    'and aborting the lost one is no failure',
  );
  t.equal(await client.read('/n'), '3');
  t.same(lives.lab.store.audit(), []);
});

t.test('a release that was done and not acknowledged counts', async (t) => {
  const { lives, client } = setUp();
  lives.lab.hostDomains.set(5, '1');
  await client.introduce(5, 1, 1);
  const releasing = client.release(5);
  await null;
  lives.end(); // the store has done it; its answer is lost
  await releasing;
  t.equal(await client.isDomainIntroduced(5), false);
  await t.rejects(client.release(5), { code: 'ENOENT' }, 'asked once, it is an error as ever');
});

t.test('when there is no next server, all fail', async (t) => {
  const client = new ChannelStoreClient(new ReconnectingChannel(() => Promise.reject(new PeerDiedError('xenstored'))));
  await t.rejects(client.read('/'), { name: 'PeerDiedError' });
});

t.test('nothing acknowledged is lost, nothing answered twice, wherever the server ends', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 40 }), async (steps) => {
      const { lives, client } = setUp();
      const values = new Map<string, number>();
      const waiting: Promise<void>[] = [];
      for (const [index, step] of steps.entries()) {
        if (step < 2) lives.end();
        else if (step < 4) await client.read('/');
        else {
          const key = `/k${step}`;
          values.set(key, index);
          waiting.push(client.write(key, String(index)));
        }
      }
      await Promise.all(waiting);
      for (const [key, value] of values) {
        if ((await client.read(key)) !== String(value)) throw new Error(`${key} lost ${value}`);
      }
    }),
    { numRuns: 100 },
  );
});
