// Conditions and errors of each 2D command, in the order in which QEMU's devices check them (recorded answers).
import t, { type Test } from 'tap';
import { VIRTIO_GPU_CMD } from '../../../../lib/layout/virtio-gpu.js';
import { featureBits, VIRTIO_F_VERSION_1 } from '../../../../lib/layout/virtio-ring.js';
import { encodeCommand, type GpuCommandName, type GpuFields } from '../../../../lib/virtio/gpu-codec.js';
import { pictureOf } from '../../../../services/vhost-gpu/pixels.js';
import { GpuTester, PIXELS_AT } from '../../../../testkit/gpu-tester.js';

const OK = 'OK_NODATA';
const r = (x: number, y: number, width: number, height: number) => ({ x, y, width, height });
const MAX = 0xffffffff;

type Case = { [N in GpuCommandName]: [title: string, name: N, fields: GpuFields<N>, answer: string] }[GpuCommandName];

/** Resource 1: 32 x 16 with backing; 2: 8 x 8 without. */
function table(t: Test, cases: readonly Case[]) {
  for (const [title, name, fields, answer] of cases) {
    const gpu = new GpuTester();
    gpu.resource(1, 32, 16);
    gpu.expect('RESOURCE_CREATE_2D', { resource_id: 2, format: 1, width: 8, height: 8 });
    t.equal(gpu.send(name, fields), answer, `${name}: ${title}`);
    t.equal(gpu.errors[0], 0);
  }
}

t.test('RESOURCE_CREATE_2D', async (t) => {
  const good = { resource_id: 3, format: 1, width: 4, height: 4 };
  table(t, [
    ['new', 'RESOURCE_CREATE_2D', good, OK],
    ['id 0', 'RESOURCE_CREATE_2D', { ...good, resource_id: 0, format: 99 }, 'ERR_INVALID_RESOURCE_ID'],
    ['id taken', 'RESOURCE_CREATE_2D', { ...good, resource_id: 1 }, 'ERR_INVALID_RESOURCE_ID'],
    ['unknown format', 'RESOURCE_CREATE_2D', { ...good, format: 5, width: MAX, height: MAX }, 'ERR_INVALID_PARAMETER'],
    ['no pixels', 'RESOURCE_CREATE_2D', { ...good, width: 0 }, OK],
    ['over the host memory', 'RESOURCE_CREATE_2D', { ...good, width: 8192, height: 8193 }, 'ERR_OUT_OF_MEMORY'],
    [
      'a product that wraps 32 bits',
      'RESOURCE_CREATE_2D',
      { ...good, width: 0x8000, height: 0x8000 },
      'ERR_OUT_OF_MEMORY',
    ],
    ['the largest numbers', 'RESOURCE_CREATE_2D', { ...good, width: MAX, height: MAX }, 'ERR_OUT_OF_MEMORY'],
    ['longer than a side may be', 'RESOURCE_CREATE_2D', { ...good, width: 1, height: 16385 }, 'ERR_OUT_OF_MEMORY'],
  ]);
  for (const format of [1, 2, 3, 4, 67, 68, 121, 134]) {
    t.equal(new GpuTester().send('RESOURCE_CREATE_2D', { ...good, format }), OK, `format ${format}`);
  }
});

