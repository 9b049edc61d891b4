import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import * as M from '../../../lib/layout/virtio-mmio.js';
import { PACKAGE_ROOT } from '../../../lib/node/process/package-root.js';
import { VirtioMmioDevice } from '../../../lib/virtio/mmio-device.js';
import { type MmioEffect, type MmioModel, REGISTERS } from '../../../lib/virtio/mmio-registers.js';

const FEATURES = (1n << 1n) | (1n << 28n) | (1n << 29n) | (1n << 32n);
const MODEL: MmioModel = {
  deviceId: 16,
  vendorId: 0x1234,
  features: FEATURES,
  queueSizesMax: [1024, 1024],
  usedBit: 'always',
};
const CONFIG = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);

const make = (model: Partial<MmioModel> = {}, options = {}) =>
  new VirtioMmioDevice({ ...MODEL, ...model }, CONFIG, options);

/** Drives it as a driver does, up to a status. */
function drive(device: VirtioMmioDevice, status: 1 | 3 | 0xb | 0xf, features = FEATURES): MmioEffect[] {
  const effects: MmioEffect[] = [];
  const w = (offset: number, value: number) => effects.push(...device.write(offset, 4, value));
  w(M.VIRTIO_MMIO_STATUS, 0);
  for (const step of [1, 3, 0xb, 0xf].filter((s) => s <= status)) {
    if (step === 0xb) {
      w(M.VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
      w(M.VIRTIO_MMIO_DRIVER_FEATURES, Number(features >> 32n));
      w(M.VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
      w(M.VIRTIO_MMIO_DRIVER_FEATURES, Number(features & 0xffffffffn));
    }
    if (step === 0xf) for (const index of [0, 1]) queue(device, index);
    w(M.VIRTIO_MMIO_STATUS, step);
  }
  return effects;
}

function queue(device: VirtioMmioDevice, index: number, size = 64, at = 0x10000 * (index + 1)): readonly MmioEffect[] {
  const w = (offset: number, value: number) => device.write(offset, 4, value);
  w(M.VIRTIO_MMIO_QUEUE_SEL, index);
  w(M.VIRTIO_MMIO_QUEUE_NUM, size);
  w(M.VIRTIO_MMIO_QUEUE_DESC_LOW, at);
  w(M.VIRTIO_MMIO_QUEUE_DESC_HIGH, 1);
  w(M.VIRTIO_MMIO_QUEUE_AVAIL_LOW, at + 0x1000);
  w(M.VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 1);
  w(M.VIRTIO_MMIO_QUEUE_USED_LOW, at + 0x2000);
  w(M.VIRTIO_MMIO_QUEUE_USED_HIGH, 1);
  return w(M.VIRTIO_MMIO_QUEUE_READY, 1);
}

t.test('identity, features by page, queue sizes and config read as virtio 1.4 has them', async (t) => {
  const device = make();
  const r = (offset: number) => device.read(offset, 4);
  t.equal(r(M.VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
  t.equal(r(M.VIRTIO_MMIO_VERSION), 2);
  t.equal(r(M.VIRTIO_MMIO_DEVICE_ID), 16);
  t.equal(r(M.VIRTIO_MMIO_VENDOR_ID), 0x1234);
  for (const [page, bits] of [
    [1, 1],
    [0, 0x30000002],
    [2, 0],
    [0xffffffff, 0],
  ] as const) {
    device.write(M.VIRTIO_MMIO_DEVICE_FEATURES_SEL, 4, page);
    t.equal(r(M.VIRTIO_MMIO_DEVICE_FEATURES), bits, `page ${page}`);
  }
  for (const [index, max] of [
    [0, 1024],
    [1, 1024],
    [2, 0],
    [1024, 0],
    [0xffffffff, 0],
  ] as const) {
    device.write(M.VIRTIO_MMIO_QUEUE_SEL, 4, index);
    t.equal(r(M.VIRTIO_MMIO_QUEUE_NUM_MAX), max, `queue ${index}`);
  }
  for (const offset of [
    M.VIRTIO_MMIO_SHM_LEN_LOW,
    M.VIRTIO_MMIO_SHM_LEN_HIGH,
    M.VIRTIO_MMIO_SHM_BASE_LOW,
    M.VIRTIO_MMIO_SHM_BASE_HIGH,
  ])
    t.equal(r(offset), 0xffffffff, 'no shared memory region');
  t.equal(device.read(0x108, 4), 1);
  t.equal(device.read(0x108, 1), 1);
  t.equal(device.read(0x108, 2), 1);
  t.equal(device.refusedCount, 0);
});

t.test('DRIVER_OK asks for activation with what the driver set up', async (t) => {
  const device = make();
  const effects = drive(device, 0xf);
  t.same(effects, [
    { type: 'reset' },
    {
      type: 'activate',
      features: FEATURES,
      queues: [0, 1].map((index) => ({
        index,
        size: 64,
        desc: 0x100000000n + BigInt(0x10000 * (index + 1)),
        avail: 0x100001000n + BigInt(0x10000 * (index + 1)),
        used: 0x100002000n + BigInt(0x10000 * (index + 1)),
      })),
    },
  ]);
  t.ok(device.live);
  t.equal(device.refusedCount, 0);
  t.same(device.write(M.VIRTIO_MMIO_STATUS, 4, 0xf), [], 'once');
  t.same(device.write(M.VIRTIO_MMIO_STATUS, 4, 0), [{ type: 'reset' }]);
  t.equal(device.read(M.VIRTIO_MMIO_STATUS, 4), 0);
  device.write(M.VIRTIO_MMIO_QUEUE_SEL, 4, 0);
  t.equal(device.read(M.VIRTIO_MMIO_QUEUE_READY, 4), 0, 'reset clears QueueReady');
});

t.test('FEATURES_OK does not stick for features that are not offered, or without VERSION_1', async (t) => {
  for (const features of [FEATURES | (1n << 5n), FEATURES & ~(1n << 32n), 0n]) {
    const device = make();
    drive(device, 0xb, features);
    t.equal(device.read(M.VIRTIO_MMIO_STATUS, 4), 3);
    t.same(device.write(M.VIRTIO_MMIO_STATUS, 4, 0x83), []);
    t.equal(device.read(M.VIRTIO_MMIO_STATUS, 4), 0x83, 'FAILED');
  }
  const picky = make({ accepts: (features) => (features & 2n) === 0n });
  drive(picky, 0xb);
  t.equal(picky.read(M.VIRTIO_MMIO_STATUS, 4), 3, 'the device type has a say');
  t.match(drive(make(), 0xb, 1n << 32n), [{ type: 'reset' }]);
});

t.test('features cannot change after FEATURES_OK, queues not before it nor once ready', async (t) => {
  const device = make();
  const w = (offset: number, value: number) => device.write(offset, 4, value);
  drive(device, 3);
  w(M.VIRTIO_MMIO_QUEUE_NUM, 16);
  w(M.VIRTIO_MMIO_QUEUE_READY, 1);
  t.equal(device.read(M.VIRTIO_MMIO_QUEUE_READY, 4), 0);
  t.equal(device.refusedCount, 2);
  drive(device, 0xb);
  const before = device.refusedCount;
  w(M.VIRTIO_MMIO_DRIVER_FEATURES, 0);
  t.equal(device.refusedCount, before + 1);
  for (const bad of [0, 3, 2048, 65536]) w(M.VIRTIO_MMIO_QUEUE_NUM, bad);
  t.equal(device.refusedCount, before + 5, 'sizes that are no power of two or too large');
  queue(device, 0);
  t.equal(device.read(M.VIRTIO_MMIO_QUEUE_READY, 4), 1);
  w(M.VIRTIO_MMIO_QUEUE_NUM, 16);
  w(M.VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
  t.equal(device.refusedCount, before + 7);
  t.match(w(M.VIRTIO_MMIO_STATUS, 0xf), [{ type: 'activate', queues: [{ index: 0, size: 64, desc: 0x100010000n }] }]);
});

t.test('misaligned rings are not taken', async (t) => {
  for (const at of [0x10008, 0x10001]) {
    const device = make();
    drive(device, 0xb);
    queue(device, 0, 64, at);
    t.equal(device.read(M.VIRTIO_MMIO_QUEUE_READY, 4), 0, `0x${at.toString(16)}`);
  }
});

t.test('a packed queue may have any size, and its areas begin at multiples of 16, 4 and 4', async (t) => {
  const packed = FEATURES | (1n << 34n);
  const sizes = (features: bigint) =>
    [5, 64, 0, 2000].map((size) => {
      const device = make({ features: packed });
      drive(device, 0xb, features);
      queue(device, 0, 32);
      device.write(M.VIRTIO_MMIO_QUEUE_READY, 4, 0);
      device.write(M.VIRTIO_MMIO_QUEUE_NUM, 4, size);
      device.write(M.VIRTIO_MMIO_QUEUE_READY, 4, 1);
      const activated = device.write(M.VIRTIO_MMIO_STATUS, 4, 0xf).find(({ type }) => type === 'activate');
      return activated?.type === 'activate' ? activated.queues[0]?.size : undefined;
    });
  t.same(sizes(packed), [5, 64, 32, 32]);
  t.same(sizes(FEATURES), [32, 64, 32, 32]);
  for (const [features, ready] of [
    [packed, 0],
    [FEATURES, 1],
  ] as const) {
    const device = make({ features: packed });
    drive(device, 0xb, features);
    queue(device, 0, 32);
    device.write(M.VIRTIO_MMIO_QUEUE_READY, 4, 0);
    device.write(M.VIRTIO_MMIO_QUEUE_AVAIL_LOW, 4, 0x11002);
    device.write(M.VIRTIO_MMIO_QUEUE_READY, 4, 1);
    t.equal(device.read(M.VIRTIO_MMIO_QUEUE_READY, 4), ready);
  }
});

t.test('QueueReady takes 0 and 1 only, and stops a queue of a live device', async (t) => {
  const device = make();
  drive(device, 0xf);
  device.write(M.VIRTIO_MMIO_QUEUE_SEL, 4, 1);
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_READY, 4, 2), []);
  t.equal(device.read(M.VIRTIO_MMIO_QUEUE_READY, 4), 1);
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_READY, 4, 0), [{ type: 'stopQueue', index: 1 }]);
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_READY, 4, 0), []);
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_READY, 4, 1), [], 'a live device takes no queue without RING_RESET');
  t.equal(device.read(M.VIRTIO_MMIO_QUEUE_READY, 4), 0);
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_NOTIFY, 4, 1), [], 'nor a kick of it');
});

