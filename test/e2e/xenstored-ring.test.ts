// Guests on ring pages whose xenstored is killed, and who wait for each other no longer than they must. Leaves clients that
// know nothing of a server's end, as Linux's, to xenstored-ring-blind.test.ts.
import t from 'tap';
import { ProcessGates } from '../../lab/gates.js';
import { XENSTORE_ERROR_NONE } from '../../lib/layout/xs-ring.js';
import { XS } from '../../lib/layout/xs-wire.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { POINT } from '../../lib/trace/points.js';
import { busStoreClient } from '../../lib/xenstore/bus-client.js';
import { ChannelStoreClient } from '../../lib/xenstore/client.js';
import { lastingRingChannel } from '../../lib/xenstore/ring-lasting.js';
import { longTest } from '../../testkit/tier.js';
import { RingLab } from '../fixtures/ring-lab.js';
import { Random } from '../peers/diff/random.js';

const LIVES = 4;
const SOON_MS = 5000;
const WRITES = 200;
/** XENWIRE_XS_RING_KILLS makes it longer. */
const KILLS = Number(process.env['XENWIRE_XS_RING_KILLS'] ?? 5);
/** Twice what a ring holds; a node's quota ends at 2023. */
const VALUE_BYTES_MAX = 2000;
/** The default limit of a guest's requests under way. */
const OUTSTANDING = 20;

t.test('our client on its ring goes on with the next xenstored, and the one after', longTest(), async (t) => {
  const lab = new RingLab(t);
  const { domid, channel, ring } = await lab.guest('lasting', lastingRingChannel);
  const store = new ChannelStoreClient(channel);
  let events = 0;
  let heard = (): void => {};
  await store.watch('data', 'w', () => {
    events++;
    heard();
  });
  for (let life = 0; life < LIVES; life++) {
    // Some asked before the kill, some while no xenstored is there; large enough to be cut by it.
    const writes = Array.from({ length: 40 }, (_, index) => store.write(`data/${index}`, `${life}`.repeat(300)));
    let runs = 0;
    const counted = store.transaction(async (tx) => {
      const count = Number(await tx.read('data/count').catch(() => '0'));
      if (++runs === 1) {
        await lab.kill();
        lab.start();
      }
      await tx.write('data/count', String(count + 1));
    });
    const more = Array.from({ length: 40 }, (_, index) => store.write(`data/${100 + index}`, String(life)));
    await withDeadline(Promise.all([...writes, ...more, counted]), SOON_MS, 'what was asked around the kill');
    t.equal(runs, 2, 'the transaction that the kill ended ran again');
    t.equal(await store.read('data/count'), String(life + 1));
    for (const index of [0, 39, 100, 139]) {
      t.match(await store.read(`data/${index}`), new RegExp(`^${life}+$`), `life ${life}, ${index}`);
    }
    t.equal(ring.error, XENSTORE_ERROR_NONE);
    const dom0Bus = await lab.connect('xenstored');
    const { held } = await dom0Bus.remote('Control').audit({});
    const own = held.filter(({ kind }) => kind === 'watch' || kind === 'transaction').map(({ name }) => name);
    t.same(own, [`ring-${domid} /local/domain/${domid}/data w`], 'its watch is there, once, and nothing else');
    const before = events;
    const next = new Promise<void>((resolve) => {
      heard = resolve;
    });
    await busStoreClient(dom0Bus).write(`/local/domain/${domid}/data/told`, String(life));
    await withDeadline(next, SOON_MS, 'an event of the next life');
    t.ok(events > before);
  }
});

t.test('a guest waits for one that takes no events, other guests do not, and it goes on by itself', async (t) => {
  const lab = new RingLab(t);
  const writer = await lab.guest('writer', lastingRingChannel);
  let asleep = false;
  const reader = await lab.guest('reader', (ring, notify) => {
    const channel = lastingRingChannel(ring, notify);
    return { ...channel, poll: () => asleep || channel.poll() };
  });
  const dom0 = busStoreClient(await lab.connect('xenstored'));
  const data = `/local/domain/${writer.domid}/data`;
  await dom0.setPerms(data, [`n${writer.domid}`, `r${reader.domid}`]);
  let events = 0;
  let last = (): void => {};
  await new ChannelStoreClient(reader.channel).watch(data, 'w', (path) => {
    events++;
    if (path === `${data}/${WRITES - 1}`) last();
  });
  const heardLast = new Promise<void>((resolve) => {
    last = resolve;
  });
  asleep = true;
  const store = new ChannelStoreClient(writer.channel);
  let written = 0;
  const writes = Array.from({ length: WRITES }, async (_, index) => {
    await store.write(`data/${index}`, 'v');
    written++;
  });
  // What the other's ring and the limit of requests under way hold together, and dom0 meanwhile.
  for (let turns = 0; turns < WRITES; turns++) await dom0.write('/turn', String(turns));
  t.ok(written >= OUTSTANDING && written < WRITES / 2, `${written} written`);
  asleep = false;
  await withDeadline(Promise.all([...writes, heardLast]), SOON_MS, 'the rest');
  t.ok(events > WRITES, 'all of them, and the first');
});