t.test('RESOURCE_ATTACH_BACKING and DETACH_BACKING', async (t) => {
  const one = (resource_id: number, addr: number, length: number, nr_entries = 1) => ({
    resource_id,
    nr_entries,
    entries: [{ addr, length }],
  });
  const end = 8 << 20;
  table(t, [
    ['a page', 'RESOURCE_ATTACH_BACKING', one(2, PIXELS_AT, 4096), OK],
    ['unknown resource, bad entry', 'RESOURCE_ATTACH_BACKING', one(9, end, 1), 'ERR_INVALID_RESOURCE_ID'],
    ['attached already', 'RESOURCE_ATTACH_BACKING', one(1, PIXELS_AT, 4096), 'ERR_UNSPEC'],
    ['fewer entries than announced', 'RESOURCE_ATTACH_BACKING', one(2, PIXELS_AT, 4096, 2), 'ERR_UNSPEC'],
    ['the largest count', 'RESOURCE_ATTACH_BACKING', one(2, PIXELS_AT, 4096, MAX), 'ERR_UNSPEC'],
    ['up to the end of memory', 'RESOURCE_ATTACH_BACKING', one(2, end - 4096, 4096), OK],
    ['past the end of memory', 'RESOURCE_ATTACH_BACKING', one(2, end - 4095, 4096), 'ERR_UNSPEC'],
    ['outside memory', 'RESOURCE_ATTACH_BACKING', one(2, 2 ** 53, 4096), 'ERR_UNSPEC'],
    ['an entry of no length', 'RESOURCE_ATTACH_BACKING', one(2, PIXELS_AT, 0), 'ERR_UNSPEC'],
    ['no entries', 'RESOURCE_ATTACH_BACKING', { resource_id: 2, nr_entries: 0, entries: [] }, OK],
    ['with backing', 'RESOURCE_DETACH_BACKING', { resource_id: 1 }, OK],
    ['without backing', 'RESOURCE_DETACH_BACKING', { resource_id: 2 }, 'ERR_INVALID_RESOURCE_ID'],
    ['unknown', 'RESOURCE_DETACH_BACKING', { resource_id: 7 }, 'ERR_INVALID_RESOURCE_ID'],
  ]);
  const gpu = new GpuTester();
  gpu.expect('RESOURCE_CREATE_2D', { resource_id: 2, format: 1, width: 8, height: 8 });
  gpu.expect('RESOURCE_ATTACH_BACKING', { resource_id: 2, nr_entries: 0, entries: [] });
  const transfer = { resource_id: 2, r: r(0, 0, 8, 8), offset: 0n };
  t.equal(gpu.send('TRANSFER_TO_HOST_2D', transfer), 'ERR_INVALID_RESOURCE_ID', 'no entries are no backing');
  t.equal(
    gpu.send('RESOURCE_ATTACH_BACKING', {
      resource_id: 2,
      nr_entries: 2,
      entries: [
        { addr: PIXELS_AT, length: 4096 },
        { addr: end, length: 4096 },
      ],
    }),
    'ERR_UNSPEC',
  );
  t.equal(gpu.send('RESOURCE_DETACH_BACKING', { resource_id: 2 }), 'ERR_INVALID_RESOURCE_ID', 'nothing was attached');
  t.equal(gpu.device.resources.entriesHeld, 0);
});

t.test('TRANSFER_TO_HOST_2D', async (t) => {
  const transfer = (x: number, y: number, w: number, h: number, offset = 0n, resource_id = 1) => ({
    resource_id,
    r: r(x, y, w, h),
    offset,
  });
  table(t, [
    ['whole', 'TRANSFER_TO_HOST_2D', transfer(0, 0, 32, 16), OK],
    ['unknown', 'TRANSFER_TO_HOST_2D', transfer(0, 0, 99, 1, 0n, 9), 'ERR_INVALID_RESOURCE_ID'],
    ['no backing', 'TRANSFER_TO_HOST_2D', transfer(0, 0, 99, 1, 0n, 2), 'ERR_INVALID_RESOURCE_ID'],
    ['one column too far', 'TRANSFER_TO_HOST_2D', transfer(1, 0, 32, 1), 'ERR_INVALID_PARAMETER'],
    ['one row too far', 'TRANSFER_TO_HOST_2D', transfer(0, 1, 32, 16), 'ERR_INVALID_PARAMETER'],
    ['a sum that wraps', 'TRANSFER_TO_HOST_2D', transfer(MAX, 0, 1, 1), 'ERR_INVALID_PARAMETER'],
    ['a sum that wraps further', 'TRANSFER_TO_HOST_2D', transfer(0, MAX - 1, 1, 3), 'ERR_INVALID_PARAMETER'],
    ['no pixels', 'TRANSFER_TO_HOST_2D', transfer(32, 16, 0, 0), OK],
    ['offset past the backing', 'TRANSFER_TO_HOST_2D', transfer(0, 0, 32, 16, 0xffff_ffff_ffff_ffffn), OK],
  ]);
});

