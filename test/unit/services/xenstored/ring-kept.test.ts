// A server of a guest's ring that is killed at each place where something leaves it: the guest hears what it would have heard.
import fc from 'fast-check';
import t from 'tap';
import { latin1Text } from '../../../../lib/core/bytes.js';
import { XENSTORE_ERROR_COMM, XENSTORE_ERROR_NONE } from '../../../../lib/layout/xs-ring.js';
import { XS, type XsMessage } from '../../../../lib/layout/xs-wire.js';
import { encodeMessage, MessageReader } from '../../../../lib/xenstore/framing.js';
import { RingEnd } from '../../../../lib/xenstore/ring-stream.js';
import { COMPAT } from '../../../../services/xenstored/compat.js';
import type { Journal } from '../../../../services/xenstored/journal.js';
import {
  domainRecord,
  goneRecord,
  limitsRecord,
  nodeRecord,
  Restorer,
  removedRecord,
} from '../../../../services/xenstored/journal-records.js';
import {
  applyRingChange,
  changesOf,
  type KeptRing,
  type RingChange,
} from '../../../../services/xenstored/ring-kept.js';
import { parseRingRecord, ringRecord } from '../../../../services/xenstored/ring-records.js';
import { resumeKept } from '../../../../services/xenstored/ring-resume.js';
import { RingSession } from '../../../../services/xenstored/ring-session.js';
import { formatMessage, StoreLab } from '../../../../testkit/store-lab.js';

const DOMID = 5;

class Killed extends Error {}

/** The server's end: it may be killed before and after each move of an index. */
class FragileRing extends RingEnd {
  readonly #step: () => void;
  constructor(page: Uint8Array, step: () => void) {
    super(page, 'server');
    this.#step = step;
  }
  override consumeTo(index: number): void {
    this.#step();
    super.consumeTo(index);
    this.#step();
  }
  override write(source: Uint8Array): number {
    this.#step();
    const count = super.write(source);
    this.#step();
    return count;
  }
}

/** What was flushed outlives a server, as the journal's file does. */
class Written {
  readonly records: string[] = [];
  #frame: string[] = [];

  journal(): Journal {
    this.#frame = [];
    const add = (record: string): void => {
      this.#frame.push(record);
    };
    return {
      node: (path, node) => add(node === undefined ? removedRecord(path) : nodeRecord(path, node)),
      domain: (domain) => add(domainRecord(domain)),
      domainGone: (domid) => add(goneRecord(domid)),
      limits: (limits) => add(limitsRecord(limits)),
      ring: (domid, change) => add(ringRecord(domid, change)),
    };
  }
  flush(): void {
    this.records.push(...this.#frame);
    this.#frame = [];
  }
}

/** A guest that knows messages only, and a server that is killed at its `killAt`th step, and those after it every `again`. */
class World {
  readonly page = new Uint8Array(4096);
  readonly ring = new RingEnd(this.page, 'guest');
  readonly written = new Written();
  readonly heard: XsMessage[] = [];
  steps = 0;
  killAt: number;
  lab = new StoreLab(COMPAT['4.22'], false);
  session: RingSession;
  readonly #reader = new MessageReader();

  readonly #again: number;

  constructor(killAt: number, again = Number.POSITIVE_INFINITY) {
    this.#again = again;
    this.killAt = Number.POSITIVE_INFINITY;
    this.lab.store.journal = this.written.journal();
    this.lab.store.plant();
    this.lab.hostDomains.set(DOMID, '1');
    this.lab.expectOk('dom0', 'MKDIR', `/local/domain/${DOMID}|`);
    this.lab.expectOk('dom0', 'SET_PERMS', `/local/domain/${DOMID}|n${DOMID}|`);
    this.lab.expectOk('dom0', 'INTRODUCE', `${DOMID}|1|7|`);
    this.session = this.#serve();
    this.session.begin();
    this.written.flush();
    this.killAt = killAt;
    this.steps = 0;
  }

  #step(): void {
    if (++this.steps < this.killAt) return;
    this.killAt += this.#again;
    throw new Killed();
  }

