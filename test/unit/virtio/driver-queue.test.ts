// The driver's end of a queue against the device's end of this project, and against a hostile device: what both layouts owe,
// split and packed, and what is of one of them.
import * as fc from 'fast-check';
import t from 'tap';
import { RegionMemory } from '../../../lib/core/memory.js';
import {
  featureBits,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_RING_PACKED,
  VIRTQ_PACKED_DESC,
  VIRTQ_PACKED_DESC_F_AVAIL,
  VIRTQ_PACKED_DESC_F_USED,
  VIRTQ_PACKED_EVENT,
  VIRTQ_PACKED_EVENT_FLAGS,
  VIRTQ_PACKED_WRAP,
  VIRTQ_USED,
  VIRTQ_USED_F_NO_NOTIFY,
  virtqAvailEvent,
  virtqUsedEvent,
  virtqUsedSlot,
} from '../../../lib/layout/virtio-ring.js';
import { Chain } from '../../../lib/virtio/chain.js';
import { type DeviceRing, freshBase } from '../../../lib/virtio/device-ring.js';
import { type DriverRing, type RingFault, ringPlace, type Segment } from '../../../lib/virtio/driver-ring.js';
import { openDriverRing } from '../../../lib/virtio/open-driver-ring.js';
import { openDeviceRing } from '../../../lib/virtio/open-ring.js';

const RINGS_AT = 0x10000;
const TABLES_AT = 0x100000;
const DATA_AT = 0x180000;

interface Rig {
  readonly memory: RegionMemory;
  readonly driver: DriverRing<number>;
  readonly device: DeviceRing;
  readonly tables: Set<number>;
  readonly faults: readonly RingFault[];
}

function rig(size: number, features = 0n, tableLimit = 1000): Rig {
  const memory = new RegionMemory([{ base: 0, bytes: new Uint8Array(2 << 20) }]);
  const tables = new Set<number>();
  const allocator = {
    alloc(bytes: number): Segment | undefined {
      if (tables.size >= tableLimit) return undefined;
      let addr = TABLES_AT;
      while (tables.has(addr)) addr += 4096;
      tables.add(addr);
      return { addr, length: bytes };
    },
    release(table: Segment): void {
      if (!tables.delete(table.addr)) throw new Error('table given back twice');
    },
  };
  const faults: RingFault[] = [];
  const onFault = (fault: RingFault): void => void faults.push(fault);
  const driver = openDriverRing<number>({ memory, tables: allocator, base: RINGS_AT, size, features, onFault });
  const { desc, avail, used } = driver.place;
  const device = openDeviceRing(memory, { size, desc, avail, used, base: freshBase(features) }, features);
  return { memory, driver, device, tables, faults };
}

const FEATURES = {
  none: 0n,
  indirect: featureBits(VIRTIO_F_INDIRECT_DESC),
  eventIdx: featureBits(VIRTIO_F_EVENT_IDX),
  both: featureBits(VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX),
};
const PACKED = featureBits(VIRTIO_F_RING_PACKED);
/** Those of both layouts. */
const LAYOUTS = Object.fromEntries(
  Object.entries(FEATURES).flatMap(([name, bits]) => [
    [`split ${name}`, bits],
    [`packed ${name}`, bits | PACKED],
  ]),
);

const segments = (count: number, first = 0): Segment[] =>
  Array.from({ length: count }, (_, index) => ({ addr: DATA_AT + (first + index) * 64, length: 16 + index }));

t.test('rings lie in one block as Linux lays them out', async (t) => {
  t.same(ringPlace(0x2ea8000, 1024), { desc: 0x2ea8000, avail: 0x2eac000, used: 0x2ead000, bytes: 0x5000 + 8198 });
  t.end();
});

