import fc from 'fast-check';
import t from 'tap';
import { ProtocolError } from '../../../lib/core/errors.js';
import { decodeAck, REQUESTS } from '../../../lib/vhost-user/messages.js';
import { RING_MOVES, type RingEvent, type RingState } from '../../../lib/vhost-user/ring-state.js';
import { BIT30, FEATURES, Front, handle, MEMORY, OFFERED, UVA } from '../../../testkit/backend-front.js';

t.test("QEMU's order starts both rings, with guest addresses", async (t) => {
  const front = new Front();
  t.equal(front.ask('GET_FEATURES', {}).value, FEATURES | BIT30);
  t.equal(front.ask('GET_PROTOCOL_FEATURES', {}).value, OFFERED);
  front.send('SET_PROTOCOL_FEATURES', { value: OFFERED });
  t.equal(front.ask('GET_QUEUE_NUM', {}).value, 2n);
  t.equal(front.ask('GET_MAX_MEM_SLOTS', {}).value, 3n);
  front.send('SET_OWNER', {});
  front.send('SET_VRING_CALL', { index: 0, polled: false }, [handle('early call')]);
  t.same(front.ask('GET_CONFIG', { offset: 0, size: 16, flags: 0, data: new Uint8Array(16) }).data, new Uint8Array(16));
  front.send('SET_FEATURES', { value: FEATURES | BIT30 });
  t.equal(decodeAck('ADD_MEM_REG', front.send('ADD_MEM_REG', { region: MEMORY }, [handle('memory')], true)!), 0n);
  front.ring(0, 5).ring(1).enable(0).enable(1);
  const calls = () => front.device.calls.filter((call) => !call.startsWith('signal'));
  t.same(calls(), ['features 110000002', 'start 0', 'start 1']);
  t.match(front.device.running.get(0), { size: 64, desc: 0n, avail: 0x1000n, used: 0x2000n, base: 5 });
  t.match(front.device.running.get(1), { desc: 0x10000n });
  front.device.bases[0] = 70;
  t.same(front.ask('GET_VRING_BASE', { index: 0, num: 0 }), { index: 0, num: 70 });
  front.ask('GET_VRING_BASE', { index: 1, num: 0 });
  t.same(calls().slice(3), ['stop 0', 'stop 1'], 'a stopped device keeps what its guest made');
  front.session.close();
  t.same(
    [...front.device.released].sort(),
    [...front.device.released].sort().filter((h) => h !== ''),
  );
});

t.test('a disabled ring is left alone and goes on where it stopped', async (t) => {
  const front = new Front().negotiate().memory().ring(0);
  t.notOk(front.device.running.has(0), 'started, not enabled');
  front.enable(0).enable(0);
  front.device.bases[0] = 9;
  front.enable(0, 0);
  t.equal(front.session.ringState(0), 'started-disabled');
  front.enable(0);
  t.equal(front.device.running.get(0)?.base, 9);
});

t.test('without feature bit 30 rings are enabled from the start', async (t) => {
  const front = new Front();
  front.send('SET_FEATURES', { value: FEATURES });
  front.memory().ring(0);
  t.ok(front.device.running.has(0));
  t.throws(() => front.enable(0), { code: 'features' });
});

t.test('memory that changes under running rings pauses them and translates them anew', async (t) => {
  const front = new Front().negotiate().memory().ring(0).enable(0);
  const moved = { ...MEMORY, guestAddr: 0x40000000n };
  front.send('SET_MEM_TABLE', { regions: [moved] }, [handle('memory')]);
  t.equal(front.device.running.get(0)?.desc, 0x40000000n);
  const away = { ...MEMORY, userAddr: 0x1000n };
  const ack = front.send('SET_MEM_TABLE', { regions: [away] }, [handle('memory')], true);
  t.equal(decodeAck('SET_MEM_TABLE', ack!), 1n, 'the ring has no memory any more');
  t.equal(front.device.running.size, 0);
  t.equal(front.session.ringState(0), 'stopped-enabled');
});

t.test('memory that cannot be mapped leaves the old one, and rings running', async (t) => {
  const front = new Front().negotiate().memory().ring(0).enable(0);
  const before = front.device.memory;
  front.device.failMap = true;
  const fresh = handle('memory');
  t.equal(decodeAck('SET_MEM_TABLE', front.send('SET_MEM_TABLE', { regions: [MEMORY] }, [fresh], true)!), 1n);
  t.equal(front.device.memory, before);
  t.ok(front.device.running.has(0));
  t.ok(front.device.released.has(fresh));
});