  #serve(carried?: ReturnType<typeof resumeKept>): RingSession {
    const step = (): void => this.#step();
    const beforeSend = (): void => {
      step();
      this.written.flush();
      step();
    };
    const ring = new FragileRing(this.page, step);
    const options = { store: this.lab.store, ring, notify: () => {}, beforeSend };
    const nothing = (): void => {};
    return new RingSession(DOMID, `ring-${DOMID}`, options, nothing, nothing, carried);
  }

  restart(): void {
    const restorer = new Restorer();
    for (const record of this.written.records) if (!restorer.take(record)) throw new Error(`not ours: ${record}`);
    this.lab = new StoreLab(COMPAT['4.22'], false);
    restorer.restore(this.lab.store);
    this.lab.store.journal = this.written.journal();
    const kept = restorer.rings.get(DOMID);
    if (kept === undefined) throw new Error('nothing is kept of the ring');
    this.session = this.#serve(resumeKept(this.lab.store, DOMID, kept));
    this.session.begin();
  }

  /** True when there may be more to do. */
  #turn(): boolean {
    for (let alive = true; ; alive = false) {
      try {
        if (alive) return this.session.turn();
        this.restart();
        return true;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      }
    }
  }

  exchange(requests: readonly XsMessage[]): void {
    let rest = Buffer.concat(requests.map(encodeMessage)) as Uint8Array;
    for (let moved = true; moved; ) {
      const count = this.ring.write(rest);
      rest = rest.subarray(count);
      const served = this.#turn();
      const chunk = this.ring.read();
      this.#reader.push(chunk, (message) => this.heard.push(message));
      moved = count > 0 || served || chunk.length > 0;
    }
  }
}

const request = (reqId: number, type: number, payload: string, txId = 0): XsMessage => ({
  type,
  reqId,
  txId,
  payload: payload.replaceAll('|', '\0'),
});

const REQUESTS = [
  request(1, XS.XS_WATCH, 'x|token|'),
  request(2, XS.XS_WRITE, `x|${'v'.repeat(1900)}`),
  request(3, XS.XS_READ, 'x|'),
  request(4, XS.XS_WATCH, 'x|token|'),
  request(5, XS.XS_RM, 'x|'),
  request(6, XS.XS_RM, 'nowhere/x|'),
  request(7, XS.XS_UNWATCH, 'x|token|'),
  request(8, XS.XS_UNWATCH, 'x|token|'),
  request(9, XS.XS_WATCH, '/local/domain/5/y|absolute|'),
];
/** With long values told by their length. */
const said = (message: XsMessage): string =>
  `${message.reqId} ${formatMessage(message)}`.replace(/v{9,}/, (value) => `v*${value.length}`);
const transcript = (world: World): string[] => world.heard.map(said);
const isEvent = (message: XsMessage): boolean => message.type === XS.XS_WATCH_EVENT;
const answers = (world: World): string[] => world.heard.filter((message) => !isEvent(message)).map(said);
/** Each kind once: how many merge depends on how soon the guest reads. */
const events = (world: World): string[] => [...new Set(world.heard.filter(isEvent).map(said))];

t.test('killed at any step, a server is followed by one that the guest cannot tell from it', async (t) => {
  const whole = new World(Number.POSITIVE_INFINITY);
  whole.exchange(REQUESTS);
  const expected = answers(whole);
  t.equal(expected.length, REQUESTS.length);
  t.ok(expected.includes('4 ERROR EEXIST|') && expected.includes('8 ERROR ENOENT|'), 'what is done twice shows');
  t.ok(whole.steps > 40, `${whole.steps} steps`);
  for (let killAt = 1; killAt <= whole.steps; killAt++) {
    const world = new World(killAt);
    world.exchange(REQUESTS);
    t.same(answers(world), expected, `killed at ${killAt}`);
    t.same(events(world), events(whole));
    t.equal(world.ring.error, XENSTORE_ERROR_NONE);
    world.heard.length = 0;
    world.lab.expectOk('dom0', 'WRITE', '/local/domain/5/y|new');
    world.exchange([]);
    t.same(transcript(world), ['0 EVENT /local/domain/5/y absolute'], 'its watch fires');
    const held = world.lab.store.audit().filter(({ kind }) => kind === 'watch');
    t.same(held, [{ kind: 'watch', name: 'ring-5 /local/domain/5/y absolute' }]);
  }
});

t.test('killed again and again, also while it takes the streams up, it goes on', async (t) => {
  const whole = new World(Number.POSITIVE_INFINITY);
  whole.exchange(REQUESTS);
  for (let again = 5; again < 30; again++) {
    const world = new World(1, again);
    world.exchange(REQUESTS);
    t.ok(world.killAt > again, 'it was killed more than once');
    t.same(answers(world), answers(whole), `killed every ${again} steps`);
    t.same(events(world), events(whole));
  }
});

