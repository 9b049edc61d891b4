// Killed in the middle of many streams of writes, xenstored comes back with everything it acknowledged.
// XENWIRE_XS_STREAMS and XENWIRE_XS_KILLS make it longer; XENWIRE_XS_FIRST, the first kill's seed, goes on
// elsewhere (TAP_TIMEOUT=0 lets it take its time).
import { join } from 'node:path';
import t from 'tap';
import { PeerDiedError } from '../../lib/core/errors.js';
import { NO_LOG } from '../../lib/core/log.js';
import { NO_PROBE } from '../../lib/core/probe.js';
import { XS } from '../../lib/layout/xs-wire.js';
import { ZmqBusClient } from '../../lib/node/bus/client.js';
import { lastingStoreClient } from '../../lib/xenstore/bus-client.js';
import { startNode, temporaryRunDir } from '../../testkit/processes.js';
import { Random } from '../peers/diff/random.js';
import { XsSocket } from '../peers/xs-socket.js';

const MAIN = new URL('../../services/xenstored/main.js', import.meta.url);
const STREAMS = Number(process.env['XENWIRE_XS_STREAMS'] ?? 100);
const KILLS = Number(process.env['XENWIRE_XS_KILLS'] ?? 3);
const FIRST = Number(process.env['XENWIRE_XS_FIRST'] ?? 1);
/** Requests of one stream on their way at once. */
const AHEAD = 8;
const NAMES = ['a', 'b', 'c', 'd', 'e'] as const;
const VALUE_MAX = 300;

/** What a stream's keys hold, by name. */
type Held = ReadonlyMap<string, string>;

/** One client's own part of the store: what it held after each step, and how many steps were acknowledged. */
class Stream {
  readonly path: string;
  /** After 0, 1, 2 ... steps: how far those that were sent go. */
  readonly states: Held[] = [new Map()];
  acknowledged = 0;
  readonly #random: Random;
  readonly #client: XsSocket;
  readonly #onAcknowledged: () => void;
  #reqId = 0;

  private constructor(path: string, random: Random, client: XsSocket, onAcknowledged: () => void) {
    this.path = path;
    this.#random = random;
    this.#client = client;
    this.#onAcknowledged = onAcknowledged;
  }

  /** Changes nodes at random until the server is gone: some ahead of their acknowledgements, or in transactions. */
  static async run(path: string, seed: number, socket: string, onAcknowledged: () => void): Promise<Stream> {
    const random = new Random(seed);
    const stream = new Stream(path, random, await XsSocket.open(socket), onAcknowledged);
    await (random.chance(30) ? stream.#inTransactions() : stream.#ahead());
    stream.#client.close();
    return stream;
  }

  #send(type: number, text: string, txId = 0): number {
    this.#client.send({ type, reqId: ++this.#reqId, txId, payload: text });
    return this.#reqId;
  }

  /** The reply's payload; undefined once the server is gone. */
  async #answer(reqId: number): Promise<string | undefined> {
    const reply = (await this.#client.until(reqId)).at(-1);
    if (reply?.type === XS.XS_ERROR) throw new Error(`${this.path} was answered ${reply.payload}`);
    return reply?.payload;
  }

