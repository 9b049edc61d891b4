// The frontend machine: its tables pair by pair, and its promises over random histories.
import * as fc from 'fast-check';
import t from 'tap';
import { XenbusState } from '../../../lib/layout/xenbus.js';
import {
  FRONT_ATTEMPTS_MAX,
  FRONT_START,
  type FrontEffect,
  type FrontEvent,
  type FrontRest,
  type FrontState,
  frontStep,
  isRest,
  REST,
} from '../../../lib/xenbus/frontend.js';
import { MMIO_WINDOW } from '../../../lib/xenbus/keys.js';
import { legalEdge } from '../../../lib/xenbus/protocol.js';

/** Performs effects as a willing guest would, and keeps books. */
class Books {
  state: FrontState = FRONT_START;
  /** The frontend's state in the store. */
  own: number = XenbusState.Initialising;
  backend: number = XenbusState.Unknown;
  readonly edges: [from: number, to: number, backend: number][] = [];
  readonly log: string[] = [];
  readonly ports = new Set<number>();
  readonly ranges = new Set<number>();
  devices = 0;
  online = '1';
  size = '0x200';
  /** What the backend reads when it is asked again; default: what the event was about. */
  backendNow: number | undefined;
  /** feature-queue-evtchn. */
  queues = '';
  readonly written: [key: string, value: string][] = [];
  /** Effects that fail. */
  fails: (effect: FrontEffect) => boolean = () => false;
  #nextPort = 7;

  event(event: FrontEvent): void {
    if (event.type === 'backend') this.backend = event.state;
    let step = frontStep(this.state, event);
    for (let count = 0; step.effect !== undefined; count++) {
      if (count > 150) throw new Error('the machine does not come to rest');
      this.log.push(step.effect.type);
      const outcome = this.#perform(step.effect);
      step = frontStep(step.state, outcome);
    }
    this.state = step.state;
  }

  see(...states: number[]): void {
    for (const state of states) this.event({ type: 'backend', state });
  }

  #perform(effect: FrontEffect): FrontEvent {
    if (this.fails(effect)) {
      // What fails has taken nothing.
      return { type: 'failed', errno: 12, text: effect.type };
    }
    switch (effect.type) {
      case 'read':
        if (effect.key === 'feature-queue-evtchn') {
          return this.queues === ''
            ? { type: 'failed', errno: 2, text: 'ENOENT' }
            : { type: 'done', value: this.queues };
        }
        if (effect.key === 'state') return { type: 'done', value: String(this.backendNow ?? this.backend) };
        return { type: 'done', value: effect.key === 'online' ? this.online : this.size };
      case 'write':
        this.written.push([effect.key, effect.value]);
        break;
      case 'claimRange':
        this.#take(this.ranges, MMIO_WINDOW.start);
        return { type: 'done', value: MMIO_WINDOW.start };
      case 'allocPort':
        this.#take(this.ports, ++this.#nextPort);
        return { type: 'done', value: this.#nextPort };
      case 'register':
        this.devices++;
        break;
      case 'unregister':
        this.devices--;
        break;
      case 'freePort':
        this.#give(this.ports, effect.port);
        break;
      case 'freeRange':
        this.#give(this.ranges, effect.base);
        break;
      case 'switchState':
        this.#switch(effect.state);
        break;
      case 'fatal':
        this.#switch(XenbusState.Closing);
        break;
      default:
        break;
    }
    return { type: 'done' };
  }

  #switch(to: number): void {
    if (to === this.own) return;
    this.edges.push([this.own, to, this.backend]);
    this.own = to;
  }
  #take(set: Set<number>, value: number): void {
    if (set.has(value)) throw new Error(`${value} taken twice`);
    set.add(value);
  }
  #give(set: Set<number>, value: number): void {
    if (!set.delete(value)) throw new Error(`${value} given back twice`);
  }

  held(): number {
    return this.ports.size + this.ranges.size + this.devices;
  }
}

const { Unknown, Initialising, InitWait, Initialised, Connected, Closing, Closed } = XenbusState;

