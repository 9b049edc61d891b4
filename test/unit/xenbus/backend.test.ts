import t from 'tap';
import { EvtchnPort } from '../../../lib/core/ids.js';
import { XenbusState } from '../../../lib/layout/xenbus.js';
import {
  BACK_REVIEW,
  BACK_START,
  type BackEffect,
  type BackEvent,
  type BackHeld,
  type BackPhase,
  type BackRest,
  type BackState,
  backStep,
  type FrontendKeys,
  isBackRest,
  OWN,
  REST,
  WORK,
} from '../../../lib/xenbus/backend.js';
import { legalEdge } from '../../../lib/xenbus/protocol.js';

const S = XenbusState;
const KEYS: FrontendKeys = { base: '0xf0000000', eventChannel: '5' };
const ALL: BackHeld = { session: true, base: 0xf0000000, port: EvtchnPort(5), wired: true };

/** The store and Xen around one backend: does effects, keeps what is held, notes every write of the state. */
class World {
  state: BackState;
  back: number;
  front: number;
  online = true;
  keys = KEYS;
  /** Queues that are to be offered event channels. */
  queues = 0;
  /** Effect types that fail. */
  failing = new Set<string>();
  readonly effects: BackEffect[] = [];
  readonly writes: number[] = [];
  readonly errors: string[] = [];
  readonly resources = new Set<string>();

  constructor(back: number, front: number, state: BackState = BACK_START) {
    this.back = back;
    this.front = front;
    this.state = state;
    const { session, base, port, wired } = state.held;
    if (session) this.resources.add('session');
    if (base !== undefined) this.resources.add('range');
    if (port !== undefined) this.resources.add('port');
    if (wired) this.resources.add('wires');
  }

  get look(): BackEvent {
    return { type: 'look', front: this.front, back: this.back, online: this.online };
  }

  /** Looks, and looks again after work, until nothing happens any more. */
  settle(): this {
    for (let i = 0; i < 20; i++) if (this.run(this.look) === 0) return this;
    throw new Error(`no rest: ${this.effects.slice(-10).map((e) => e.type)}`);
  }

  run(first: BackEvent): number {
    let { state, effect } = backStep(this.state, first);
    let count = 0;
    while (effect !== undefined) {
      if (++count > 40) throw new Error('work without end');
      this.effects.push(effect);
      ({ state, effect } = backStep(state, this.perform(effect)));
    }
    this.state = state;
    return count;
  }

  perform(effect: BackEffect): BackEvent {
    if (this.failing.has(effect.type)) return { type: 'failed', errno: 22, text: `no ${effect.type}` };
    const take = (what: string): BackEvent => {
      if (this.resources.has(what)) throw new Error(`${what} taken twice`);
      this.resources.add(what);
      return { type: 'done' };
    };
    const give = (what: string): BackEvent => {
      if (!this.resources.delete(what)) throw new Error(`${what} given back twice`);
      return { type: 'done' };
    };
    switch (effect.type) {
      case 'readSetup':
        return { type: 'done', value: this.queues };
      case 'openSession':
        return take('session');
      case 'closeSession':
        return give('session');
      case 'claimRange':
        return take('range');
      case 'unclaimRange':
        return give('range');
      case 'bindPort':
        return take('port');
      case 'unbindPort':
        return give('port');
      case 'wire':
        return take('wires');
      case 'unwire':
        return give('wires');
      case 'readFrontend':
        return { type: 'done', value: this.keys };
      case 'error':
        this.errors.push(effect.text);
        return { type: 'done' };
      case 'switchState':
        if (this.back === effect.from) {
          const legal = legalEdge('back', effect.from, effect.to, 'backend', this.front);
          if (legal === undefined) throw new Error(`${effect.from} -> ${effect.to} with frontend ${this.front}`);
          this.back = effect.to;
          this.writes.push(effect.to);
        }
        return { type: 'done', value: this.back };
      default:
        return { type: 'done' };
    }
  }

  get order(): string[] {
    return this.effects.map((effect) => (effect.type === 'switchState' ? `state ${effect.to}` : effect.type));
  }
}