  #acknowledge(): void {
    this.acknowledged++;
    this.#onAcknowledged();
  }

  /** Sends one change of `held`. Returns the request's id. */
  #change(held: Map<string, string>, txId = 0): number {
    const name = this.#random.pick(NAMES);
    // Its own directory must be there before anything can be removed from it.
    if (held.size > 0 && this.#random.chance(20)) {
      held.delete(name);
      return this.#send(XS.XS_RM, `${this.path}/${name}\0`, txId);
    }
    const value = `${this.#reqId} ${'v'.repeat(this.#random.below(VALUE_MAX))}`;
    held.set(name, value);
    return this.#send(XS.XS_WRITE, `${this.path}/${name}\0${value}`, txId);
  }

  async #ahead(): Promise<void> {
    const step = (): number => {
      const held = new Map(this.states.at(-1));
      this.states.push(held);
      return this.#change(held);
    };
    const sent = Array.from({ length: AHEAD }, step);
    for (let next = sent.shift(); next !== undefined; next = sent.shift()) {
      if ((await this.#answer(next)) === undefined) return;
      this.#acknowledge();
      sent.push(step());
    }
  }

  async #inTransactions(): Promise<void> {
    for (;;) {
      const id = await this.#answer(this.#send(XS.XS_TRANSACTION_START, '\0'));
      if (id === undefined) return;
      const txId = Number.parseInt(id, 10);
      const held = new Map(this.states.at(-1));
      for (let count = this.#random.between(1, 4); count > 0; count--) this.#change(held, txId);
      this.states.push(held);
      const end = this.#send(XS.XS_TRANSACTION_END, 'T\0', txId);
      const reply = (await this.#client.until(end)).at(-1);
      if (reply === undefined) return;
      // The first of a stream makes its directory, in the list that all streams share: one of them may have been first.
      // Nothing of such a transaction may be there afterwards.
      if (reply.type === XS.XS_ERROR && reply.payload === 'EAGAIN\0') this.states.pop();
      else if (reply.type === XS.XS_ERROR) throw new Error(`${this.path} was answered ${reply.payload}`);
      else this.#acknowledge();
    }
  }

  /** Whether what is there now is what was there after some step, and none that was acknowledged is missing. */
  async isKept(client: XsSocket): Promise<boolean> {
    const ask = async (type: number, path: string): Promise<string> => {
      client.send({ type, reqId: 1, txId: 0, payload: `${path}\0` });
      const reply = (await client.until(1)).at(-1);
      return reply?.type === type ? reply.payload : '';
    };
    const held = new Map<string, string>();
    for (const name of (await ask(XS.XS_DIRECTORY, this.path)).split('\0')) {
      if (name !== '') held.set(name, await ask(XS.XS_READ, `${this.path}/${name}`));
    }
    const same = (state: Held): boolean =>
      state.size === held.size && [...state].every(([name, value]) => held.get(name) === value);
    return this.states.slice(this.acknowledged).some(same);
  }
}

const LAST = FIRST + KILLS - 1;
t.test(`kills ${FIRST} to ${LAST}, each amid ${STREAMS} streams, lose nothing acknowledged`, async (t) => {
  t.setTimeout(30_000 + KILLS * (1000 + STREAMS * 50));
  const runDir = temporaryRunDir(t);
  const socket = join(runDir, 'xenstored.socket');
  const start = async () => {
    const server = startNode(t, MAIN, ['--alone', '--run-dir', runDir]);
    await server.logged(/"ready"/);
    return server;
  };
  let server = await start();
  let total = 0;
  for (let round = FIRST; round <= LAST; round++) {
    let acknowledged = 0;
    // Somewhere in the middle, another place each time.
    const killAt = STREAMS * new Random(round).between(3, 30);
    const streams = await Promise.all(
      Array.from({ length: STREAMS }, (_, index) =>
        Stream.run(`/streams/${round}/${index}`, round * STREAMS + index, socket, () => {
          if (++acknowledged === killAt) server.child.kill('SIGKILL');
        }),
      ),
    );
    t.equal(await server.ended(), 'SIGKILL');
    server = await start();
    const client = await XsSocket.open(socket);
    let lost = 0;
    for (const stream of streams) if (!(await stream.isKept(client))) lost++;
    client.send({ type: XS.XS_CONTROL, reqId: 1, txId: 0, payload: 'check\0' });
    t.equal((await client.until(1)).at(-1)?.payload, 'OK\0');
    client.close();
    t.equal(lost, 0, `kill ${round}: ${acknowledged} acknowledged`);
    total += acknowledged;
  }
  t.comment(`${KILLS * STREAMS} streams, ${total} acknowledged steps`);
});

t.test('clients on the bus go on with the next xenstored', async (t) => {
  const runDir = temporaryRunDir(t);
  const start = () => startNode(t, MAIN, ['--alone', '--run-dir', runDir]);
  let server = start();
  const ending = new AbortController();
  const client = lastingStoreClient(async () => {
    const bus = await ZmqBusClient.connect({
      runDir,
      server: 'xenstored',
      name: 'lasting',
      incarnation: Date.now() * 4096,
      token: async () => '',
      log: NO_LOG,
      probe: NO_PROBE,
      onActivity: () => {},
      signal: ending.signal,
    });
    if (bus === undefined) throw new PeerDiedError('xenstored');
    return bus;
  });
  t.teardown(() => {
    ending.abort();
    client.close();
  });
  let events = 0;
  await client.watch('/w', 'token', () => events++);
  for (let life = 0; life < 3; life++) {
    await client.write(`/w/${life}`, 'before');
    const writing = Array.from({ length: 50 }, (_, index) => client.write(`/many/${index}`, String(life)));
    let runs = 0;
    const counted = client.transaction(async (tx) => {
      const count = Number(await tx.read('/count').catch(() => '0'));
      if (++runs === 1) {
        server.child.kill('SIGKILL');
        await server.ended();
        server = start();
      }
      await tx.write('/count', String(count + 1));
    });
    await Promise.all([...writing, counted]);
    t.equal(await client.read('/count'), String(life + 1));
    for (let index = 0; index < 50; index++) t.equal(await client.read(`/many/${index}`), String(life));
    const before = events;
    await client.write('/w/after', String(life));
    await client.read('/');
    t.ok(events > before, 'the watch lives on');
  }
});
