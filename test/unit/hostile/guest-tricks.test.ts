// What a guest may do to a device that is no broken rule of one chain: bytes that change as soon as they were read, chains and
// rings that share bytes. Single rules are held beside their code, random ones fuzzed; docs/gpu-server.md has the whole list.
import t from 'tap';
import { RegionMemory } from '../../../lib/core/memory.js';
import { VIRTIO_GPU_RESOURCE_ATTACH_BACKING } from '../../../lib/layout/virtio-gpu.js';
import {
  featureBits,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_RING_PACKED,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
} from '../../../lib/layout/virtio-ring.js';
import { Chain } from '../../../lib/virtio/chain.js';
import { decodeResponse, encodeCommand } from '../../../lib/virtio/gpu-codec.js';
import { openDeviceRing } from '../../../lib/virtio/open-ring.js';
import { GpuTester, PIXELS_AT, REQUEST_AT } from '../../../testkit/gpu-tester.js';
import { PackedDriver } from '../../../testkit/packed-driver.js';
import { plainMemory, RingDriver } from '../../../testkit/ring-driver.js';

const PAGE = 4096;

/** Memory of a guest that overwrites what the device has read, before it can read it again. */
class SpoilingMemory extends RegionMemory {
  /** Only while the device is at work. */
  spoils = false;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  /** What lies below `end` is spoilt. */
  constructor(size: number, end: number) {
    const bytes = new Uint8Array(size);
    super([{ base: 0, bytes }]);
    this.#bytes = bytes;
    this.#end = end;
  }

  #spoil<T>(addr: number, length: number, value: T): T {
    if (this.spoils && addr < this.#end) this.#bytes.fill(0xff, addr, Math.min(addr + length, this.#end));
    return value;
  }
  override read(addr: number, target: Uint8Array): void {
    super.read(addr, target);
    this.#spoil(addr, target.length, undefined);
  }
  override readU8(addr: number): number {
    return this.#spoil(addr, 1, super.readU8(addr));
  }
  override readU16(addr: number): number {
    return this.#spoil(addr, 2, super.readU16(addr));
  }
  override readU32(addr: number): number {
    return this.#spoil(addr, 4, super.readU32(addr));
  }
  override readU64(addr: number): bigint {
    return this.#spoil(addr, 8, super.readU64(addr));
  }
}

/** Does what `work` does while every byte that is read is spoilt. */
function spoiling<T>(memory: SpoilingMemory, work: () => T): T {
  memory.spoils = true;
  try {
    return work();
  } finally {
    memory.spoils = false;
  }
}

t.test('a table that changes as soon as it was read is used as it was read', async (t) => {
  const split = featureBits(VIRTIO_F_INDIRECT_DESC);
  for (const features of [split, split | featureBits(VIRTIO_F_RING_PACKED)])
    for (const indirect of [false, true]) {
      const packed = features !== split;
      for (let round = 0; round < 3; round++) {
        const memory = new SpoilingMemory(1 << 16, 0x4000);
        const driver = packed ? new PackedDriver(memory) : new RingDriver(memory);
        const ring = openDeviceRing(memory, driver.layout, features);
        const chain = new Chain();
        const what = `${packed ? 'packed' : 'split'}${indirect ? ', indirect' : ''}, round ${round}`;
        memory.write(0x5000, Uint8Array.of(round, 2, 3, 4, 5, 6));
        const segments = [
          { addr: 0x5000, len: 4 },
          { addr: 0x5004, len: 2 },
          { addr: 0x6000, len: 8, write: true },
        ];
        driver.add(segments, indirect ? { indirectAt: 0x2000 } : {});
        if (!spoiling(memory, () => ring.pop(chain))) t.fail(`${what}: no chain`);
        t.same([chain.readableBytes, chain.writableBytes], [6, 8], what);
        const request = new Uint8Array(6);
        chain.read(0, request);
        t.same([...request], [round, 2, 3, 4, 5, 6], what);
        chain.write(0, Uint8Array.of(9));
        ring.pushUsed(chain.head, 1);
        t.same(
          driver.collect().map(({ len }) => len),
          [1],
          what,
        );
      }
    }
});

t.test('a command that changes as soon as it was read is executed as it was read', async (t) => {
  // Rings lie below the requests. Backing entries are copied twice, and looked at in the second copy only: they are not spoilt.
  const memory = new SpoilingMemory(1 << 20, REQUEST_AT + VIRTIO_GPU_RESOURCE_ATTACH_BACKING.size);
  const gpu = new GpuTester({ memory });
  const kick = gpu.device.kick.bind(gpu.device);
  gpu.device.kick = (queue) => spoiling(memory, () => kick(queue));
  const picture = Uint8Array.from({ length: 32 * 16 * 4 }, (_, at) => (at * 7) & 0xff);
  memory.write(PIXELS_AT, picture);
  const r = { x: 0, y: 0, width: 32, height: 16 };
  gpu.resource(1, 32, 16);
  gpu.expect('SET_SCANOUT', { scanout_id: 0, resource_id: 1, r });
  gpu.expect('TRANSFER_TO_HOST_2D', { resource_id: 1, r, offset: 0n });
  t.match(gpu.control2d('RESOURCE_FLUSH', { resource_id: 1, r }, { fence: 77n }), {
    name: 'OK_NODATA',
    hdr: { flags: 1, fence_id: 77n },
  });
  t.same(gpu.device.scanouts.get(0)?.shown?.resource.pixels, picture);
  t.equal(gpu.send('GET_EDID', { scanout: 0 }), 'OK_EDID');
  t.same(gpu.errors, [0, 0]);
});