t.test('publishes, connects, serves until the frontend is closed, and begins again', async (t) => {
  const w = new World(S.Initialising, S.Initialising).settle();
  t.same(w.order, ['readSetup', 'openSession', 'write', 'state 2']);
  t.match(w.effects[2], { key: 'size', value: '0x200' });
  w.effects.length = 0;
  w.front = S.Initialised;
  w.settle();
  t.same(w.order, ['readFrontend', 'bindPort', 'claimRange', 'wire', 'state 4']);
  t.match(w.effects[2], { base: 0xf0000000, size: 0x200, broken: false });
  w.front = S.Connected;
  w.effects.length = 0;
  t.same(w.settle().order, []);
  w.front = S.Closing;
  t.same(w.settle().order, ['state 5'], 'registers are still answered');
  w.effects.length = 0;
  w.front = S.Closed;
  t.same(w.settle().order, ['unwire', 'unclaimRange', 'unbindPort', 'closeSession', 'state 6']);
  w.effects.length = 0;
  w.front = S.Initialising;
  t.same(w.settle().order, ['readSetup', 'openSession', 'write', 'state 2']);
  t.same(w.writes, [2, 4, 5, 6, 2]);
});

t.test(
  'offers event channels of queues where the toolstack asks for them, and binds what the frontend wrote',
  async (t) => {
    const w = new World(S.Initialising, S.Initialising);
    w.queues = 2;
    w.settle();
    t.same(w.order, ['readSetup', 'openSession', 'write', 'write', 'state 2']);
    t.match(w.effects[3], { key: 'feature-queue-evtchn', value: '2' });
    w.front = S.Initialised;
    w.keys = { ...KEYS, queues: ['9', ''] };
    w.settle();
    t.match(
      w.effects.find(({ type }) => type === 'readFrontend'),
      { queues: 2 },
    );
    t.match(
      w.effects.find(({ type }) => type === 'bindPort'),
      { port: 5, queuePorts: [9, undefined] },
    );
    t.equal(w.back, S.Connected);
    for (const text of ['0', '-3', 'seven', '131072']) {
      const wrong = new World(S.Initialising, S.Initialising);
      wrong.queues = 2;
      wrong.settle();
      wrong.keys = { ...KEYS, queues: ['9', text] };
      wrong.front = S.Initialised;
      wrong.settle();
      t.match(wrong.errors, [`queue-1/event-channel "${text}" is not one`]);
      t.equal(wrong.back, S.Closing);
    }
  },
);

t.test('the toolstack removes a device: closes in order, and the directory goes', async (t) => {
  const w = new World(S.Initialising, S.Initialising).settle();
  w.front = S.Initialised;
  w.settle().front = S.Connected;
  w.online = false;
  w.back = S.Closing;
  w.settle();
  t.equal(w.resources.size, 4, 'serves until the frontend has let go');
  w.front = S.Closed;
  w.settle();
  t.equal(w.resources.size, 0);
  t.equal(w.back, S.Closed);
  w.front = S.Initialising;
  t.equal(w.settle().back, S.Closed, 'not wanted: no other connection');
  w.back = S.Unknown;
  t.equal(w.settle().state.phase, 'gone');
});

t.test('a directory that vanishes takes everything with it, and nothing is written', async (t) => {
  for (const front of Object.values(S)) {
    const w = new World(S.Initialising, S.Initialising).settle();
    w.front = S.Initialised;
    w.settle();
    w.front = front;
    w.back = S.Unknown;
    w.writes.length = 0;
    w.settle();
    t.equal(w.state.phase, 'gone');
    t.equal(w.resources.size, 0);
    t.same(w.writes, []);
  }
});

t.test('bad keys of a frontend close that device with an error key', async (t) => {
  const bad = [
    { base: '', eventChannel: '5' },
    { base: '0x1000', eventChannel: '5' },
    { base: '0xf0000004', eventChannel: '5' },
    { base: '4026531840', eventChannel: '5' },
    { base: '0xfffffffff000', eventChannel: '5' },
    { base: '0xf0000000', eventChannel: '0' },
    { base: '0xf0000000', eventChannel: '-1' },
    { base: '0xf0000000', eventChannel: '' },
    { base: '0xf0000000', eventChannel: '99999999' },
  ];
  for (const keys of bad) {
    const w = new World(S.Initialising, S.Initialising).settle();
    w.keys = keys;
    w.front = S.Initialised;
    w.settle();
    t.equal(w.back, S.Closing, JSON.stringify(keys));
    t.equal(w.errors.length, 1);
    t.same([...w.resources], ['session']);
    w.front = S.Closed;
    t.equal(w.settle().back, S.Closed);
    t.equal(w.resources.size, 0);
    w.keys = KEYS;
    w.front = S.Initialising;
    w.settle().front = S.Initialised;
    t.equal(w.settle().back, S.Connected, 'a better frontend connects');
  }
});

