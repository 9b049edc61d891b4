import fc from 'fast-check';
import t from 'tap';
import { BROKEN_QUEUES_LOGGED_MAX, GPU_COMMANDS_PER_TURN } from '../../../../lib/core/limits.js';
import { NO_LOG } from '../../../../lib/core/log.js';
import { NO_PROBE, type Probe } from '../../../../lib/core/probe.js';
import { VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from '../../../../lib/layout/virtio-ring.js';
import { encodeCommand } from '../../../../lib/virtio/gpu-codec.js';
import { GpuTester, PIXELS_AT } from '../../../../testkit/gpu-tester.js';
import { plainMemory } from '../../../../testkit/ring-driver.js';

const r = (width: number, height: number) => ({ x: 0, y: 0, width, height });

t.test("Linux's first modeset puts the guest's picture on the scanout", async (t) => {
  const gpu = new GpuTester();
  const [width, height] = [64, 48];
  const picture = Uint8Array.from({ length: width * height * 4 }, (_, index) => (index * 31) >>> 3);
  gpu.memory.write(PIXELS_AT, picture);
  gpu.expect('RESOURCE_CREATE_2D', { resource_id: 2, format: 2, width, height });
  gpu.attach(2, [
    { addr: PIXELS_AT, length: 4096 },
    { addr: PIXELS_AT + 4096, length: 4096 },
    { addr: PIXELS_AT + 8192, length: 4096 },
  ]);
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 0, r: r(width, height) });
  gpu.expect('TRANSFER_TO_HOST_2D', { resource_id: 2, r: r(width, height), offset: 0n });
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 2, r: r(width, height) });
  const fenced = gpu.control2d(
    'RESOURCE_FLUSH',
    { resource_id: 2, r: r(width, height) },
    { fence: 0xfedc_ba98_7654_3210n },
  );
  t.match(fenced, { name: 'OK_NODATA', hdr: { flags: 1, fence_id: 0xfedc_ba98_7654_3210n } });
  const scanout = gpu.device.scanouts.get(0)!;
  t.same(scanout.shown?.resource.pixels, picture);
  t.equal(scanout.flushCount, 1);
  t.equal(scanout.firstFlushNs, 1n);
});

t.test('a batch is served in order, in turns of a bounded number, each chain answered once', async (t) => {
  const gpu = new GpuTester();
  const count = 64;
  const request = encodeCommand('GET_EDID', { scanout: 9 });
  gpu.memory.write(0x8000, request);
  for (let round = 0; round < 3; round++) {
    const heads: number[] = [];
    // One descriptor a chain: all answers have no room, so that 64 fit.
    for (let index = 0; index < count; index++) heads.push(gpu.control.add([{ addr: 0x8000, len: request.length }]));
    gpu.device.kick(0);
    t.ok(gpu.deferred.length <= 1);
    gpu.device.kick(0);
    t.ok(gpu.deferred.length <= 1, 'a kick while a turn is due adds none');
    const turns = gpu.run();
    t.ok(turns >= Math.floor(count / GPU_COMMANDS_PER_TURN), `${turns} turns`);
    t.same(
      gpu.control.collect().map(({ id }) => id),
      heads,
    );
  }
});

t.test('copied bytes end a turn too', async (t) => {
  const gpu = new GpuTester({ memory: plainMemory(32 << 20) });
  gpu.resource(1, 2048, 2048);
  const transfer = encodeCommand('TRANSFER_TO_HOST_2D', { resource_id: 1, r: r(2048, 2048), offset: 0n });
  gpu.memory.write(0x8000, transfer);
  for (let index = 0; index < 3; index++) gpu.control.add([{ addr: 0x8000, len: transfer.length }]);
  gpu.device.kick(0);
  t.equal(gpu.control.collect().length, 1, 'sixteen MiB a turn');
  t.equal(gpu.deferred.length, 1);
  gpu.deferred.shift()!();
  t.equal(gpu.control.collect().length, 1);
  gpu.run();
  t.equal(gpu.control.collect().length, 1);
});

t.test('what is in the queue when it starts is served without a kick', async (t) => {
  const gpu = new GpuTester();
  const base = gpu.device.stopQueue(0);
  const request = encodeCommand('GET_EDID', { scanout: 9 });
  gpu.memory.write(0x8000, request);
  gpu.control.add([{ addr: 0x8000, len: request.length }]);
  gpu.device.kick(0);
  gpu.run();
  t.same(gpu.control.collect(), [], 'a stopped queue is not touched');
  gpu.device.startQueue(0, { ...gpu.control.layout, base }, { call: () => {}, error: () => {} });
  t.equal(gpu.run(), 1);
  t.equal(gpu.control.collect().length, 1);
});

t.test('a turn that was due when its queue stopped does nothing', async (t) => {
  const gpu = new GpuTester();
  const base = gpu.device.stopQueue(0);
  const request = encodeCommand('GET_EDID', { scanout: 9 });
  gpu.memory.write(0x8000, request);
  gpu.control.add([{ addr: 0x8000, len: request.length }]);
  gpu.device.startQueue(0, { ...gpu.control.layout, base }, { call: () => {}, error: () => {} });
  t.equal(gpu.device.stopQueue(0), base);
  gpu.device.setMemory(undefined);
  t.equal(gpu.run(), 1);
  gpu.device.setMemory(gpu.memory);
  t.same(gpu.control.collect(), []);
});