t.test('QueueReset has a queue of a live device set up anew, and leaves the others alone', async (t) => {
  const features = FEATURES | (1n << 40n);
  const device = make({ features });
  const w = (offset: number, value: number) => device.write(offset, 4, value);
  drive(device, 0xb, features);
  t.same(w(M.VIRTIO_MMIO_QUEUE_RESET, 1), [], 'before DRIVER_OK there is nothing to reset');
  drive(device, 0xf, features);
  w(M.VIRTIO_MMIO_QUEUE_SEL, 1);
  t.same(w(M.VIRTIO_MMIO_QUEUE_RESET, 0), []);
  w(M.VIRTIO_MMIO_QUEUE_NUM, 32);
  t.same(w(M.VIRTIO_MMIO_QUEUE_RESET, 1), [{ type: 'stopQueue', index: 1 }]);
  t.equal(device.read(M.VIRTIO_MMIO_QUEUE_RESET, 4), 0, 'it is done');
  t.equal(device.read(M.VIRTIO_MMIO_QUEUE_READY, 4), 0);
  t.same(w(M.VIRTIO_MMIO_QUEUE_NOTIFY, 1), [], 'no kick of it');
  t.same(w(M.VIRTIO_MMIO_QUEUE_NOTIFY, 0), [{ type: 'kick', index: 0 }]);
  w(M.VIRTIO_MMIO_QUEUE_NUM, 32);
  w(M.VIRTIO_MMIO_QUEUE_DESC_LOW, 0x50000);
  w(M.VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x51000);
  w(M.VIRTIO_MMIO_QUEUE_USED_LOW, 0x52000);
  t.same(w(M.VIRTIO_MMIO_QUEUE_READY, 1), [
    { type: 'startQueue', queue: { index: 1, size: 32, desc: 0x50000n, avail: 0x51000n, used: 0x52000n } },
  ]);
  t.equal(device.read(M.VIRTIO_MMIO_QUEUE_READY, 4), 1);
  t.same(w(M.VIRTIO_MMIO_QUEUE_DESC_LOW, 0x60000), []);
  w(M.VIRTIO_MMIO_QUEUE_READY, 0);
  t.same(w(M.VIRTIO_MMIO_QUEUE_READY, 1), [], 'a queue that was only stopped stays so');
  const other = make();
  drive(other, 0xf);
  t.same(other.write(M.VIRTIO_MMIO_QUEUE_RESET, 4, 1), [], 'without the feature it does nothing');
});