t.test('what fails on the way to Connected closes the connection and gives everything back', async (t) => {
  for (const failing of ['readFrontend', 'bindPort', 'claimRange', 'wire']) {
    const w = new World(S.Initialising, S.Initialising).settle();
    w.failing.add(failing);
    w.front = S.Initialised;
    w.settle();
    t.equal(w.back, S.Closing, failing);
    t.equal(w.errors.length, 1);
    w.front = S.Closed;
    w.settle();
    t.equal(w.resources.size, 0);
    t.equal(w.back, S.Closed);
  }
});

t.test('a device that is impossible stays closed until the toolstack makes it anew', async (t) => {
  for (const failing of ['readSetup', 'openSession']) {
    const w = new World(S.Initialising, S.Initialising);
    w.failing.add(failing);
    w.settle();
    t.equal(w.back, S.Closed);
    t.equal(w.errors.length, 1);
    w.failing.clear();
    t.equal(w.settle().back, S.Closed);
    w.back = S.Initialising;
    t.equal(w.settle().back, S.InitWait);
  }
});

t.test('a failing error key or removal does not stop the closing', async (t) => {
  const w = new World(S.Initialising, S.Initialising).settle();
  w.failing = new Set(['bindPort', 'error']);
  w.front = S.Initialised;
  t.equal(w.settle().back, S.Closing);
  const v = new World(S.Connected, S.Closed, { ...BACK_START, phase: 'connected', held: ALL, back: S.Connected });
  v.failing = new Set(['unwire', 'unclaimRange', 'unbindPort', 'closeSession']);
  v.settle();
  t.equal(v.back, S.Closed);
  t.same(v.state.held, {});
});

t.test('found half-way: adopts, serves, closes, awaits the frontend', async (t) => {
  for (const back of [S.Connected, S.Closing]) {
    const w = new World(back, S.Connected).settle();
    const expected = ['readSetup', 'openSession', 'readFrontend', 'bindPort', 'claimRange', 'wire'];
    t.same(w.order, back === S.Connected ? [...expected, 'state 5'] : expected);
    t.match(w.effects[4], { broken: true });
    w.front = S.Closed;
    t.equal(w.settle().back, S.Closed);
    w.front = S.Initialising;
    t.equal(w.settle().back, S.InitWait);
  }
});

t.test('found at 4 with the frontend at 3: its driver may be anywhere in its probe, so it connects anew', async (t) => {
  const w = new World(S.Connected, S.Initialised).settle();
  t.same(w.writes, [S.Closing]);
  t.equal(w.state.phase, 'closing');
  t.not(w.state.held.base, undefined, 'registers are answered meanwhile');
  w.front = S.Closed;
  t.same(w.settle().writes, [S.Closing, S.Closed]);
});

t.test('found at 2 with the frontend at 3: connects from its keys', async (t) => {
  const w = new World(S.InitWait, S.Initialised).settle();
  t.same(w.writes, [S.Connected]);
});

t.test('found at 5 with the frontend at 3: there is no way back to 4', async (t) => {
  const w = new World(S.Closing, S.Initialised).settle();
  t.same(w.writes, []);
  t.equal(w.state.phase, 'closing');
});

t.test('adoption that fails still closes', async (t) => {
  const w = new World(S.Connected, S.Connected);
  w.keys = { base: 'rubbish', eventChannel: '5' };
  w.settle();
  t.equal(w.back, S.Closing);
  w.front = S.Closed;
  t.equal(w.settle().back, S.Closed);
  t.equal(w.resources.size, 0);
});

t.test('when this process stops, connections close in order and none begins', async (t) => {
  const w = new World(S.Initialising, S.Initialising).settle();
  w.front = S.Initialised;
  w.settle().front = S.Connected;
  w.state = { ...w.state, stopping: true };
  t.equal(w.settle().back, S.Closing);
  t.equal(w.resources.size, 4);
  w.front = S.Closed;
  t.equal(w.settle().back, S.Closed);
  w.front = S.Initialising;
  t.equal(w.settle().back, S.Closed);
  const fresh = new World(S.Initialising, S.Initialising);
  fresh.state = { ...fresh.state, stopping: true };
  t.same(fresh.settle().order, []);
});

const HELD: Record<BackRest, BackHeld> = {
  found: {},
  waiting: { session: true },
  connected: ALL,
  closing: ALL,
  closed: {},
  gone: {},
};
const USUAL: Record<BackRest, number> = { found: 0, waiting: 2, connected: 4, closing: 5, closed: 6, gone: 0 };

