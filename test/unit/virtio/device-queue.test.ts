import fc from 'fast-check';
import t from 'tap';
import { RegionMemory } from '../../../lib/core/memory.js';
import {
  featureBits,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTQ_AVAIL,
  VIRTQ_AVAIL_F_NO_INTERRUPT,
  VIRTQ_USED_F_NO_NOTIFY,
  vringNeedEvent,
} from '../../../lib/layout/virtio-ring.js';
import { Chain } from '../../../lib/virtio/chain.js';
import { DeviceQueue } from '../../../lib/virtio/device-queue.js';
import { plainMemory, RingDriver } from '../../../testkit/ring-driver.js';

const EVENT_IDX = featureBits(VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC);

function setup({ size = 8, base = 0, features = 0n } = {}) {
  const memory = plainMemory();
  const driver = new RingDriver(memory, { size, base });
  const queue = new DeviceQueue(memory, driver.layout, features);
  return { memory, driver, queue, at: driver.free, chain: new Chain() };
}

t.test('chains come out in the order they were made available, and go back with their head and length', async (t) => {
  const { driver, queue, chain, at } = setup();
  t.notOk(queue.pop(chain), 'an empty ring');
  const first = driver.add([{ addr: at, len: 4 }]);
  const second = driver.add([
    { addr: at, len: 4 },
    { addr: at + 64, len: 24, write: true },
  ]);
  t.ok(queue.pop(chain));
  t.equal(chain.head, first);
  queue.pushUsed(chain.head, 0);
  t.ok(queue.pop(chain));
  t.equal(chain.head, second);
  queue.pushUsed(chain.head, 24);
  t.notOk(queue.pop(chain));
  t.same(driver.collect(), [
    { id: first, len: 0 },
    { id: second, len: 24 },
  ]);
});

t.test('indexes run over 65535, and a stopped queue goes on where it was', async (t) => {
  const { memory, driver, queue, chain, at } = setup({ base: 0xfffd });
  for (let round = 0; round < 5; round++) {
    driver.add([{ addr: at, len: 1 }]);
    t.ok(queue.pop(chain));
    queue.pushUsed(chain.head, round);
  }
  t.same(
    driver.collect().map(({ len }) => len),
    [0, 1, 2, 3, 4],
  );
  t.equal(queue.nextAvail, 2);
  const again = new DeviceQueue(memory, { ...driver.layout, base: queue.nextAvail }, 0n);
  t.notOk(again.pop(chain), 'nothing is served twice');
  driver.add([{ addr: at, len: 1 }]);
  t.ok(again.pop(chain));
  again.pushUsed(chain.head, 9);
  t.same(
    driver.collect().map(({ len }) => len),
    [9],
  );
});

t.test('an available index that jumped further than the queue is long is refused', async (t) => {
  const { memory, driver, queue, chain } = setup();
  memory.storeU16(driver.layout.avail + VIRTQ_AVAIL.offset.idx, 9);
  t.throws(() => queue.pop(chain), { name: 'ProtocolError', code: 'AVAIL_INDEX' });
  memory.storeU16(driver.layout.avail + VIRTQ_AVAIL.offset.idx, 0xffff);
  t.throws(() => queue.pop(chain), { code: 'AVAIL_INDEX' }, 'backwards too');
});

t.test('a queue that does not fit its memory or is misaligned is refused at once', async (t) => {
  const memory = plainMemory(1 << 16);
  const good = new RingDriver(memory).layout;
  const bad = [
    { ...good, size: 0 },
    { ...good, size: 3 },
    { ...good, size: 65536 },
    { ...good, size: -8 },
    { ...good, desc: 8 },
    { ...good, avail: good.avail + 1 },
    { ...good, used: good.used + 2 },
    { ...good, desc: (1 << 16) - 112 },
    { ...good, avail: (1 << 16) - 20 },
    { ...good, used: (1 << 16) - 68 },
    { ...good, used: 2 ** 60 },
  ];
  for (const layout of bad) t.throws(() => new DeviceQueue(memory, layout, 0n), { code: 'QUEUE_LAYOUT' });
  t.ok(new DeviceQueue(memory, { ...good, used: (1 << 16) - 72 }, 0n), 'up to the last byte');
  const split = new RegionMemory([
    { base: 0, bytes: new Uint8Array(4096) },
    { base: 4096, bytes: new Uint8Array(4096) },
  ]);
  t.throws(() => new DeviceQueue(split, { ...good, desc: 4096 - 16 }, 0n), { code: 'QUEUE_LAYOUT' }, 'across regions');
});