t.test('a chain reaches the device as it was given: readable parts first, then writable', async (t) => {
  for (const [name, features] of Object.entries(LAYOUTS)) {
    const { driver, device, tables } = rig(8, features);
    const chain = new Chain();
    driver.add(segments(2), segments(1, 2), 7);
    t.equal(device.pop(chain), true);
    t.equal(chain.readableBytes, 33, name);
    t.equal(chain.writableBytes, 16, name);
    device.pushUsed(chain.head, 16);
    t.same(driver.take(), { cookie: 7, length: 16 });
    t.equal(driver.take(), undefined);
    t.equal(driver.free, 8);
    t.equal(tables.size, 0);
  }
  t.end();
});

t.test('a full ring refuses with ENOSPC and loses nothing; a broken one with EIO', async (t) => {
  for (const features of [0n, PACKED]) {
    const { driver } = rig(4, features);
    driver.add(segments(3), [], 1);
    t.throws(() => driver.add(segments(1), segments(1, 1), 2), { code: 'ENOSPC' });
    driver.add(segments(1), [], 3);
    t.throws(() => driver.add(segments(1), [], 4), { code: 'ENOSPC' });
    t.equal(driver.outstanding, 2);
    t.throws(() => driver.add([], [], 5), { code: 'EINVAL' });
    driver.breakQueue();
    t.throws(() => driver.add(segments(1), [], 6), { code: 'EIO' });
    t.same(driver.detach(), [1, 3]);
    t.same(driver.detach(), [], 'each chain ends once');
  }
  t.end();
});

t.test('without room for a table a chain goes direct; with no free descriptor the table goes back', async (t) => {
  for (const features of [FEATURES.indirect, FEATURES.indirect | PACKED]) {
    const noTables = rig(8, features, 0);
    noTables.driver.add(segments(2), segments(1, 2), 1);
    t.equal(noTables.driver.free, 5);
    const full = rig(2, features);
    full.driver.add(segments(2), [], 1);
    full.driver.add(segments(2), [], 2);
    t.throws(() => full.driver.add(segments(2), [], 3), { code: 'ENOSPC' });
    t.equal(full.tables.size, 2);
  }
  t.end();
});

t.test('kicks follow used.flags, or avail_event over the examples of the sheet', async (t) => {
  const plain = rig(8);
  plain.driver.add(segments(1), [], 0);
  t.equal(plain.driver.kickPrepare(), true);
  plain.memory.storeU16(plain.driver.place.used + VIRTQ_USED.offset.flags, VIRTQ_USED_F_NO_NOTIFY);
  plain.driver.add(segments(1), [], 1);
  t.equal(plain.driver.kickPrepare(), false);
  const cases: [old: number, current: number, event: number, kick: boolean][] = [
    [5, 6, 5, true],
    [5, 6, 4, false],
    [5, 6, 6, false],
    [2, 5, 3, true],
    [0, 0, 0, false],
  ];
  for (const [old, current, event, kick] of cases) {
    const { memory, driver, device } = rig(8, FEATURES.eventIdx);
    const chain = new Chain();
    const drain = (): void => {
      while (device.pop(chain)) device.pushUsed(chain.head, 0);
      while (driver.take() !== undefined);
    };
    for (let index = 0; index < old; index++) {
      driver.add(segments(1), [], index);
      driver.kickPrepare();
      drain();
    }
    for (let index = old; index < current; index++) driver.add(segments(1), [], index);
    memory.storeU16(driver.place.used + virtqAvailEvent(8), event);
    t.equal(driver.kickPrepare(), kick, `${old} to ${current}, event ${event}`);
  }
  t.end();
});