t.test('SET_SCANOUT, RESOURCE_FLUSH and RESOURCE_UNREF', async (t) => {
  const scanout = (scanout_id: number, resource_id: number, rect = r(0, 0, 32, 16)) => ({
    scanout_id,
    resource_id,
    r: rect,
  });
  table(t, [
    ['on', 'SET_SCANOUT', scanout(0, 1), OK],
    ['scanout that does not exist', 'SET_SCANOUT', scanout(1, 99), 'ERR_INVALID_SCANOUT_ID'],
    ['off, already off, any rect', 'SET_SCANOUT', scanout(0, 0, r(9, 9, MAX, MAX)), OK],
    ['unknown resource', 'SET_SCANOUT', scanout(0, 99, r(0, 0, MAX, MAX)), 'ERR_INVALID_RESOURCE_ID'],
    ['rect outside', 'SET_SCANOUT', scanout(0, 1, r(0, 0, 33, 16)), 'ERR_INVALID_PARAMETER'],
    ['rect that wraps', 'SET_SCANOUT', scanout(0, 1, r(MAX, 0, 32, 16)), 'ERR_INVALID_PARAMETER'],
    ['no pixels', 'SET_SCANOUT', scanout(0, 1, r(0, 0, 0, 16)), 'ERR_INVALID_PARAMETER'],
    ['a small part', 'SET_SCANOUT', scanout(0, 1, r(31, 15, 1, 1)), OK],
    ['not shown', 'RESOURCE_FLUSH', { resource_id: 1, r: r(0, 0, 32, 16) }, OK],
    ['unknown', 'RESOURCE_FLUSH', { resource_id: 0, r: r(0, 0, MAX, 1) }, 'ERR_INVALID_RESOURCE_ID'],
    ['outside', 'RESOURCE_FLUSH', { resource_id: 1, r: r(0, 0, 32, 17) }, 'ERR_INVALID_PARAMETER'],
    ['no pixels', 'RESOURCE_FLUSH', { resource_id: 1, r: r(0, 0, 0, 0) }, OK],
    ['known', 'RESOURCE_UNREF', { resource_id: 1 }, OK],
    ['unknown', 'RESOURCE_UNREF', { resource_id: 0 }, 'ERR_INVALID_RESOURCE_ID'],
  ]);
});

t.test('a scanout shows the last resource set, and goes dark with it', async (t) => {
  const gpu = new GpuTester({
    displays: [
      { width: 640, height: 480 },
      { width: 640, height: 480 },
    ],
  });
  gpu.resource(1, 8, 8);
  gpu.resource(2, 8, 8);
  const show = (scanout_id: number, resource_id: number) =>
    gpu.expect('SET_SCANOUT', { scanout_id, resource_id, r: r(0, 0, 8, 4) });
  show(0, 1);
  show(1, 1);
  gpu.expect('RESOURCE_FLUSH', { resource_id: 1, r: r(0, 4, 8, 4) });
  t.equal(gpu.device.scanouts.get(0)!.flushCount, 0, 'a flush beside the part shown is none of the scanout');
  gpu.expect('RESOURCE_FLUSH', { resource_id: 1, r: r(0, 3, 1, 1) });
  t.same(
    [0, 1].map((index) => gpu.device.scanouts.get(index)!.flushCount),
    [1, 1],
  );
  show(1, 2);
  gpu.expect('RESOURCE_FLUSH', { resource_id: 1, r: r(0, 0, 8, 8) });
  t.same(
    [0, 1].map((index) => gpu.device.scanouts.get(index)!.flushCount),
    [2, 1],
  );
  gpu.expect('RESOURCE_UNREF', { resource_id: 1 });
  t.equal(gpu.device.scanouts.get(0)!.shown, undefined);
  t.ok(gpu.device.scanouts.get(1)!.shown);
  gpu.expect('RESOURCE_CREATE_2D', { resource_id: 1, format: 1, width: 1, height: 1 });
  t.equal(gpu.device.scanouts.get(0)!.shown, undefined, 'the id is new, what it names too');
});