t.test('regions come and go one by one', async (t) => {
  const front = new Front().negotiate();
  const region = (n: number) => ({
    ...MEMORY,
    size: 0x1000n,
    guestAddr: BigInt(n) << 12n,
    userAddr: UVA + (BigInt(n) << 12n),
  });
  for (const n of [0, 1, 2]) front.send('ADD_MEM_REG', { region: region(n) }, [handle('memory')]);
  t.equal(front.device.memory.length, 3);
  t.throws(() => front.send('ADD_MEM_REG', { region: region(3) }, [handle('memory')]), { code: 'regions' });
  const tolerated = handle('memory');
  front.send('REM_MEM_REG', { region: { ...region(1), mmapOffset: 77n } }, [tolerated]);
  t.same(
    front.device.memory.map((r) => r.guestAddr),
    [0n, 0x2000n],
  );
  t.ok(front.device.released.has(tolerated));
  t.throws(() => front.send('REM_MEM_REG', { region: region(1) }), { code: 'regions' });
  t.throws(() => front.send('ADD_MEM_REG', { region: region(2) }, [handle('memory')]), /overlap/);
});

t.test('what a front-end may not do', async (t) => {
  const refused = (name: string, act: (front: Front) => unknown, code: string) =>
    t.throws(() => act(new Front().negotiate().memory()), { code }, name);
  const set = (front: Front, num: number) => front.send('SET_VRING_NUM', { index: 0, num });
  refused('ring of 0', (f) => set(f, 0), 'ring');
  refused('ring of 3', (f) => set(f, 3), 'ring');
  refused('ring over the maximum', (f) => set(f, 2048), 'ring');
  refused('ring that is not there', (f) => f.send('SET_VRING_NUM', { index: 2, num: 64 }), 'ring');
  refused('kick before size and address', (f) => f.send('SET_VRING_KICK', { index: 0, polled: false }, ['k']), 'ring');
  refused('base over 16 bits', (f) => f.send('SET_VRING_BASE', { index: 0, num: 65536 }), 'ring');
  refused('enable 2', (f) => f.enable(0, 2), 'ring');
  const away = { index: 0, flags: 0, desc: 0n, avail: UVA, used: UVA, log: 0n };
  refused('address outside memory', (f) => f.send('SET_VRING_ADDR', away), 'ring');
  refused('size of a started ring', (f) => f.ring(0).send('SET_VRING_NUM', { index: 0, num: 64 }), 'ring');
  refused('features not offered', (f) => f.send('SET_FEATURES', { value: 1n << 40n }), 'features');
  // 21 and 22 changed their meaning in 2026: GPA_ADDRESSES and SHMEM, or SHMEM and none.
  for (const bit of [12n, 21n, 22n])
    refused(`protocol feature ${bit}`, (f) => f.send('SET_PROTOCOL_FEATURES', { value: 1n << bit }), 'features');
  refused('owner twice', (f) => f.send('SET_OWNER', {}), 'owner');
  refused('status without its feature', (f) => f.send('SET_STATUS', { value: 0n }), 'features');
  const ended = new Front();
  ended.session.close();
  t.throws(() => ended.ask('GET_FEATURES', {}), { code: 'closed' });
});

t.test('a failure is acknowledged when asked for and negotiated, and thrown otherwise', async (t) => {
  const bad = { index: 7, num: 64 };
  const front = new Front().negotiate();
  t.equal(decodeAck('SET_VRING_NUM', front.send('SET_VRING_NUM', bad, [], true)!), 1n);
  t.throws(() => front.send('SET_VRING_NUM', bad), ProtocolError);
  t.equal(front.send('SET_VRING_NUM', { index: 0, num: 64 }), undefined, 'no answer to success either');
  const plain = new Front();
  t.throws(() => plain.send('SET_VRING_NUM', bad, [], true), ProtocolError);
  t.equal(plain.send('SET_OWNER', {}, [], true), undefined);
});