t.test('chains that share descriptors and bytes are served one after the other', async (t) => {
  const gpu = new GpuTester();
  const { control, memory } = gpu;
  const ask = (at: number, bytes: Uint8Array): number => {
    memory.write(at, bytes);
    return bytes.length;
  };
  const create = ask(0x8000, encodeCommand('RESOURCE_CREATE_2D', { resource_id: 1, format: 2, width: 8, height: 8 }));
  const flush = ask(
    0x8100,
    encodeCommand('RESOURCE_FLUSH', { resource_id: 9, r: { x: 0, y: 0, width: 1, height: 1 } }),
  );
  control.desc(0, { addr: 0x8000, len: create, flags: VIRTQ_DESC_F_NEXT, next: 2 });
  control.desc(1, { addr: 0x8100, len: flush, flags: VIRTQ_DESC_F_NEXT, next: 2 });
  control.desc(2, { addr: 0xc000, len: 24, flags: VIRTQ_DESC_F_WRITE });
  for (const head of [0, 1]) control.publish(head);
  gpu.device.kick(0);
  gpu.run();
  t.same(control.collect(), [
    { id: 0, len: 24 },
    { id: 1, len: 24 },
  ]);
  t.equal(
    decodeResponse(memory.view(0xc000, 24)).name,
    'ERR_INVALID_RESOURCE_ID',
    "the second chain's, over the first's",
  );
  t.same(
    [...gpu.device.resources.all()].map(({ id }) => id),
    [1],
  );
  // An answer over its own request, which was read first.
  const again = ask(0x8000, encodeCommand('RESOURCE_CREATE_2D', { resource_id: 2, format: 2, width: 8, height: 8 }));
  control.add([
    { addr: 0x8000, len: again },
    { addr: 0x8000, len: 24, write: true },
  ]);
  gpu.device.kick(0);
  gpu.run();
  t.same(
    control.collect().map(({ len }) => len),
    [24],
  );
  t.equal(decodeResponse(memory.view(0x8000, 24)).name, 'OK_NODATA');
  t.same(gpu.errors, [0, 0]);
});

const RING = { size: 8 };

t.test('rings of two devices in one page are two devices', async (t) => {
  const memory = plainMemory(1 << 20);
  const [first, second] = [0, 1].map(
    (index) =>
      new GpuTester({
        memory,
        control: { ...RING, at: index * 0x200 },
        cursor: { ...RING, at: index * 0x200 + 0x100 },
      }),
  ) as [GpuTester, GpuTester];
  t.ok([first, second].every(({ control, cursor }) => Math.max(control.free, cursor.free) <= PAGE));
  const r = { x: 0, y: 0, width: 8, height: 8 };
  for (let round = 1; round <= 5; round++)
    for (const [index, gpu] of [first, second].entries()) {
      memory.write(PIXELS_AT, new Uint8Array(8 * 8 * 4).fill(round * 2 + index));
      gpu.resource(round, 8, 8);
      gpu.expect('TRANSFER_TO_HOST_2D', { resource_id: round, r, offset: 0n });
    }
  for (const [index, gpu] of [first, second].entries())
    t.same(
      [...gpu.device.resources.all()].map(({ pixels }) => pixels[0]),
      Array.from({ length: 5 }, (_, round) => (round + 1) * 2 + index),
    );
  t.same(
    [first.errors, second.errors],
    [
      [0, 0],
      [0, 0],
    ],
  );
});

t.test(
  'a ring over the ring of another device spoils that ring, and its next driver has the device again',
  async (t) => {
    const memory = plainMemory(1 << 20);
    const victim = new GpuTester({ memory, control: { ...RING, at: 0x1000 }, cursor: { ...RING, at: 0x2000 } });
    const { desc, avail } = victim.control.layout;
    const usedAt = victim.control.layout.used - desc;
    const request = encodeCommand('GET_DISPLAY_INFO', {});
    for (const place of [desc, avail]) {
      // What the other device says of used buffers are descriptors or heads to the victim.
      const at = (place - usedAt) & ~15;
      const other = new GpuTester({ memory, control: { ...RING, at }, cursor: { ...RING, at: 0x5000 } });
      const [before] = victim.errors;
      for (let round = 0; round < 10; round++) {
        memory.write(REQUEST_AT, request);
        // The other one is served between what the victim's driver publishes and what its device reads.
        for (const { control } of [victim, other])
          control.add([
            { addr: REQUEST_AT, len: request.length },
            { addr: 0xc000, len: 1056, write: true },
          ]);
        for (const gpu of [other, victim]) {
          gpu.device.kick(0);
          gpu.run();
        }
      }
      t.equal(victim.errors[0], before! + 1, 'its ring breaks, which is told once');
      other.device.stopQueue(0);
      victim.device.stopQueue(0);
      victim.device.stopQueue(1);
      victim.control.clear();
      victim.start();
      t.equal(victim.send('GET_DISPLAY_INFO', {}), 'OK_DISPLAY_INFO');
    }
  },
);