t.test('requests that are no command are answered, the tail of a long one is ignored', async (t) => {
  const gpu = new GpuTester();
  const type = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const flush = encodeCommand('RESOURCE_FLUSH', { resource_id: 0, r: r(0, 0, 0, 0) }, { fence: 7n });
  t.equal(type(gpu.raw(flush.subarray(0, 47))), 0x1205, 'short');
  t.equal(type(gpu.raw(flush.subarray(0, 23))), 0x1205, 'not even a header');
  t.equal(type(gpu.raw(new Uint8Array(0))), 0x1205, 'nothing at all');
  t.equal(type(gpu.raw(Uint8Array.of(...flush, 1, 2, 3))), 0x1203, 'long');
  for (const code of [0, 0x0108, 0x0200, 0x0207, 0xffffffff, VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_MOVE_CURSOR]) {
    const bytes = new Uint8Array(64);
    new DataView(bytes.buffer).setUint32(0, code, true);
    t.equal(type(gpu.raw(bytes)), 0x1200, `type 0x${code.toString(16)}`);
  }
  t.equal(gpu.raw(flush, { room: 23 }).length, 23, 'an answer is cut to the room there is');
  t.equal(gpu.raw(flush, { room: 0 }).length, 0);
  t.equal(gpu.raw(flush, { room: 24 }).length, 24);
});

t.test('display info, EDID and the feature that brings it', async (t) => {
  const gpu = new GpuTester({
    displays: [
      { width: 1920, height: 1080 },
      { width: 800, height: 600 },
    ],
  });
  const info = gpu.control2d('GET_DISPLAY_INFO', {});
  t.match(info, {
    name: 'OK_DISPLAY_INFO',
    pmodes: {
      0: { r: r(0, 0, 1920, 1080), enabled: 1 },
      1: { r: r(0, 0, 800, 600), enabled: 1 },
      2: { enabled: 0 },
      length: 16,
    },
  });
  t.equal(gpu.send('GET_EDID', { scanout: 1 }), 'OK_EDID');
  t.equal(gpu.send('GET_EDID', { scanout: 2 }), 'ERR_INVALID_PARAMETER');
  const plain = new GpuTester({ features: featureBits(VIRTIO_F_VERSION_1) });
  t.equal(plain.send('GET_EDID', { scanout: 0 }), 'ERR_UNSPEC', 'not negotiated');
});

t.test('a picture has the cursor over it only when it is asked for, where the picture is below it', async (t) => {
  const gpu = new GpuTester();
  gpu.resource(1, 20, 10);
  gpu.resource(5, 64, 64, PIXELS_AT + 20 * 10 * 4);
  gpu.memory.write(PIXELS_AT, new Uint8Array(20 * 10 * 4).fill(100));
  const image = new Uint8Array(64 * 64 * 4);
  const put = (x: number, y: number, bgra: readonly number[]): void => image.set(bgra, (y * 64 + x) * 4);
  put(0, 0, [1, 2, 3, 255]); // outside the picture
  put(4, 3, [10, 20, 30, 255]);
  put(5, 3, [200, 0, 50, 128]);
  put(6, 3, [255, 255, 255, 0]);
  gpu.memory.write(PIXELS_AT + 20 * 10 * 4, image);
  for (const [resource_id, size] of [
    [1, r(0, 0, 20, 10)],
    [5, r(0, 0, 64, 64)],
  ] as const)
    gpu.expect('TRANSFER_TO_HOST_2D', { resource_id, r: size, offset: 0n });
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r: r(0, 0, 20, 10) });
  const pos = { scanout_id: 0, x: -4 >>> 0, y: -3 >>> 0 };
  gpu.onCursor('UPDATE_CURSOR', { pos, resource_id: 5, hot_x: 0, hot_y: 0 });
  const scanout = gpu.device.scanouts.get(0)!;
  const pixel = (rgba: Uint8Array, x: number, y: number) => [...rgba.subarray((y * 20 + x) * 4, (y * 20 + x) * 4 + 4)];
  const plain = pictureOf(scanout)!.rgba;
  t.ok(
    plain.every((value, at) => value === (at % 4 === 3 ? 255 : 100)),
    'without it, unless asked for',
  );
  const { rgba } = pictureOf(scanout, { withCursor: true })!;
  t.same(pixel(rgba, 0, 0), [30, 20, 10, 255]);
  t.same(pixel(rgba, 1, 0), [75, 50, 150, 255], 'half of it');
  t.same(pixel(rgba, 2, 0), [100, 100, 100, 255], 'nothing of it');
  gpu.onCursor('MOVE_CURSOR', { pos, resource_id: 0, hot_x: 0, hot_y: 0 });
  t.same(pictureOf(scanout, { withCursor: true })!.rgba, plain, 'hidden');
});