t.test('a malformed message is acknowledged as a failure too, when asked for, and the session goes on', async (t) => {
  const front = new Front().negotiate();
  const raw = (request: number, payload: Uint8Array, handles: string[] = [], needReply = true) =>
    front.session.handle({ request, flags: needReply ? 9 : 1, payload, handles });
  const empty = new Uint8Array(40); // ADD_MEM_REG of no bytes
  t.equal(decodeAck('ADD_MEM_REG', raw(37, empty, ['memory'])!), 1n);
  t.ok(front.device.released.has('memory'), 'its descriptor is given back');
  t.equal(decodeAck('SET_VRING_NUM', raw(8, new Uint8Array(3))!), 1n, 'a payload of another size');
  t.same(raw(250, new Uint8Array(0))?.request, 250, 'a request that is not known');
  t.throws(() => raw(37, empty, ['other'], false), { code: 'regions' });
  t.ok(front.device.released.has('other'));
  t.throws(() => raw(24, new Uint8Array(3)), { code: 'size' }, 'what has a reply of its own has no acknowledgement');
  t.equal(front.ask('GET_QUEUE_NUM', {}).value, 2n);
});

t.test('a call that comes after the kick, or replaces another, is signalled once', async (t) => {
  const front = new Front().negotiate().memory();
  front.send('SET_VRING_NUM', { index: 0, num: 64 });
  front.send('SET_VRING_ADDR', { index: 0, flags: 0, desc: UVA, avail: UVA, used: UVA, log: 0n });
  front.send('SET_VRING_KICK', { index: 0, polled: false }, ['kick']);
  front.enable(0);
  const ring = front.device.running.get(0)!;
  ring.call();
  t.notOk(front.device.calls.includes('signal call'), 'a ring without a call runs all the same');
  front.send('SET_VRING_CALL', { index: 0, polled: false }, ['call 1']);
  front.send('SET_VRING_CALL', { index: 0, polled: false }, ['second 2']);
  t.same(front.device.calls.slice(-2), ['signal call', 'signal second']);
  t.same(front.device.closed, ['call 1']);
  t.ok(front.device.released.has('call 1'));
  ring.call();
  t.equal(front.device.calls.at(-1), 'signal second');
  front.send('SET_VRING_CALL', { index: 0, polled: true });
  ring.call();
  t.equal(front.device.calls.filter((call) => call.startsWith('signal')).length, 3, 'no call any more');
  t.throws(() => front.send('SET_VRING_CALL', { index: 0, polled: false }, ['wrong call']), { code: 'handles' });
  t.throws(() => front.send('SET_VRING_KICK', { index: 0, polled: false }, ['wrong kick']), { code: 'handles' });
  t.ok(front.device.running.has(0), 'what was refused changed nothing');
});

t.test('a kick without a descriptor starts a ring that is polled', async (t) => {
  const front = new Front().negotiate().memory().ring(0).enable(0);
  front.send('SET_VRING_KICK', { index: 0, polled: true });
  t.same([front.device.running.has(0), front.device.running.get(0)?.kick], [true, undefined]);
});

t.test('features of a running device change while its rings pause', async (t) => {
  const front = new Front().negotiate().memory().ring(0, 3).enable(0);
  front.device.bases[0] = 7;
  t.equal(decodeAck('SET_FEATURES', front.send('SET_FEATURES', { value: FEATURES | BIT30 }, [], true)!), 0n);
  t.same(front.device.calls.slice(-3), ['stop 0', 'features 110000002', 'start 0']);
  t.equal(front.device.running.get(0)?.base, 7);
});

t.test('RESET_DEVICE stops the rings at 0, and the device is set up anew without another word', async (t) => {
  const front = new Front().negotiate().memory().ring(0).enable(0);
  front.device.bases[0] = 9;
  front.send('RESET_DEVICE', {});
  t.same(front.device.calls.slice(-2), ['stop 0', 'reset']);
  t.equal(front.session.ringState(0), 'stopped-disabled');
  front.device.bases[0] = 0;
  t.equal(front.ask('GET_VRING_BASE', { index: 0, num: 0 }).num, 0);
  front.ring(0).enable(0);
  t.equal(front.device.running.get(0)?.base, 0);
});

t.test('config space, display socket and back-end channel reach the device', async (t) => {
  const front = new Front().negotiate();
  t.equal(front.ask('GET_CONFIG', { offset: 8, size: 16, flags: 0, data: new Uint8Array(16) }).data, undefined);
  front.send('SET_CONFIG', { offset: 4, size: 4, flags: 0, data: new Uint8Array(4) });
  front.send('GPU_SET_SOCKET', {}, ['socket']);
  t.same(front.device.calls.slice(1), ['config 4 4', 'display socket']);
  t.throws(() => front.send('GPU_SET_SOCKET', {}, ['wrong socket']), { code: 'handles' });
  t.ok(front.device.released.has('wrong socket'));
  t.throws(() => front.send('SET_BACKEND_REQ_FD', {}, ['channel']), { code: 'features' });
  t.ok(front.device.released.has('channel'));
});

