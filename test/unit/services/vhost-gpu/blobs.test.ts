// Blobs of guest memory and resource UUIDs: conditions and errors as QEMU's device has them (hw/display/virtio-gpu.c), and
// that what is shown is read from guest memory at each flush and at no other time.
import t from 'tap';
import { featureBits, VIRTIO_F_VERSION_1 } from '../../../../lib/layout/virtio-ring.js';
import type { GpuFields } from '../../../../lib/virtio/gpu-codec.js';
import { executeControl } from '../../../../services/vhost-gpu/commands.js';
import { pictureOf } from '../../../../services/vhost-gpu/pixels.js';
import { GpuTester, PIXELS_AT } from '../../../../testkit/gpu-tester.js';
import { plainMemory } from '../../../../testkit/ring-driver.js';

const OK = 'OK_NODATA';
const ID = 'ERR_INVALID_RESOURCE_ID';
const PARAMETER = 'ERR_INVALID_PARAMETER';
const r = (x: number, y: number, width: number, height: number) => ({ x, y, width, height });
type Blob = GpuFields<'RESOURCE_CREATE_BLOB'>;
type Show = GpuFields<'SET_SCANOUT_BLOB'>;

/** A blob in two pieces, the second before the first in memory, and a picture of 20 x 10 with a stride of 96 in it. */
const PIECES = [
  { addr: PIXELS_AT + 4096, length: 500 },
  { addr: PIXELS_AT, length: 2000 },
];
const BYTES = 2500;
const [WIDTH, HEIGHT, STRIDE, OFFSET] = [20, 10, 96, 40];
const blob = (fields: Partial<Blob> = {}): Blob => {
  const entries = fields.entries ?? PIECES;
  return {
    ...{ resource_id: 5, blob_mem: 1, blob_flags: 2, blob_id: 0n, size: BigInt(BYTES) },
    ...{ entries, nr_entries: entries.length, ...fields },
  };
};
const show = (fields: Partial<Show> = {}): Show => ({
  ...{ r: r(0, 0, WIDTH, HEIGHT), scanout_id: 0, resource_id: 5, width: WIDTH, height: HEIGHT, format: 2 },
  ...{ strides: [STRIDE, 0, 0, 0], offsets: [OFFSET, 0, 0, 0], ...fields },
});

/** Writes one byte of the blob's string. */
function put(gpu: GpuTester, at: number, value: number): void {
  gpu.memory.writeU8(at < 500 ? PIXELS_AT + 4096 + at : PIXELS_AT + at - 500, value);
}
const pixelAt = (x: number, y: number): number => OFFSET + y * STRIDE + x * 4;

t.test('RESOURCE_CREATE_BLOB', async (t) => {
  const cases: [string, Partial<Blob>, string][] = [
    ['new', {}, OK],
    ['id 0', { resource_id: 0 }, ID],
    ['an id that is taken', { resource_id: 1 }, ID],
    ['host memory', { blob_mem: 2 }, PARAMETER],
    ['host and guest memory', { blob_mem: 3 }, PARAMETER],
    ['no memory', { blob_mem: 0 }, PARAMETER],
    ['every flag', { blob_flags: 7 }, OK],
    ['a flag that is none', { blob_flags: 8 }, PARAMETER],
    ['of no size', { size: 0n }, PARAMETER],
    ['larger than its pieces', { size: BigInt(BYTES + 1) }, PARAMETER],
    ['of the largest size', { size: 0xffff_ffff_ffff_ffffn }, PARAMETER],
    ['fewer entries than announced', { nr_entries: 3 }, 'ERR_UNSPEC'],
    ['a piece outside memory', { entries: [{ addr: 2 ** 40, length: BYTES }] }, 'ERR_UNSPEC'],
    ['a piece of no length', { entries: [...PIECES, { addr: PIXELS_AT, length: 0 }] }, 'ERR_UNSPEC'],
  ];
  for (const [title, fields, answer] of cases) {
    const gpu = new GpuTester();
    gpu.resource(1, 8, 8);
    t.equal(gpu.send('RESOURCE_CREATE_BLOB', blob(fields)), answer, title);
    t.equal(gpu.device.resources.count, answer === OK ? 2 : 1, 'nothing is left of one that was refused');
    t.equal(gpu.device.resources.entriesHeld, answer === OK ? 3 : 1);
  }
});

