import t from 'tap';
import { XenbusState } from '../../../lib/layout/xenbus.js';
import { BACK_START } from '../../../lib/xenbus/backend.js';
import { ALL, KEYS, World } from '../../fixtures/backend-world.js';

const S = XenbusState;

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

t.test('a device whose driver does not reset it is closed while a driver has it, and connected anew', async (t) => {
  for (const front of [S.Initialised, S.Connected, S.Closed]) {
    const w = new World(S.Initialising, S.Initialising).settle();
    w.spoilt = true;
    t.equal(w.settle().back, S.InitWait, 'before there is a driver it means nothing');
    w.spoilt = false;
    w.front = S.Initialised;
    w.settle().front = front;
    w.spoilt = true;
    // One that has let go already needs no 5.
    t.equal(w.settle().back, front === S.Closed ? S.Closed : S.Closing, `frontend at ${front}`);
    w.spoilt = false; // the next session is of another device
    w.front = S.Closed;
    t.equal(w.settle().back, S.Closed);
    w.front = S.Initialising;
    t.equal(w.settle().back, S.InitWait);
  }
});

t.test('a driver that may sleep in its probe is to be woken, one that is past it is not', async (t) => {
  for (const [front, probing] of [
    [S.Initialised, true],
    [S.Connected, false],
    [S.Closing, false],
  ] as const) {
    const w = new World(S.Connected, front).settle();
    t.match(
      w.effects.find(({ type }) => type === 'claimRange'),
      { broken: true, probing },
    );
  }
});