t.test('every ring state meets every event', async (t) => {
  const to = (front: Front, state: RingState): void => {
    if (state.startsWith('started')) front.ring(0);
    if (state.endsWith('enabled')) front.enable(0);
  };
  const fire: Record<RingEvent, (front: Front) => void> = {
    kick: (front) => void front.send('SET_VRING_KICK', { index: 0, polled: false }, [handle('kick')]),
    stop: (front) => void front.ask('GET_VRING_BASE', { index: 0, num: 0 }),
    enable: (front) => void front.enable(0),
    disable: (front) => void front.enable(0, 0),
  };
  for (const state of Object.keys(RING_MOVES) as RingState[]) {
    for (const event of Object.keys(fire) as RingEvent[]) {
      const front = new Front().negotiate().memory();
      if (state.startsWith('stopped')) {
        front.ring(0);
        front.ask('GET_VRING_BASE', { index: 0, num: 0 });
      }
      to(front, state);
      t.equal(front.session.ringState(0), state);
      fire[event](front);
      t.equal(front.session.ringState(0), RING_MOVES[state][event], `${state} + ${event}`);
      t.equal(front.device.running.has(0), front.session.ringState(0) === 'started-enabled');
    }
  }
});

t.test('whatever is sent, handles are released once, rings stop once, and the end leaves nothing', async () => {
  const index = fc.integer({ min: 0, max: 2 });
  const message = fc.oneof(
    fc.record({
      type: fc.constant('SET_VRING_NUM' as const),
      body: fc.record({ index, num: fc.constantFrom(64, 0, 3) }),
    }),
    fc.record({
      type: fc.constant('SET_VRING_ADDR' as const),
      body: fc.record({
        index,
        flags: fc.constant(0),
        desc: fc.constantFrom(UVA, 5n),
        used: fc.constant(UVA),
        avail: fc.constant(UVA),
        log: fc.constant(0n),
      }),
    }),
    fc.record({
      type: fc.constantFrom('SET_VRING_KICK' as const, 'SET_VRING_CALL' as const, 'SET_VRING_ERR' as const),
      body: fc.record({ index, polled: fc.boolean() }),
    }),
    fc.record({
      type: fc.constantFrom('SET_VRING_ENABLE' as const, 'GET_VRING_BASE' as const, 'SET_VRING_BASE' as const),
      body: fc.record({ index, num: fc.constantFrom(0, 1, 70000) }),
    }),
    fc.record({
      type: fc.constant('SET_FEATURES' as const),
      body: fc.record({ value: fc.constantFrom(FEATURES, FEATURES | BIT30, 1n << 50n) }),
    }),
    fc.record({
      type: fc.constant('SET_MEM_TABLE' as const),
      body: fc.constantFrom({ regions: [MEMORY] }, { regions: [MEMORY, MEMORY] }),
    }),
    fc.record({
      type: fc.constantFrom('ADD_MEM_REG' as const, 'REM_MEM_REG' as const),
      body: fc.constant({ region: MEMORY }),
    }),
    fc.record({
      type: fc.constantFrom('RESET_OWNER' as const, 'SET_OWNER' as const, 'RESET_DEVICE' as const),
      body: fc.constant({}),
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.record({ message, needReply: fc.boolean() }), { maxLength: 60 }), (script) => {
      const front = new Front().negotiate();
      for (const { message, needReply } of script) {
        const rule = REQUESTS[message.type].handles;
        const polled = (message.body as { polled?: boolean }).polled;
        const count =
          rule === 'regions'
            ? (message.body as { regions: unknown[] }).regions.length
            : rule === 'unless-polled'
              ? polled
                ? 0
                : 1
              : rule === 'optional'
                ? 0
                : rule;
        const handles = Array.from({ length: count }, () => handle('any'));
        try {
          front.send(message.type, message.body as never, handles, needReply);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
      }
      front.session.close();
      front.session.close();
      if (front.device.running.size > 0) throw new Error('a ring still runs');
      const left = front.given.filter((h) => !front.device.released.has(h));
      if (left.length > 0) throw new Error(`never released: ${left.join()}`);
    }),
    { numRuns: 500 },
  );
});