t.test('kicks of a packed ring follow the event words, over the end of the ring too', async (t) => {
  const { DISABLE, DESC } = VIRTQ_PACKED_EVENT_FLAGS;
  const at = (driver: DriverRing<number>) => driver.place.used;
  const plain = rig(8, PACKED);
  plain.driver.add(segments(1), [], 0);
  t.equal(plain.driver.kickPrepare(), true);
  plain.memory.storeU16(at(plain.driver) + VIRTQ_PACKED_EVENT.offset.flags, DISABLE);
  plain.driver.add(segments(1), [], 1);
  t.equal(plain.driver.kickPrepare(), false);
  // Chains before, chains that the question is about, and where the device wants to be told.
  const cases: [before: number, added: number, event: number, round: number, kick: boolean][] = [
    [5, 1, 5, 1, true],
    [5, 1, 4, 1, false],
    [5, 1, 6, 1, false],
    [6, 4, 7, 1, true],
    [6, 4, 1, 2, true],
    [6, 4, 2, 2, false],
    [6, 4, 5, 1, false],
    [9, 1, 1, 2, true],
    [9, 1, 1, 1, false],
  ];
  for (const [before, added, event, round, kick] of cases) {
    const { memory, driver, device } = rig(8, FEATURES.eventIdx | PACKED);
    const chain = new Chain();
    for (let index = 0; index < before; index++) {
      driver.add(segments(1), [], index);
      driver.kickPrepare();
      while (device.pop(chain)) device.pushUsed(chain.head, 0);
      while (driver.take() !== undefined);
    }
    for (let index = 0; index < added; index++) driver.add(segments(1), [], index);
    const { offset } = VIRTQ_PACKED_EVENT;
    memory.storeU16(at(driver) + offset.desc, event | (round === 1 ? VIRTQ_PACKED_WRAP : 0));
    memory.storeU16(at(driver) + offset.flags, DESC);
    t.equal(driver.kickPrepare(), kick, `${added} after ${before}, event ${event} of round ${round}`);
  }
});

t.test(
  'asking for interrupts again says when something was used meanwhile, and always leaves used_event',
  async (t) => {
    for (const features of Object.values(LAYOUTS)) {
      const { memory, driver, device } = rig(8, features);
      const chain = new Chain();
      driver.disableCallbacks();
      driver.add(segments(1), [], 0);
      device.pop(chain);
      t.equal(driver.enableCallbacks(), true, 'nothing yet');
      driver.disableCallbacks();
      device.pushUsed(chain.head, 0);
      t.equal(driver.enableCallbacks(), false, 'look again');
      driver.take();
      t.equal(driver.enableCallbacks(), true);
      const { place } = driver;
      if ((features & PACKED) === 0n) t.equal(memory.loadU16(place.avail + virtqUsedEvent(8)), 1);
      else t.equal(memory.loadU16(place.avail + VIRTQ_PACKED_EVENT.offset.desc), VIRTQ_PACKED_WRAP | 1);
    }
    t.end();
  },
);

t.test('a used element that names no chain of ours breaks the queue', async (t) => {
  for (const id of [1, 8, 0xffffffff]) {
    const { memory, driver, faults } = rig(8);
    driver.add(segments(1), [], 0);
    const at = driver.place.used + virtqUsedSlot(0);
    memory.writeU32(at, id);
    memory.storeU16(driver.place.used + VIRTQ_USED.offset.idx, 1);
    t.equal(driver.take(), undefined);
    t.same([driver.broken, ...faults], [true, 'used-id']);
    t.same(driver.detach(), [0], 'the chain still ends once');
  }
  t.end();
});

t.test('a used index that goes back, or past what was made available, is told, and goes on as in Linux', async (t) => {
  const chain = new Chain();
  for (const wrong of [0, 3, 0xffff]) {
    const { memory, driver, device, faults } = rig(8);
    for (const cookie of [0, 1]) {
      driver.add(segments(1), [], cookie);
      device.pop(chain);
      if (cookie === 0) device.pushUsed(chain.head, 0);
    }
    t.equal(driver.take()?.cookie, 0);
    t.same(faults, [], 'one of two is used');
    memory.storeU16(driver.place.used + VIRTQ_USED.offset.idx, wrong);
    driver.take();
    t.equal(faults[0], 'used-index', `the index is ${wrong} after 1`);
  }
});

t.test('a used descriptor that names no chain of ours breaks a packed ring', async (t) => {
  for (const id of [1, 8, 0xffff]) {
    const { memory, driver, faults } = rig(8, PACKED);
    driver.add(segments(1), [], 0);
    const { offset } = VIRTQ_PACKED_DESC;
    memory.writeU16(driver.place.desc + offset.id, id);
    memory.storeU16(driver.place.desc + offset.flags, VIRTQ_PACKED_DESC_F_AVAIL | VIRTQ_PACKED_DESC_F_USED);
    t.equal(driver.take(), undefined);
    t.same([driver.broken, ...faults], [true, 'used-id']);
    t.same(driver.detach(), [0], 'the chain still ends once');
  }
});