t.test('the cursor queue answers where there is room for it, and nothing it does can fail', async (t) => {
  const gpu = new GpuTester();
  gpu.resource(5, 64, 64);
  gpu.resource(6, 32, 32, PIXELS_AT + 64 * 64 * 4);
  gpu.memory.write(PIXELS_AT, new Uint8Array(64 * 64 * 4).fill(0x5a));
  gpu.expect('TRANSFER_TO_HOST_2D', { resource_id: 5, r: r(0, 0, 64, 64), offset: 0n });
  const pos = { scanout_id: 0, x: 10, y: 0xfffffffe };
  const type = (bytes: Uint8Array) => new DataView(bytes.buffer).getUint32(0, true);
  const cursor = () => gpu.device.scanouts.get(0)!.cursor;

  t.equal(gpu.onCursor('UPDATE_CURSOR', { pos, resource_id: 5, hot_x: 1, hot_y: 2 }, 0).length, 0, 'as Linux sends it');
  t.match(cursor(), { x: 10, y: 0xfffffffe, hotX: 1, hotY: 2, visible: true });
  t.equal(cursor().image[100], 0x5a);
  t.equal(type(gpu.onCursor('MOVE_CURSOR', { pos: { ...pos, x: 11 }, resource_id: 5, hot_x: 0, hot_y: 0 })), 0x1100);
  t.match(cursor(), { x: 11, hotX: 1, visible: true });

  t.equal(type(gpu.onCursor('UPDATE_CURSOR', { pos, resource_id: 6, hot_x: 0, hot_y: 0 })), 0x1205, 'not 64 x 64');
  t.equal(type(gpu.onCursor('UPDATE_CURSOR', { pos, resource_id: 77, hot_x: 0, hot_y: 0 })), 0x1203);
  t.equal(
    type(gpu.onCursor('MOVE_CURSOR', { pos: { ...pos, scanout_id: 1 }, resource_id: 5, hot_x: 0, hot_y: 0 })),
    0x1202,
  );
  t.equal(cursor().image[100], 0x5a, 'the old image stays');
  t.equal(type(gpu.onCursor('RESOURCE_UNREF', { resource_id: 5 })), 0x1200, 'a control command');
  t.ok(gpu.device.resources.get(5), 'and it is not done');

  gpu.expect('RESOURCE_UNREF', { resource_id: 5 });
  t.equal(cursor().image[100], 0x5a, 'the image is a copy');
  gpu.onCursor('UPDATE_CURSOR', { pos, resource_id: 0, hot_x: 0, hot_y: 0 });
  t.equal(cursor().visible, false);
  gpu.onCursor('MOVE_CURSOR', { pos, resource_id: 5, hot_x: 0, hot_y: 0 });
  t.equal(cursor().visible, true, 'the id of the command decides');
  gpu.onCursor('MOVE_CURSOR', { pos, resource_id: 0, hot_x: 0, hot_y: 0 });
  t.equal(cursor().visible, false);
  gpu.onCursor('MOVE_CURSOR', { pos, resource_id: 5, hot_x: 0, hot_y: 0 });
  t.equal(cursor().visible, true, 'also after one that hid it');
});
