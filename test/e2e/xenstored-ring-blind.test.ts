// Guests on ring pages that know messages only, as Linux's xenbus does: they never look at the error word and ask for no new
// connection. Their xenstored is killed amid messages that no ring holds at once: each request is answered once, no header
// is broken, no event of an acknowledged write is missing, and nothing is done twice.
// XENWIRE_XS_BLIND_KILLS makes it longer (TAP_TIMEOUT=0 lets it take its time).
import t from 'tap';
import { assert } from '../../lib/core/errors.js';
import { XENSTORE_ERROR_NONE } from '../../lib/layout/xs-ring.js';
import { XENSTORE_PAYLOAD_MAX, XS, type XsMessage } from '../../lib/layout/xs-wire.js';
import { withDeadline } from '../../lib/node/process/wait.js';
import { busStoreClient, lastingStoreClient } from '../../lib/xenstore/bus-client.js';
import { encodeMessage, MessageReader } from '../../lib/xenstore/framing.js';
import type { RingStoreChannel } from '../../lib/xenstore/ring-client.js';
import type { RingEnd } from '../../lib/xenstore/ring-stream.js';
import { longTest, tries } from '../../testkit/tier.js';
import { RingLab } from '../fixtures/ring-lab.js';
import { Random } from '../peers/diff/random.js';

const SOON_MS = 5000;
const KILLS = Number(process.env['XENWIRE_XS_BLIND_KILLS'] ?? tries(5, 50));
/** Twice what a ring holds; a node's quota ends at 2023. */
const VALUE_BYTES_MAX = 2000;

/** Every reply must be one that is waited for, and every header one that xenstored sends. */
class BlindGuest {
  readonly events = new Set<string>();
  answered = 0;
  onAnswer = (): void => {};
  #ring: RingEnd | undefined;
  #notify = (): void => {};
  #unsent = new Uint8Array(0);
  #reqId = 0;
  readonly #reader = new MessageReader();
  readonly #asked = new Map<number, { readonly type: number; readonly answer: (message: XsMessage) => void }>();

  channel(ring: RingEnd, notify: () => void): RingStoreChannel {
    this.#ring = ring;
    this.#notify = notify;
    const unused = (): void => {};
    return { send: unused, onMessage: unused, onLost: unused, close: unused, poll: () => this.#poll(ring) };
  }

  #poll(ring: RingEnd): void {
    for (let count = -1; count !== 0 && this.#unsent.length > 0; ) {
      count = ring.write(this.#unsent);
      this.#unsent = this.#unsent.subarray(count);
      if (count > 0) this.#notify();
    }
    const chunk = ring.read();
    if (chunk.length === 0) return;
    this.#notify();
    this.#reader.push(chunk, (message) => this.#take(message));
  }

  #take(message: XsMessage): void {
    if (message.type === XS.XS_WATCH_EVENT) {
      this.events.add(message.payload.split('\0', 1)[0] as string);
      return;
    }
    const asked = this.#asked.get(message.reqId);
    assert(asked !== undefined, `a second answer, or a broken header: ${message.type} to ${message.reqId}`);
    assert(message.type === asked.type || message.type === XS.XS_ERROR, `type ${message.type} for ${asked.type}`);
    this.#asked.delete(message.reqId);
    this.answered++;
    asked.answer(message);
    this.onAnswer();
  }