t.test('SET_SCANOUT_BLOB', async (t) => {
  const cases: [string, Partial<Show>, string][] = [
    ['the whole picture', {}, OK],
    ['a part', { r: r(4, 2, 16, 8) }, OK],
    ['off', { resource_id: 0, width: 0, strides: [0, 0, 0, 0] }, OK],
    ['a scanout that is none', { scanout_id: 1, resource_id: 9 }, 'ERR_INVALID_SCANOUT_ID'],
    ['an unknown resource', { resource_id: 9, format: 9 }, ID],
    ['a 2D resource', { resource_id: 1 }, ID],
    ['an unknown format', { format: 9 }, PARAMETER],
    ['no pixels', { r: r(0, 0, 0, HEIGHT) }, PARAMETER],
    ['a rectangle outside the picture', { r: r(1, 0, WIDTH, HEIGHT) }, PARAMETER],
    ['a sum that wraps', { r: r(0xffffffff, 0, 2, 2) }, PARAMETER],
    ['rows that overlap', { strides: [WIDTH * 4 - 1, 0, 0, 0] }, PARAMETER],
    ['up to the last byte', { offsets: [BYTES - STRIDE * (HEIGHT - 1) - WIDTH * 4, 0, 0, 0] }, OK],
    ['a byte past it', { offsets: [BYTES - STRIDE * (HEIGHT - 1) - WIDTH * 4 + 1, 0, 0, 0] }, PARAMETER],
    ['the largest numbers', { strides: [0xffffffff, 0, 0, 0], offsets: [0xffffffff, 0, 0, 0] }, PARAMETER],
  ];
  for (const [title, fields, answer] of cases) {
    const gpu = new GpuTester();
    gpu.resource(1, 32, 16);
    gpu.expect('RESOURCE_CREATE_BLOB', blob());
    t.equal(gpu.send('SET_SCANOUT_BLOB', show(fields)), answer, title);
  }
  const gpu = new GpuTester();
  gpu.expect('RESOURCE_CREATE_BLOB', blob());
  t.equal(gpu.send('SET_SCANOUT', { scanout_id: 0, resource_id: 5, r: r(0, 0, 8, 8) }), ID, 'a blob as a 2D resource');
  gpu.expect('RESOURCE_DETACH_BACKING', { resource_id: 5 });
  t.equal(gpu.send('SET_SCANOUT_BLOB', show()), ID, 'a blob without its memory');
});

t.test('a flush shows what guest memory holds then, where it says and nowhere else', async (t) => {
  const gpu = new GpuTester();
  gpu.expect('RESOURCE_CREATE_BLOB', blob());
  gpu.expect('SET_SCANOUT_BLOB', show({ r: r(4, 2, 16, 8) }));
  const scanout = gpu.device.scanouts.get(0)!;
  const seen = (x: number, y: number) => {
    const { rgba, width } = pictureOf(scanout)!;
    return [...rgba.subarray((y * width + x) * 4, (y * width + x) * 4 + 3)];
  };
  for (const [x, y] of [
    [4, 2],
    [19, 9],
    [10, 5],
  ] as const)
    for (const [byte, value] of [x, y, x + y].entries()) put(gpu, pixelAt(x, y) + byte, value);
  t.same(seen(0, 0), [0, 0, 0], 'nothing before the flush');
  t.equal(gpu.send('RESOURCE_FLUSH', { resource_id: 5, r: r(0, 0, 8, 8) }), OK);
  t.same(
    [seen(0, 0), seen(15, 7), seen(6, 3)],
    [
      [6, 2, 4],
      [0, 0, 0],
      [0, 0, 0],
    ],
  );
  t.equal(gpu.send('RESOURCE_FLUSH', { resource_id: 5, r: r(0, 0, WIDTH, HEIGHT) }), OK);
  t.same(
    [seen(0, 0), seen(15, 7), seen(6, 3)],
    [
      [6, 2, 4],
      [28, 9, 19],
      [15, 5, 10],
    ],
  );
  put(gpu, pixelAt(4, 2), 99);
  t.same(seen(0, 0), [6, 2, 4], 'a write is not seen until the next flush');
  t.equal(gpu.send('TRANSFER_TO_HOST_2D', { resource_id: 5, r: r(0, 0, 1, 1), offset: 0n }), OK);
  t.same(seen(0, 0), [6, 2, 4], 'and a transfer has nothing to do');
  t.equal(scanout.flushCount, 2);
  t.equal(gpu.send('RESOURCE_FLUSH', { resource_id: 5, r: r(0, 0, 4, 2) }), PARAMETER, 'outside what is shown');
});