t.test(
  'over random traffic every chain ends once, in the order of use, and all descriptors and tables come back',
  async (t) => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('add' as const),
        out: fc.integer({ min: 0, max: 3 }),
        into: fc.integer({ min: 0, max: 3 }),
      }),
      fc.record({ kind: fc.constant('pop' as const) }),
      fc.record({ kind: fc.constant('use' as const), pick: fc.nat() }),
      fc.record({ kind: fc.constant('take' as const) }),
    );
    const features = fc.constantFrom(...Object.values(LAYOUTS));
    fc.assert(
      fc.property(
        features,
        fc.array(step, { maxLength: 300 }),
        fc.integer({ min: 0, max: 4 }),
        (bits, steps, tableLimit) => {
          const { driver, device, tables } = rig(8, bits, tableLimit);
          const chain = new Chain();
          const atDevice: { head: number; cookie: number }[] = [];
          const queued: number[] = [];
          const used: number[] = [];
          let count = 0;
          for (const one of steps) {
            if (one.kind === 'add') {
              if (one.out + one.into === 0) continue;
              try {
                driver.add(segments(one.out), segments(one.into, 3), count);
                queued.push(count++);
              } catch (error) {
                if ((error as { code?: string }).code !== 'ENOSPC') return false;
              }
            } else if (one.kind === 'pop') {
              if (device.pop(chain) !== queued.length > 0) return false;
              const cookie = queued.shift();
              if (cookie !== undefined) atDevice.push({ head: chain.head, cookie });
            } else if (one.kind === 'use' && atDevice.length > 0) {
              // The device answers in any order.
              const [done] = atDevice.splice(one.pick % atDevice.length, 1);
              device.pushUsed(done!.head, done!.cookie & 0xff);
              used.push(done!.cookie);
            } else if (one.kind === 'take') {
              const taken = driver.take();
              if (taken?.cookie !== used.shift()) return false;
              if (taken !== undefined && taken.length !== (taken.cookie & 0xff)) return false;
            }
            if (driver.outstanding !== queued.length + atDevice.length + used.length) return false;
          }
          driver.detach();
          return driver.free === 8 && tables.size === 0 && driver.outstanding === 0;
        },
      ),
      { numRuns: 500 },
    );
    t.end();
  },
);

t.test('no wake-up is lost: the end that sleeps by the rules is told, over random interleavings', async (t) => {
  // Both sides sleep only after asking for the next event and looking once more; each step runs whole.
  const turns = fc.array(fc.constantFrom('driver', 'device'), { minLength: 50, maxLength: 200 });
  fc.assert(
    fc.property(
      fc.constantFrom(FEATURES.none, FEATURES.eventIdx, PACKED, FEATURES.eventIdx | PACKED),
      turns,
      (bits, order) => {
        const { driver, device } = rig(4, bits);
        const chain = new Chain();
        const total = 30;
        let sent = 0;
        let received = 0;
        let driverAwake = true;
        let deviceAwake = true;
        const driverTurn = (): void => {
          if (!driverAwake) return;
          driver.disableCallbacks();
          while (driver.take() !== undefined) received++;
          while (sent < total && driver.free > 0) {
            driver.add(segments(1), [], sent++);
            if (driver.kickPrepare()) deviceAwake = true;
          }
          driverAwake = !driver.enableCallbacks();
        };
        const deviceTurn = (): void => {
          if (!deviceAwake) return;
          device.disableKicks();
          while (device.pop(chain)) {
            device.pushUsed(chain.head, 0);
            if (device.needsCall()) driverAwake = true;
          }
          deviceAwake = device.enableKicks();
        };
        for (const who of order) (who === 'driver' ? driverTurn : deviceTurn)();
        while (driverAwake || deviceAwake) {
          driverTurn();
          deviceTurn();
        }
        return received === total;
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});