t.test('kicks count on live devices only, by the low half of the value', async (t) => {
  const device = make();
  drive(device, 0xb);
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0), []);
  drive(device, 0xf);
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0xabcd0001), [{ type: 'kick', index: 1 }]);
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_NOTIFY, 4, 2), []);
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_NOTIFY, 2, 0), [], 'another width');
  device.setNeedsReset();
  t.same(device.write(M.VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0), [], 'a broken device');
});

t.test('InterruptStatus: bit 0 reads 1 where used buffers pass us by, bit 1 is real', async (t) => {
  const device = make();
  t.equal(device.read(M.VIRTIO_MMIO_INTERRUPT_STATUS, 4), 1);
  drive(device, 0xf);
  t.same(device.configChanged(CONFIG), [{ type: 'interrupt' }]);
  t.equal(device.read(M.VIRTIO_MMIO_INTERRUPT_STATUS, 4), 3);
  device.write(M.VIRTIO_MMIO_INTERRUPT_ACK, 4, 1);
  t.equal(device.read(M.VIRTIO_MMIO_INTERRUPT_STATUS, 4), 3);
  device.write(M.VIRTIO_MMIO_INTERRUPT_ACK, 4, 3);
  t.equal(device.read(M.VIRTIO_MMIO_INTERRUPT_STATUS, 4), 1);
});