t.test('the handshake takes a range and a port at 2, registers at 4, gives all back at 5', async (t) => {
  const books = new Books();
  books.see(Initialising);
  t.same(books.log, [], 'nothing is read before the backend publishes');
  books.see(InitWait);
  t.same(books.log, ['read', 'read', 'claimRange', 'allocPort', 'write', 'write', 'switchState']);
  t.equal(books.own, Initialised);
  books.see(Connected);
  t.equal(books.own, Connected);
  t.equal(books.held(), 3);
  books.see(Closing);
  t.equal(books.own, Closed);
  t.equal(books.held(), 0);
  t.same(books.log.slice(-4), ['unregister', 'freePort', 'freeRange', 'switchState']);
  t.end();
});

t.test('queues that are offered event channels get one each, published before 3 and given back first', async (t) => {
  const books = new Books();
  books.queues = '2';
  books.see(InitWait);
  t.same(books.written, [
    ['queue-0/event-channel', '9'],
    ['queue-1/event-channel', '10'],
    ['base', '0xf0000000'],
    ['event-channel', '8'],
  ]);
  t.equal(books.log.at(-1), 'switchState');
  books.see(Connected);
  t.equal(books.held(), 5);
  books.see(Closing);
  t.same(books.log.slice(-6), ['unregister', 'freePort', 'freePort', 'freePort', 'freeRange', 'switchState']);
  t.equal(books.held(), 0);
  for (const offer of ['0', '-1', 'many', '17', '0x2']) {
    const other = new Books();
    other.queues = offer;
    other.see(InitWait);
    t.equal(other.ports.size, 1, `${offer} offers nothing`);
  }
});

t.test('every backend state repeated in every resting phase changes nothing the second time', async (t) => {
  const reach: Record<FrontRest, number[]> = {
    waiting: [Initialising],
    published: [InitWait],
    connected: [InitWait, Connected],
    closed: [InitWait, Connected, Closing],
    failed: [],
    gone: [],
  };
  for (const phase of Object.keys(REST) as FrontRest[]) {
    for (const state of Object.values(XenbusState)) {
      const books = new Books();
      books.online = '0';
      if (phase === 'failed') {
        books.size = 'x';
        books.see(InitWait);
      } else if (phase === 'gone') books.event({ type: 'remove' });
      else books.see(...reach[phase]);
      t.equal(books.state.phase, phase, phase);
      books.see(state);
      const after = { ...books.state };
      const edges = books.edges.length;
      books.see(state);
      t.equal(books.state.phase, after.phase, `${phase}, backend ${state} twice`);
      t.equal(books.edges.length, edges, `${phase}, backend ${state}: no second write`);
    }
  }
  t.end();
});

t.test('a closed frontend begins again when the device is wanted, and stays closed when not', async (t) => {
  const wanted = new Books();
  wanted.see(InitWait, Connected, Closing, Closed);
  t.equal(wanted.own, Initialising);
  wanted.see(InitWait, Connected);
  t.equal(wanted.own, Connected);
  const unwanted = new Books();
  unwanted.online = '0';
  unwanted.see(InitWait, Connected, Closing, Closed);
  t.equal(unwanted.own, Closed);
  t.end();
});

t.test('a stale backend at 6 is waited for, not taken for the end', async (t) => {
  const books = new Books();
  books.see(Closed, InitWait, Connected);
  t.equal(books.own, Connected);
  t.end();
});

t.test('a backend that forgot the connection, or vanished, makes the frontend let go', async (t) => {
  for (const state of [Unknown, Initialising, InitWait, Closed]) {
    const books = new Books();
    books.see(InitWait, Connected, state);
    t.equal(books.held(), 0, `backend ${state}`);
    t.equal(books.own === Connected, false);
  }
  t.end();
});

t.test('a bad size is reported, closes, and is not tried again', async (t) => {
  for (const size of ['', '0', '512M', '0x', '100', '0x1ff', '-512', '0x201', '99999999999', '0xfffffffff']) {
    const books = new Books();
    books.size = size;
    books.see(InitWait);
    t.equal(books.own, Closing, `size "${size}"`);
    t.equal(books.held(), 0);
    books.see(Closing, Closed, InitWait);
    t.equal(books.own, Closed);
    t.match(books.state.failure, { errno: 22 });
  }
  t.end();
});