t.test('a broken ring stops its queue, tells its front-end once, and leaves the other queue alone', async (t) => {
  const gpu = new GpuTester();
  gpu.resource(1, 4, 4);
  gpu.control.desc(5, { addr: 0, len: 4, flags: VIRTQ_DESC_F_NEXT, next: 5 });
  gpu.control.publish(5);
  gpu.device.kick(0);
  gpu.device.kick(0);
  gpu.run();
  t.same(gpu.errors, [1, 0]);
  t.same(gpu.control.collect(), [], 'nothing is given back');
  const pos = { scanout_id: 0, x: 1, y: 1 };
  t.equal(gpu.onCursor('MOVE_CURSOR', { pos, resource_id: 1, hot_x: 0, hot_y: 0 }).length, 24);
  t.ok(gpu.device.resources.get(1), 'nothing else changes');

  let again = 0;
  const base = gpu.device.stopQueue(0);
  gpu.device.startQueue(0, { ...gpu.control.layout, base }, { call: () => {}, error: () => again++ });
  gpu.run();
  t.equal(again, 1, 'the bad chain is still there');
});

t.test('a guest that breaks its queue for ever does not fill the log', async (t) => {
  let errors = 0;
  const gpu = new GpuTester({ log: { ...NO_LOG, error: () => errors++ } });
  gpu.control.publish(999);
  for (let round = 0; round < BROKEN_QUEUES_LOGGED_MAX + 5; round++) {
    const base = gpu.device.stopQueue(0);
    gpu.device.startQueue(0, { ...gpu.control.layout, base }, { call: () => {}, error: () => {} });
    gpu.run();
  }
  t.equal(errors, BROKEN_QUEUES_LOGGED_MAX);
});

t.test('a reset takes everything that the guest made, and ids are free again', async (t) => {
  const gpu = new GpuTester();
  gpu.resource(1, 4, 4);
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: r(4, 4) });
  gpu.expect('RESOURCE_FLUSH', { resource_id: 1, r: r(4, 4) });
  gpu.device.reset();
  t.match(gpu.device.scanouts.get(0), { shown: undefined, flushCount: 0, firstFlushNs: 0n });
  t.equal(gpu.device.resources.hostBytes, 0);
  gpu.resource(1, 4, 4);
});

t.test('records name each command with its resource, and each frame', async (t) => {
  const records: unknown[][] = [];
  const probe: Probe = {
    ...NO_PROBE,
    at: ({ name }, label = '', a, b) => records.push([name, label, a, b]),
  };
  const gpu = new GpuTester({ probe });
  gpu.resource(7, 4, 4);
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 7, r: r(4, 4) });
  gpu.expect('RESOURCE_FLUSH', { resource_id: 7, r: r(4, 4) });
  gpu.send('RESOURCE_UNREF', { resource_id: 8 });
  t.same(
    records.filter(([name]) => name !== 'gpu.execute'),
    [
      ['resource.take', '', 7, undefined],
      ['gpu.executed', 'RESOURCE_CREATE_2D', 0x101, 7],
      ['gpu.executed', 'RESOURCE_ATTACH_BACKING', 0x106, 7],
      ['gpu.executed', 'SET_SCANOUT', 0x103, 7],
      ['gpu.flush', 'test', 0, 7],
      ['gpu.executed', 'RESOURCE_FLUSH', 0x104, 7],
      ['gpu.executed', 'RESOURCE_UNREF', 0x102, 8],
      ['error.command', 'RESOURCE_UNREF', 0x1203, 8],
    ],
  );
  t.match(records[0], ['gpu.execute', 'RESOURCE_CREATE_2D', 0x101, 7]);
});

t.test('whatever a guest puts into its rings, the device lives and stays within its memory', async () => {
  // Requests that are nearly right reach deeper than noise does.
  const u32 = fc.oneof(
    fc.nat(70),
    fc.constantFrom(0, 1, 0xffffffff, 0x80000000, 4096, 65536),
    fc.integer({ min: 0, max: 0xffffffff }),
  );
  const type = fc.oneof(fc.integer({ min: 0x100, max: 0x110 }), fc.constantFrom(0x200, 0x300, 0x301, 0));
  const request = fc.record({ type, words: fc.array(u32, { minLength: 0, maxLength: 24 }) });
  const desc = fc.record({
    addr: fc.oneof(fc.constantFrom(0x8000, 0x8010, 0xc000, PIXELS_AT, 0, 0x4000, 0x4100), u32),
    len: fc.oneof(fc.constantFrom(0, 16, 24, 32, 56, 64, 2048), u32),
    flags: fc.oneof(
      fc.constantFrom(0, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE),
      fc.constantFrom(VIRTQ_DESC_F_INDIRECT, 3, 7),
    ),
    next: fc.nat(65),
  });
  const round = fc.record({ request, descs: fc.array(desc, { maxLength: 6 }), head: fc.nat(64), queue: fc.nat(1) });
  fc.assert(
    fc.property(fc.array(round, { maxLength: 20 }), (rounds) => {
      const gpu = new GpuTester({ memory: plainMemory(1 << 20), hostBytesMax: 1 << 20 });
      for (const { request, descs, head, queue } of rounds) {
        gpu.memory.write(0x8000, new Uint8Array(Uint32Array.of(request.type, ...request.words).buffer));
        const ring = queue === 0 ? gpu.control : gpu.cursor;
        for (const [index, value] of descs.entries()) ring.desc(index, value);
        if (descs.length > 0) ring.publish(head);
        else
          ring.add([
            { addr: 0x8000, len: 4 + request.words.length * 4 },
            { addr: 0xc000, len: 64, write: true },
          ]);
        gpu.device.kick(queue);
        gpu.run();
        if (gpu.device.resources.hostBytes > 1 << 20) throw new Error('over the bound');
        if (gpu.errors[queue]! > 0) {
          gpu.device.stopQueue(queue);
          return;
        }
      }
    }),
    { numRuns: 400 },
  );
});