  /** The reply's payload; an error's name begins with E. */
  ask(type: number, payload: string, txId = 0): Promise<string> {
    assert(payload.length <= XENSTORE_PAYLOAD_MAX, 'a request that may be asked');
    const reqId = ++this.#reqId;
    const bytes = encodeMessage({ type, reqId, txId, payload });
    const unsent = new Uint8Array(this.#unsent.length + bytes.length);
    unsent.set(this.#unsent);
    unsent.set(bytes, this.#unsent.length);
    this.#unsent = unsent;
    return new Promise((resolve) => {
      this.#asked.set(reqId, { type, answer: ({ payload: text }) => resolve(text) });
    });
  }

  get error(): number {
    return this.#ring?.error ?? XENSTORE_ERROR_NONE;
  }
}

/** What one guest does until it is told to stop, three things at once. Throws at the first answer that is not right. */
class Load {
  committed = 0;
  stopped = false;
  readonly #guest: BlindGuest;
  readonly #random: Random;

  constructor(guest: BlindGuest, seed: number) {
    this.#guest = guest;
    this.#random = new Random(seed);
  }

  async run(): Promise<void> {
    await this.#ok(XS.XS_WATCH, 'data/told\0told\0');
    await this.#ok(XS.XS_WRITE, 'data/count\x000');
    await Promise.all([this.#values('a'), this.#values('b'), this.#watches(), this.#counts()]);
  }

  async #ok(type: number, payload: string, txId = 0): Promise<void> {
    const reply = await this.#guest.ask(type, payload, txId);
    assert(reply === 'OK\0', `${type} ${payload.slice(0, 30)} was answered ${reply.slice(0, 30)}`);
  }

  async #values(name: string): Promise<void> {
    for (let turn = 0; !this.stopped; turn++) {
      const value = `${turn} `.padEnd(this.#random.between(1, VALUE_BYTES_MAX), name);
      // The second is asked ahead of the first's answer.
      const written = this.#ok(XS.XS_WRITE, `data/${name}\0${value}`);
      const read = await this.#guest.ask(XS.XS_READ, `data/${name}\0`);
      await written;
      assert(read === value, `${name}: ${read.slice(0, 20)} was read for ${value.slice(0, 20)}`);
    }
  }

  /** A watch made twice answers EEXIST, one removed twice ENOENT. */
  async #watches(): Promise<void> {
    for (let turn = 0; !this.stopped; turn++) {
      await this.#ok(XS.XS_WATCH, `data/none\0${turn}\0`);
      await this.#ok(XS.XS_UNWATCH, `data/none\0${turn}\0`);
    }
  }

  async #counts(): Promise<void> {
    while (!this.stopped) {
      const txId = Number.parseInt(await this.#guest.ask(XS.XS_TRANSACTION_START, '\0'), 10);
      const count = Number(await this.#guest.ask(XS.XS_READ, 'data/count\0', txId));
      await this.#ok(XS.XS_WRITE, `data/count\0${count + 1}`, txId);
      const ended = await this.#guest.ask(XS.XS_TRANSACTION_END, 'T\0', txId);
      if (ended === 'OK\0') this.committed++;
      else assert(ended === 'EAGAIN\0', `the end of a transaction was answered ${ended}`);
    }
  }
}

t.test(`${KILLS} kills amid messages, and two guests that look at none of it`, longTest(), async (t) => {
  t.setTimeout(30_000 + KILLS * 2000);
  const lab = new RingLab(t);
  const loads: { readonly domid: number; readonly guest: BlindGuest; readonly load: Load }[] = [];
  let wake = (): void => {};
  for (const seed of [1, 2]) {
    const guest = new BlindGuest();
    guest.onAnswer = () => wake();
    const { domid } = await lab.guest(`blind-${seed}`, (ring, notify) => guest.channel(ring, notify));
    loads.push({ domid, guest, load: new Load(guest, seed) });
  }
  const ending = new AbortController();
  const dom0 = lastingStoreClient(() => lab.connect('xenstored', undefined, ending.signal));
  t.teardown(() => {
    ending.abort();
    dom0.close();
  });
  let told = 0;
  let stopped = false;
  const telling = async (): Promise<void> => {
    for (; !stopped; told++) {
      for (const { domid } of loads) await dom0.write(`/local/domain/${domid}/data/told/${told}`, 'x');
    }
  };
  const running = Promise.all([telling(), ...loads.map(({ load }) => load.run())]);
  /** Each guest was answered so many times more. */
  const goneOn = async (more: number): Promise<void> => {
    const from = loads.map(({ guest }) => guest.answered);
    while (!loads.every(({ guest }, index) => guest.answered >= from[index]! + more)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const random = new Random(KILLS);
  for (let kill = 1; kill <= KILLS; kill++) {
    await withDeadline(Promise.race([running, goneOn(random.between(1, 60))]), SOON_MS, `the load before kill ${kill}`);
    await lab.kill();
    lab.start();
  }
  await withDeadline(Promise.race([running, goneOn(100)]), SOON_MS, 'the load after the last kill');
  stopped = true;
  for (const { load } of loads) load.stopped = true;
  await withDeadline(running, SOON_MS, 'the end of the load');
  for (const { domid, guest, load } of loads) {
    t.equal(Number(await dom0.read(`/local/domain/${domid}/data/count`)), load.committed, 'each commit counted once');
    // The guest hears in order: once it has heard of this one, it has of all.
    await dom0.write(`/local/domain/${domid}/data/told/last`, 'x');
    const heardLast = async (): Promise<void> => {
      while (!guest.events.has('data/told/last')) await guest.ask(XS.XS_READ, 'data/count\0');
    };
    await withDeadline(heardLast(), SOON_MS, 'the event of the last write');
    const missing = Array.from({ length: told }, (_, index) => `data/told/${index}`).filter(
      (path) => !guest.events.has(path),
    );
    t.same(missing, [], `the events of ${told} acknowledged writes`);
    t.equal(guest.error, XENSTORE_ERROR_NONE);
    t.comment(`${guest.answered} answers, ${load.committed} commits`);
  }
  t.equal(await dom0.control('check'), 'OK');
  const { held } = await (await lab.connect('xenstored')).remote('Control').audit({});
  t.same(
    // Guests' connections are restored in the order in which their rings are mapped again, which is open.
    held
      .filter(({ kind }) => kind === 'watch' || kind === 'transaction')
      .map(({ name }) => name)
      .sort(),
    loads.map(({ domid }) => `ring-${domid} /local/domain/${domid}/data/told told`),
  );
});

t.test(
  'one that had nothing under way notices nothing: its watch fires, and it is offered no other connection',
  async (t) => {
    const lab = new RingLab(t);
    const guest = new BlindGuest();
    const { domid, ring } = await lab.guest('idle', (ring, notify) => guest.channel(ring, notify));
    t.equal(await guest.ask(XS.XS_WATCH, 'data\0w\0'), 'OK\0');
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await lab.kill(signal);
      lab.start();
      const dom0 = busStoreClient(await lab.connect('xenstored'));
      await dom0.write(`/local/domain/${domid}/data/${signal}`, 'x');
      t.equal(await withDeadline(guest.ask(XS.XS_READ, `data/${signal}\0`), SOON_MS, 'the next answer'), 'x');
      t.ok(guest.events.has(`data/${signal}`), signal);
      t.equal(guest.error, XENSTORE_ERROR_NONE);
      t.equal(ring.offersReconnect, false);
    }
  },
);