t.test('InterruptStatus where we see used buffers: set by each, cleared by the driver and by reset', async (t) => {
  const device = make({ usedBit: 'tracked' });
  t.same(device.usedBuffer(), [], 'not before DRIVER_OK');
  drive(device, 0xf);
  t.equal(device.read(M.VIRTIO_MMIO_INTERRUPT_STATUS, 4), 0);
  t.same(device.usedBuffer(), [{ type: 'interrupt' }]);
  t.same(device.usedBuffer(), [{ type: 'interrupt' }], 'an edge each: an event channel has no level');
  device.configChanged(CONFIG);
  t.equal(device.read(M.VIRTIO_MMIO_INTERRUPT_STATUS, 4), 3);
  device.write(M.VIRTIO_MMIO_INTERRUPT_ACK, 4, 1);
  t.equal(device.read(M.VIRTIO_MMIO_INTERRUPT_STATUS, 4), 2);
  device.write(M.VIRTIO_MMIO_STATUS, 4, 0);
  t.equal(device.read(M.VIRTIO_MMIO_INTERRUPT_STATUS, 4), 0);
});

t.test('a configuration change bumps the generation, and waits for DRIVER_OK with its interrupt', async (t) => {
  const device = make();
  const changed = CONFIG.slice();
  changed[0] = 1;
  t.same(device.configChanged(changed), []);
  t.equal(device.read(M.VIRTIO_MMIO_CONFIG_GENERATION, 4), 1);
  t.equal(device.read(0x100, 4), 1);
  drive(device, 0xf);
  t.equal(device.configChanged(CONFIG).length, 1);
  t.equal(device.read(M.VIRTIO_MMIO_CONFIG_GENERATION, 4), 2);
});