t.test('connections that never come to anything end after a bounded number', async (t) => {
  const books = new Books();
  for (let round = 0; round < FRONT_ATTEMPTS_MAX + 3; round++) books.see(InitWait, Closing, Closed);
  t.equal(books.own, Closed);
  t.equal(books.log.filter((effect) => effect === 'claimRange').length, FRONT_ATTEMPTS_MAX);
  t.equal(books.log.filter((effect) => effect === 'error').length, 1, 'said once');
  t.end();
});

t.test('a state outside the enum is an error while connecting and ignored when closed', async (t) => {
  const books = new Books();
  books.see(InitWait, 9);
  t.equal(books.own, Closing);
  books.see(Closed, 9);
  t.equal(books.own, Closed);
  t.end();
});

const WRITES = new Set(['write', 'switchState']);

t.test('whatever the backend does and whatever fails: no leak, nothing twice, no illegal move', async (t) => {
  const event = fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min: 0, max: 9 }).map((state) => ({ type: 'backend' as const, state })) },
    { weight: 6, arbitrary: fc.constantFrom(2, 4, 5, 6).map((state) => ({ type: 'backend' as const, state })) },
    { weight: 1, arbitrary: fc.constant({ type: 'remove' as const }) },
  );
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 40 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      fc.constantFrom('', '0', '1', '3'),
      (events, failures, online, queues) => {
        const books = new Books();
        books.queues = queues;
        books.online = online ? '1' : '0';
        let count = 0;
        // A quarter of the effects that can fail do; giving back cannot.
        books.fails = (effect) =>
          (WRITES.has(effect.type) || ['read', 'claimRange', 'allocPort', 'register'].includes(effect.type)) &&
          failures[count++ % failures.length]! &&
          count % 4 === 0;
        for (const one of events) {
          books.event(one);
          if (!isRest(books.state.phase)) return false;
          const { held } = books.state;
          const known =
            Number(held.base !== undefined) +
            Number(held.port !== undefined) +
            (held.queuePorts?.length ?? 0) +
            Number(held.device === true);
          if (known !== books.held()) return false;
          if (books.held() > 0 && !['published', 'connected'].includes(books.state.phase)) return false;
        }
        books.event({ type: 'remove' });
        return (
          books.held() === 0 &&
          books.edges.every(([from, to, backend]) => legalEdge('front', from, to, 'frontend', backend) !== undefined)
        );
      },
    ),
    { numRuns: 2000 },
  );
  t.end();
});

t.test('a driver that could not probe is worth another connection, and five of them are the end', async (t) => {
  const books = new Books();
  books.fails = (effect) => effect.type === 'register';
  for (let round = 0; round < FRONT_ATTEMPTS_MAX; round++) books.see(InitWait, Connected, Closing, Closed);
  t.equal(books.log.filter((step) => step === 'register').length, FRONT_ATTEMPTS_MAX);
  t.same(
    [books.own, books.state.failure?.text, books.held()],
    [Closed, '5 connections in a row came to nothing: register', 0],
  );
});

t.test(
  'a key that cannot be read or written gives all back, and is tried again while the backend reads 2',
  async (t) => {
    for (const kind of ['read', 'write']) {
      const books = new Books();
      let failures = 1;
      books.fails = (effect) => effect.type === kind && failures-- > 0;
      books.backend = InitWait;
      books.see(InitWait);
      t.equal(books.own, Initialised, `${kind} once`);
      const never = new Books();
      never.fails = (effect) => effect.type === kind && !('key' in effect && effect.key === 'state');
      never.see(InitWait);
      t.same([never.own, never.held()], [Closing, 0], `${kind} for ever`);
    }
    const moved = new Books();
    moved.fails = (effect) => effect.type === 'write';
    moved.backendNow = Initialising;
    moved.see(InitWait);
    t.same(
      [moved.own, moved.state.phase, moved.held()],
      [Initialising, 'waiting', 0],
      'a directory made anew is waited for',
    );
  },
);