t.test('two blobs shown in turn share the surface; every way of not showing them gives it back', async (t) => {
  const bytes = WIDTH * HEIGHT * 4;
  const gpu = new GpuTester({ hostBytesMax: 3 * bytes, displays: [{ width: 64, height: 64 }, undefined] });
  const held = () => gpu.device.resources.hostBytes;
  for (const resource_id of [5, 6]) gpu.expect('RESOURCE_CREATE_BLOB', blob({ resource_id }));
  t.equal(held(), 0, 'a blob itself takes no host memory');
  for (const resource_id of [5, 6, 5]) gpu.expect('SET_SCANOUT_BLOB', show({ resource_id }));
  t.equal(held(), bytes);
  gpu.expect('SET_SCANOUT_BLOB', show({ scanout_id: 1 }));
  t.equal(held(), 2 * bytes);
  t.equal(gpu.send('SET_SCANOUT_BLOB', show({ height: 9, r: r(0, 0, 8, 8), format: 1 })), OK);
  t.equal(held(), bytes + (bytes * 9) / 10, 'of another shape it is another surface');
  gpu.expect('RESOURCE_CREATE_2D', { resource_id: 7, format: 2, width: WIDTH, height: HEIGHT });
  t.equal(gpu.send('SET_SCANOUT_BLOB', show({ scanout_id: 0 })), 'ERR_OUT_OF_MEMORY');
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 7, r: r(0, 0, WIDTH, HEIGHT) });
  t.equal(held(), 2 * bytes);
  gpu.expect('SET_SCANOUT_BLOB', show({ scanout_id: 1, resource_id: 6 }));
  gpu.expect('RESOURCE_UNREF', { resource_id: 6 });
  t.equal(held(), bytes);
  gpu.expect('SET_SCANOUT_BLOB', show());
  gpu.device.stopQueue(0);
  gpu.device.reset();
  t.equal(held(), 0);
});

t.test('memory that goes from under a blob fails its flush, and the last picture stays', async (t) => {
  const gpu = new GpuTester();
  gpu.expect('RESOURCE_CREATE_BLOB', blob({ entries: [{ addr: 1 << 20, length: BYTES }] }));
  gpu.expect('SET_SCANOUT_BLOB', show());
  gpu.memory.writeU8((1 << 20) + OFFSET, 77);
  gpu.expect('RESOURCE_FLUSH', { resource_id: 5, r: r(0, 0, 8, 8) });
  gpu.device.stopQueue(0);
  const smaller = plainMemory(1 << 20);
  smaller.write(0, gpu.memory.view(0, 1 << 20));
  gpu.device.setMemory(smaller);
  const scanout = gpu.device.scanouts.get(0)!;
  const flush = { resource_id: 5, r: r(0, 0, 8, 8) };
  const hdr = { type: 0x0104, flags: 0, fence_id: 0n, ctx_id: 0, ring_idx: 0 };
  const { response } = executeControl(gpu.device, { name: 'RESOURCE_FLUSH', hdr, ...flush });
  t.equal(response.name, 'ERR_UNSPEC');
  t.equal(scanout.shown?.surface.pixels[0], 77);
});

t.test('a cursor may be a blob', async (t) => {
  const gpu = new GpuTester();
  const bytes = 64 * 64 * 4;
  const entries = [{ addr: PIXELS_AT, length: bytes }];
  gpu.memory.write(
    PIXELS_AT,
    Uint8Array.from({ length: bytes }, (_, at) => at % 251),
  );
  gpu.expect('RESOURCE_CREATE_BLOB', blob({ entries, size: BigInt(bytes) }));
  gpu.expect('RESOURCE_CREATE_BLOB', blob({ resource_id: 6, entries, size: BigInt(bytes - 1) }));
  const update = (resource_id: number) =>
    gpu.onCursor('UPDATE_CURSOR', { pos: { scanout_id: 0, x: 1, y: 2 }, resource_id, hot_x: 0, hot_y: 0 });
  t.equal(new DataView(update(6).buffer).getUint32(0, true), 0x1205, 'too small');
  t.equal(new DataView(update(5).buffer).getUint32(0, true), 0x1100);
  t.same(gpu.device.scanouts.get(0)!.cursor.image, gpu.memory.view(PIXELS_AT, bytes));
});

t.test('RESOURCE_ASSIGN_UUID names a resource, always the same, each another', async (t) => {
  const gpu = new GpuTester();
  gpu.resource(1, 8, 8);
  gpu.expect('RESOURCE_CREATE_BLOB', blob());
  const uuid = (resource_id: number) => {
    const answer = gpu.control2d('RESOURCE_ASSIGN_UUID', { resource_id });
    return answer.name === 'OK_RESOURCE_UUID' ? answer.uuid : answer.name;
  };
  const first = uuid(1);
  t.same(uuid(1), first);
  t.notSame(uuid(5), first);
  t.equal(uuid(9), ID);
  gpu.expect('RESOURCE_UNREF', { resource_id: 1 });
  gpu.resource(1, 8, 8);
  t.notSame(uuid(1), first, 'a resource made anew has another');
});

t.test('without its feature a command is unknown', async (t) => {
  const gpu = new GpuTester({ features: featureBits(VIRTIO_F_VERSION_1) });
  gpu.resource(1, 8, 8);
  t.equal(gpu.send('RESOURCE_CREATE_BLOB', blob()), 'ERR_UNSPEC');
  t.equal(gpu.send('SET_SCANOUT_BLOB', show({ resource_id: 0 })), 'ERR_UNSPEC');
  t.equal(gpu.send('RESOURCE_ASSIGN_UUID', { resource_id: 1 }), 'ERR_UNSPEC');
});