t.test('a transaction that was open when the server was killed is answered, and ends with EAGAIN', async (t) => {
  const run = (killAt: number): World => {
    const world = new World(killAt);
    world.exchange([request(1, XS.XS_TRANSACTION_START, '|')]);
    const txId = Number.parseInt(world.heard[0]!.payload, 10);
    world.exchange([request(2, XS.XS_WRITE, 'x|in', txId), request(3, XS.XS_TRANSACTION_END, 'T|', txId)]);
    world.exchange([request(4, XS.XS_READ, 'x|')]);
    return world;
  };
  const whole = run(Number.POSITIVE_INFINITY);
  const outcomes = new Set<string>();
  for (let killAt = 1; killAt <= whole.steps; killAt++) {
    const world = run(killAt);
    const [started, written, ended, read] = answers(world);
    t.match(started, /^1 TRANSACTION_START \d+\|$/);
    t.equal(written, '2 WRITE OK|');
    const committed = ended === '3 TRANSACTION_END OK|';
    t.ok(committed || ended === '3 ERROR EAGAIN|', `killed at ${killAt}: ${ended}`);
    t.equal(read, committed ? '4 READ in' : '4 ERROR ENOENT|', 'a commit is whole, once, or not at all');
    t.equal(world.lab.store.audit().filter(({ kind }) => kind === 'transaction').length, 0);
    outcomes.add(String(committed));
  }
  t.same([...outcomes].sort(), ['false', 'true']);
});

t.test('indexes that no server left: the guest is told, and its streams go on where they stand', async (t) => {
  const world = new World(Number.POSITIVE_INFINITY);
  world.exchange(REQUESTS);
  const server = new RingEnd(world.page, 'server');
  server.consumeTo((server.inputIndex - 5000) >>> 0);
  world.restart();
  t.equal(world.ring.error, XENSTORE_ERROR_COMM);
  t.same(
    world.lab.store.audit().filter(({ kind }) => kind === 'watch'),
    [],
  );
});

const text = fc.string({ unit: fc.constantFrom('a', '\0', '\xff', '|'), maxLength: 5 });
const name = fc.constantFrom('a', 'b/c', '/d');
const u32 = fc.constantFrom(0, 1, 0xffffffff);
const watch = fc.record({ path: name, token: name, depth: fc.constantFrom(undefined, 0, 3) });
const anyMessage = fc.record({ type: u32, reqId: u32, txId: u32, payload: text });
const wholeRequest = anyMessage.map((message) => latin1Text(encodeMessage(message)));
const anyChange: fc.Arbitrary<RingChange> = fc.oneof(
  fc.record({ kind: fc.constant('begin' as const), consumed: u32 }),
  fc.record({ kind: fc.constant('input' as const), consumed: u32, bytes: wholeRequest }),
  fc.record({ kind: fc.constant('queued' as const), id: fc.nat(5), message: anyMessage, answers: fc.boolean() }),
  fc.record({ kind: fc.constant('dropped' as const), id: fc.nat(5) }),
  fc.record({ kind: fc.constant('begun' as const), id: fc.nat(5), at: u32 }),
  fc.record({ kind: fc.constant('sending' as const), at: u32, bytes: text }),
  fc.record({ kind: fc.constantFrom('watch' as const, 'unwatch' as const), watch }),
  fc.record({ kind: fc.constantFrom('opened' as const, 'closed' as const), txId: u32 }),
  fc.record({ kind: fc.constant('end' as const) }),
);

t.test('a change reads back from its record; a kept ring comes back from its own changes', async (t) => {
  fc.assert(
    fc.property(fc.array(anyChange, { maxLength: 30 }), (changes) => {
      const rings = new Map<number, KeptRing>();
      for (const change of changes) {
        const record = ringRecord(DOMID, change);
        t.same(parseRingRecord(record), { domid: DOMID, change });
        // An answer needs its request.
        const answered = change.kind === 'queued' && change.answers && rings.get(DOMID)?.input === '';
        if (!answered) applyRingChange(rings, DOMID, change);
      }
      const kept = rings.get(DOMID);
      const again = new Map<number, KeptRing>();
      for (const change of kept === undefined ? [] : changesOf(kept)) applyRingChange(again, DOMID, change);
      t.same(again.get(DOMID), kept);
    }),
  );
});

t.test('records that are none of ours are refused', async (t) => {
  for (const record of ['C', 'C5', 'C5\0nothing\0', 'C5\0begin\0', 'Cx\0end\0', 'C5\0watch\0a\0', 'C5\0begun\x001\0']) {
    t.equal(parseRingRecord(record), undefined, JSON.stringify(record));
  }
});