t.test(
  'every (resting phase, own state, frontend state) settles by legal edges, holding what its phase holds',
  async (t) => {
    const states = [...Object.values(S), 9, 4711];
    for (const phase of Object.keys(HELD) as BackRest[]) {
      for (const back of states) {
        for (const front of states) {
          for (const online of [true, false]) {
            for (const stopping of [true, false]) {
              const held = HELD[phase];
              const state: BackState = {
                phase,
                held,
                back: USUAL[phase],
                front: S.Unknown,
                goal: 'begin',
                ...(stopping ? { stopping } : {}),
              };
              const w = new World(back, front, state);
              w.online = online;
              // World throws at an illegal edge, a second taking, and work without end.
              w.settle();
              const name = `${phase} with ${back}/${front} online ${online} stopping ${stopping}: ${w.state.phase}`;
              if (!isBackRest(w.state.phase)) t.fail(name);
              const kept = JSON.stringify(Object.keys(w.state.held).length);
              if (String(w.resources.size) !== kept) t.fail(`${name}: holds ${[...w.resources]}`);
              if (['gone', 'closed'].includes(w.state.phase) && w.resources.size > 0) t.fail(`${name}: not given back`);
              if (w.state.phase === 'connected' && w.resources.size !== 4)
                t.fail(`${name}: connected without its wires`);
              if (back === S.Unknown && phase !== 'gone' && w.state.phase !== 'gone') t.fail(`${name}: not gone`);
            }
          }
        }
      }
    }
    t.pass('all of them');
  },
);

t.test('every working phase knows success and failure', async (t) => {
  for (const phase of Object.keys(WORK) as BackPhase[]) {
    for (const type of ['done', 'failed'] as const) {
      const state: BackState = {
        phase,
        held: phase === 'releasing' ? ALL : { session: true },
        back: S.InitWait,
        front: S.Initialised,
        goal: 'begin',
        offer: { base: 0xf0000000, port: EvtchnPort(5), queuePorts: [] },
        failure: { errno: 22, text: 'why' },
      };
      const w = new World(S.InitWait, S.Initialised, state);
      const event: BackEvent =
        type === 'failed'
          ? { type, errno: 22, text: 'no' }
          : { type, value: phase === 'readingFrontend' ? KEYS : phase === 'finishing' ? S.Closed : S.InitWait };
      if (phase === 'releasing') w.resources.delete('wires');
      const { state: next } = backStep(state, event);
      t.not(next.phase, phase === 'releasing' ? 'found' : phase, `${phase} ${type}`);
    }
  }
});

t.test('events out of turn are our bug', async (t) => {
  t.throws(() => backStep(BACK_START, { type: 'done' }), /at rest/);
  const { state } = backStep(BACK_START, { type: 'look', front: 1, back: 1, online: true });
  t.throws(() => backStep(state, { type: 'look', front: 1, back: 1, online: true }), /look during/);
});

t.test('the tables name every state', async (t) => {
  for (const table of [OWN, REST])
    for (const row of Object.values(table)) t.same(Object.keys(row).map(Number), Object.values(S));
});

t.test(
  'found at 4 or 5 with nothing to adopt: what an earlier life left in Xen is taken over and given back',
  async (t) => {
    for (const back of [S.Connected, S.Closing]) {
      for (const front of [S.Unknown, S.Initialising, S.Closed]) {
        let step = backStep(BACK_START, { type: 'look', front, back, online: true });
        const effects: string[] = [];
        while (step.effect !== undefined) {
          effects.push(step.effect.type);
          const value = step.effect.type === 'switchState' ? { value: step.effect.to } : {};
          step = backStep(step.state, { type: 'done', ...value });
        }
        t.same(effects, ['readSetup', 'openSession', 'closeSession', 'switchState'], `${back}/${front}`);
        t.same([step.state.phase, step.state.held], ['closed', {}]);
      }
    }
  },
);

t.test('from Closed to InitWait only while the device is wanted in the same transaction', async (t) => {
  const closed: BackState = { ...BACK_START, phase: 'announcing', back: S.Closed, front: S.Initialising };
  t.equal(BACK_REVIEW.work.announcing.effect(closed)?.type, 'switchState');
  t.match(BACK_REVIEW.work.announcing.effect(closed), { from: S.Closed, to: S.InitWait, ifOnline: true });
  t.notOk('ifOnline' in BACK_REVIEW.work.announcing.effect({ ...closed, back: S.Initialising })!);
});