t.test('config writes go to the device, little-endian, once there is a driver', async (t) => {
  const device = make();
  t.same(device.write(0x104, 4, 1), []);
  drive(device, 3);
  t.same(device.write(0x104, 4, 0x01020304), [{ type: 'writeConfig', offset: 4, data: Uint8Array.of(4, 3, 2, 1) }]);
  t.same(device.write(0x106, 2, 0x0102), [{ type: 'writeConfig', offset: 6, data: Uint8Array.of(2, 1) }]);
  t.same(device.write(0x106, 4, 1), [], 'misaligned');
  t.same(device.write(0x110, 4, 1), [], 'past its end');
  t.equal(device.read(0x110, 4), 0);
});

t.test('NEEDS_RESET is told by a configuration interrupt, and only a reset helps', async (t) => {
  const device = make();
  drive(device, 3);
  t.same(device.setNeedsReset(), [], 'no interrupt before DRIVER_OK');
  t.equal(device.read(M.VIRTIO_MMIO_STATUS, 4), 0x43);
  drive(device, 0xf);
  t.equal(device.read(M.VIRTIO_MMIO_STATUS, 4), 0xf);
  t.same(device.setNeedsReset(), [{ type: 'interrupt' }]);
  t.equal(device.read(M.VIRTIO_MMIO_STATUS, 4), 0x4f);
  device.write(M.VIRTIO_MMIO_STATUS, 4, 0xf);
  t.equal(device.read(M.VIRTIO_MMIO_STATUS, 4), 0x4f, 'not cleared by writing without it');
  device.write(M.VIRTIO_MMIO_STATUS, 4, 0);
  t.equal(device.read(M.VIRTIO_MMIO_STATUS, 4), 0);
});

t.test('found half-way, Status reads 0x40 until 0 is written', async (t) => {
  const device = make({}, { broken: true });
  for (const value of [1, 3, 0xb, 0xf, 0x4f, 0x80]) {
    t.same(device.write(M.VIRTIO_MMIO_STATUS, 4, value), []);
    t.equal(device.read(M.VIRTIO_MMIO_STATUS, 4), 0x40);
  }
  t.match(drive(device, 0xf), [{ type: 'reset' }, { type: 'activate' }]);
});

t.test('accesses that QEMU answers with 0 or ignores are answered so, and counted', async (t) => {
  const device = make();
  drive(device, 0xf);
  const readable = new Set(REGISTERS.filter((r) => r.read).map((r) => r.offset));
  const writable = new Set(REGISTERS.filter((r) => r.write).map((r) => r.offset));
  for (let offset = 0; offset < 0x100; offset++) {
    for (const size of [1, 2, 4, 8]) {
      const before = device.refusedCount;
      const value = device.read(offset, size);
      if (size === 4 && readable.has(offset)) continue;
      t.equal(value, 0, `read ${size} at 0x${offset.toString(16)}`);
      t.equal(device.refusedCount, before + 1);
    }
    if (writable.has(offset)) continue;
    const before = device.refusedCount;
    t.same(device.write(offset, 4, 0xffffffff), []);
    t.equal(device.refusedCount, before + 1);
  }
  t.ok(device.live);
});