t.test('without EVENT_IDX the flags say who is told (2.7.7)', async (t) => {
  const { driver, queue, chain, at } = setup();
  const serve = () => {
    driver.add([{ addr: at, len: 1 }]);
    t.ok(queue.pop(chain));
    queue.pushUsed(chain.head, 0);
  };
  serve();
  t.ok(queue.needsCall());
  t.notOk(queue.needsCall(), 'nothing new since');
  driver.availFlags = VIRTQ_AVAIL_F_NO_INTERRUPT;
  serve();
  t.notOk(queue.needsCall());
  driver.availFlags = 0;
  serve();
  t.ok(queue.needsCall());
  queue.disableKicks();
  t.equal(driver.usedFlags, VIRTQ_USED_F_NO_NOTIFY);
  t.notOk(queue.enableKicks());
  t.equal(driver.usedFlags, 0);
});

t.test('with EVENT_IDX the event indexes do, and the flags stay 0 (2.7.10)', async (t) => {
  const { driver, queue, chain, at } = setup({ features: EVENT_IDX });
  const serve = () => {
    driver.add([{ addr: at, len: 1 }]);
    t.ok(queue.pop(chain));
    queue.pushUsed(chain.head, 0);
  };
  driver.usedEvent = 100;
  serve();
  t.ok(queue.needsCall(), 'the first after a start never relies on a stale index');
  serve();
  t.notOk(queue.needsCall());
  driver.usedEvent = 2;
  driver.availFlags = VIRTQ_AVAIL_F_NO_INTERRUPT;
  serve();
  t.ok(queue.needsCall(), 'entry 2 was written; the flag means nothing');
  driver.usedEvent = 4;
  serve();
  serve();
  t.ok(queue.needsCall(), 'a batch that passes the event');
  queue.disableKicks();
  t.equal(driver.usedFlags, 0);
  t.notOk(queue.enableKicks());
  t.equal(driver.availEvent, 5, 'asks for the next entry');
});

t.test('going to sleep notices what was published meanwhile', async (t) => {
  for (const features of [0n, EVENT_IDX]) {
    const { driver, queue, chain, at } = setup({ features });
    queue.disableKicks();
    t.notOk(queue.pop(chain));
    driver.add([{ addr: at, len: 1 }]);
    t.ok(queue.enableKicks(), 'there is more');
    t.ok(queue.pop(chain));
    t.notOk(queue.enableKicks());
  }
});

t.test('a chain that cannot be served leaves the ring where it was', async (t) => {
  const { driver, queue, chain } = setup();
  driver.add([{ addr: 2 ** 50, len: 4 }]);
  t.throws(() => queue.pop(chain), { code: 'CHAIN_ADDRESS' });
  t.equal(queue.nextAvail, 0);
});

t.test('no interleaving of driver and device loses a chain or a needed notification', async () => {
  // The driver sleeps only on what the ring promises: a kick when the device asked for one, a call when it asked for one.
  const action = fc.constantFrom('add', 'serve', 'sleep', 'collect');
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), fc.boolean(), fc.nat(0xffff), (actions, eventIdx, base) => {
      const { driver, queue, chain, at } = setup({ size: 4, base, features: eventIdx ? EVENT_IDX : 0n });
      let added = 0;
      let collected = 0;
      let asleep = false;
      let called = false;
      driver.usedEvent = base;
      const popped = () => queue.pop(chain);
      for (const step of actions) {
        if (step === 'add' && added - collected < 4) {
          const old = driver.availIdx;
          driver.add([{ addr: at, len: 1 }]);
          added++;
          const kick = eventIdx
            ? vringNeedEvent(driver.availEvent, driver.availIdx, old)
            : (driver.usedFlags & VIRTQ_USED_F_NO_NOTIFY) === 0;
          if (asleep && !kick) throw new Error('the device sleeps and no kick will wake it');
          asleep = false;
        } else if (step === 'serve' && !asleep && popped()) {
          queue.pushUsed(chain.head, added);
          called = queue.needsCall() || called;
        } else if (step === 'sleep' && !asleep) {
          if (!queue.enableKicks()) asleep = true;
        } else if (step === 'collect') {
          const got = driver.collect();
          if (got.length > 0 && !called) throw new Error('used entries without a call');
          called = false;
          collected += got.length;
          driver.usedEvent = driver.usedSeen;
        }
      }
      while (popped()) queue.pushUsed(chain.head, 0);
      collected += driver.collect().length;
      if (collected !== added) throw new Error(`${added} chains, ${collected} back`);
    }),
    { numRuns: 500 },
  );
});