t.test('a domain that is destroyed while xenstored maps its page takes nothing with it', async (t) => {
  const lab = new RingLab(t);
  const toolstack = (await lab.connect('hypervisor')).remote('Hypervisor');
  const dom0 = busStoreClient(await lab.connect('xenstored'));
  const { domid, channel } = await lab.guest('goes', lastingRingChannel);
  const gates = await ProcessGates.open(lab.runDir, 'xenstored', SOON_MS);
  t.teardown(() => gates.close());
  gates.arm({ point: POINT['bus.answered'], label: 'Hypervisor.gntdev_map', occurrence: 0 });
  channel.send({ type: XS.XS_READ, reqId: 1, txId: 0, payload: 'data\0' });
  const gate = await gates.standing(SOON_MS);
  await toolstack.domctl_destroy({ domid });
  await gates.letGo(gate, SOON_MS);
  // It is served on; and the domain can go, because its page is given back.
  await withDeadline(dom0.write('/after', '1'), SOON_MS, 'xenstored after the domain');
  const gone = async (): Promise<void> => {
    for (;;) {
      const { domains } = await toolstack.domctl_getdomaininfolist({});
      const introduced = await dom0.isDomainIntroduced(domid);
      if (!introduced && domains.every((domain) => domain.domid !== domid)) return;
    }
  };
  await withDeadline(gone(), SOON_MS, 'the end of the domain');
  t.same((await dom0.directory('/local/domain')).includes(String(domid)), true, "dom0's own node stays");
});

/** Writes values that no ring holds at once and reads them back, counts in transactions, and hears of it, until told to stop. */
class Load {
  /** Transactions that were answered OK. */
  committed = 0;
  done = 0;
  events = 0;
  stopped = false;
  readonly #store: ChannelStoreClient;
  readonly #random: Random;
  readonly #onDone: () => void;

  constructor(store: ChannelStoreClient, seed: number, onDone: () => void) {
    this.#store = store;
    this.#random = new Random(seed);
    this.#onDone = onDone;
  }

  async run(): Promise<void> {
    await this.#store.watch('data', 'load', () => this.events++);
    await this.#store.write('data/count', '0');
    await Promise.all([this.#values('a'), this.#values('b'), this.#counts()]);
  }

  async #values(name: string): Promise<void> {
    for (let turn = 0; !this.stopped; turn++) {
      const value = `${turn} `.padEnd(this.#random.between(1, VALUE_BYTES_MAX), name);
      await this.#store.write(`data/${name}`, value);
      const read = await this.#store.read(`data/${name}`);
      if (read !== value) throw new Error(`${name}: ${read.slice(0, 20)} was read for ${value.slice(0, 20)}`);
      this.#finished();
    }
  }

  async #counts(): Promise<void> {
    while (!this.stopped) {
      await this.#store.transaction(async (tx) => {
        const count = Number(await tx.read('data/count'));
        await tx.write('data/count', String(count + 1));
      });
      this.committed++;
      this.#finished();
    }
  }

  #finished(): void {
    this.done++;
    this.#onDone();
  }
}

t.test(`${KILLS} kills amid messages: every guest on its ring has each of its requests answered`, async (t) => {
  t.setTimeout(30_000 + KILLS * 1000);
  const lab = new RingLab(t);
  const loads: Load[] = [];
  let wake = (): void => {};
  for (const seed of [1, 2]) {
    const { channel } = await lab.guest(`busy-${seed}`, lastingRingChannel);
    loads.push(new Load(new ChannelStoreClient(channel), seed, () => wake()));
  }
  const running = Promise.all(loads.map((load) => load.run()));
  const random = new Random(KILLS);
  /** Each of them did so much more. */
  const goneOn = async (more: number): Promise<void> => {
    const from = loads.map(({ done }) => done);
    while (!loads.every(({ done }, index) => done >= from[index]! + more)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  for (let kill = 1; kill <= KILLS; kill++) {
    await withDeadline(Promise.race([running, goneOn(random.between(1, 20))]), SOON_MS, `the load before kill ${kill}`);
    await lab.kill();
    lab.start();
  }
  await withDeadline(Promise.race([running, goneOn(20)]), SOON_MS, 'the load after the last');
  for (const load of loads) load.stopped = true;
  await withDeadline(running, SOON_MS, 'the end of the load');
  const dom0 = busStoreClient(await lab.connect('xenstored'));
  for (const [index, load] of loads.entries()) {
    const [domid] = (await dom0.directory('/local/domain')).slice(index);
    const count = Number(await dom0.read(`/local/domain/${domid}/data/count`));
    // A commit whose answer went down with the server is repeated, as one of Linux would be.
    t.ok(count >= load.committed && count <= load.committed + KILLS, `${count} counted, ${load.committed} answered`);
    t.ok(load.events > load.committed, `${load.events} events`);
  }
  t.equal(await dom0.control('check'), 'OK');
  const held = (await (await lab.connect('xenstored')).remote('Control').audit({})).held;
  t.equal(held.filter(({ kind }) => kind === 'store-page').length, 2, 'a page of each guest');
  t.equal(held.filter(({ kind }) => kind === 'store-port').length, 2, 'a port of each guest');
  t.equal(held.filter(({ kind }) => kind === 'watch').length, 2, 'a watch each, and no more');
  t.equal(held.filter(({ kind }) => kind === 'transaction').length, 0);
});