t.test("Linux 6.1's own accesses on QEMU, recorded, pass without a refusal", async (t) => {
  const lines = readFileSync(join(PACKAGE_ROOT, 'test/golden/linux-6.1-virtio-mmio-gpu-probe.txt'), 'utf8').split('\n');
  const accesses = lines.map((line) => /^([RW]) 0x([0-9a-f]+)(?: 0x([0-9a-f]+))?/.exec(line)).filter((a) => a !== null);
  // The first three reads met an empty slot.
  const device = make();
  const effects: MmioEffect[] = [];
  const statuses: number[] = [];
  for (const [, kind, at, value] of accesses.slice(3)) {
    const offset = Number.parseInt(at!, 16);
    if (kind === 'W') effects.push(...device.write(offset, 4, Number.parseInt(value!, 16)));
    else device.read(offset, 4);
    if (kind === 'W' && offset === M.VIRTIO_MMIO_STATUS) statuses.push(device.read(offset, 4));
  }
  t.equal(accesses.length > 50, true);
  t.equal(device.refusedCount, 0);
  t.same(statuses, [0, 1, 3, 0xb, 0xf]);
  const queueOf = (index: number, at: bigint) => ({
    index,
    size: 1024,
    desc: at,
    avail: at + 0x4000n,
    used: at + 0x5000n,
  });
  t.same(effects, [
    { type: 'reset' },
    { type: 'activate', features: (1n << 32n) | 0x30000002n, queues: [queueOf(0, 0x2ea8000n), queueOf(1, 0x2eb8000n)] },
  ]);
});

t.test('a million random accesses: every one is answered, none throws, no effect is illegal', async (t) => {
  let seed = 20260429;
  const random = (bound: number): number => {
    // xorshift32
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) % bound;
  };
  const offsets = REGISTERS.map((r) => r.offset);
  const values = [0, 1, 2, 3, 0xb, 0xf, 0x80, 0x8f, 64, 1024, 0x1000, 0xffffffff];
  const device = make({ usedBit: 'tracked', features: FEATURES | (1n << 40n) });
  const seen = new Map<string, number>();
  let active = false;
  for (let i = 0; i < 1_000_000; i++) {
    const offset = random(4) === 0 ? random(0x240) - 0x20 : offsets[random(offsets.length)]!;
    const size = random(8) === 0 ? [1, 2, 8, 3][random(4)]! : 4;
    const answer = device.read(offset, size);
    if (!Number.isInteger(answer) || answer < 0 || answer > 0xffffffff) t.fail(`read ${answer}`);
    // Drive it forward now and then, or chance would hardly ever reach DRIVER_OK.
    const effects: MmioEffect[] =
      random(300) === 0 ? drive(device, random(2) === 0 ? 0xb : 0xf, FEATURES | (1n << 40n)) : [];
    if (random(300) === 0) effects.push(...queue(device, random(3), 64, random(4) * 0x1000));
    if (random(5000) === 0) device.setNeedsReset();
    const value = random(3) === 0 ? random(2 ** 32) : values[random(values.length)]!;
    const wasLive = device.live;
    for (const effect of [...effects, ...device.write(offset, size, value)]) {
      seen.set(effect.type, (seen.get(effect.type) ?? 0) + 1);
      if (effect.type === 'activate') {
        active = true;
        for (const q of effect.queues) if (q.size > 1024 || q.desc % 16n !== 0n) t.fail('a queue that may not be');
      }
      if (effect.type === 'reset') active = false;
      if (effect.type === 'startQueue' && effect.queue.desc % 16n !== 0n) t.fail('a queue that may not be');
      if (['kick', 'stopQueue', 'startQueue'].includes(effect.type) && !wasLive)
        t.fail(`${effect.type} of a dead device`);
    }
    if (device.live && !active) t.fail('live without activation');
  }
  for (const type of ['activate', 'reset', 'kick', 'writeConfig', 'stopQueue', 'startQueue'])
    t.ok((seen.get(type) ?? 0) > 10, `${type} was reached`);
});
