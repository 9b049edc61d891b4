// What every layout of a virtqueue owes its driver, one suite for split and packed, with and without event indexes: chains in
// order, once and whole, over many rounds and stops; notifications neither lost nor given where they are not wanted.
import fc from 'fast-check';
import t, { type Test } from 'tap';
import {
  featureBits,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_RING_PACKED,
  VIRTQ_AVAIL_F_NO_INTERRUPT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_PACKED_DESC,
  VIRTQ_USED_F_NO_NOTIFY,
  vringNeedEvent,
} from '../../../lib/layout/virtio-ring.js';
import { Chain } from '../../../lib/virtio/chain.js';
import type { QueueLayout } from '../../../lib/virtio/device-ring.js';
import { openDeviceRing } from '../../../lib/virtio/open-ring.js';
import { PackedDriver } from '../../../testkit/packed-driver.js';
import { plainMemory, RingDriver, type Segment } from '../../../testkit/ring-driver.js';

const SIZE = 8;

/** A driver of either layout. */
interface Driver {
  readonly layout: QueueLayout;
  readonly free: number;
  /** Descriptors that the device has. */
  readonly out: number;
  add(segments: readonly Segment[], options?: { indirectAt?: number }): number;
  collect(): { id: number; len: number }[];
  askCalls(which: 'every' | 'none' | 'next'): void;
  kickWanted(): boolean;
}

/** RingDriver with its descriptors counted, and its suppression as of the negotiated features. */
class SplitDriver extends RingDriver implements Driver {
  out = 0;
  readonly #eventIdx: boolean;
  readonly #sizes = new Map<number, number>();
  #told = 0;
  constructor(memory: ReturnType<typeof plainMemory>, eventIdx: boolean) {
    super(memory, { size: SIZE });
    this.#eventIdx = eventIdx;
  }
  override add(segments: readonly Segment[], options: { indirectAt?: number } = {}): number {
    const head = super.add(segments, options);
    const count = options.indirectAt === undefined ? segments.length : 1;
    this.#sizes.set(head, count);
    this.out += count;
    return head;
  }
  override collect(): { id: number; len: number }[] {
    const seen = super.collect();
    for (const { id } of seen) {
      const count = this.#sizes.get(id);
      if (count === undefined) throw new Error(`the device gave back ${id}, which it has not`);
      this.#sizes.delete(id);
      this.out -= count;
    }
    return seen;
  }
  askCalls(which: 'every' | 'none' | 'next'): void {
    this.availFlags = which === 'none' && !this.#eventIdx ? VIRTQ_AVAIL_F_NO_INTERRUPT : 0;
    if (this.#eventIdx) this.usedEvent = which === 'none' ? (this.usedSeen - 1) & 0xffff : this.usedSeen;
  }
  kickWanted(): boolean {
    const old = this.#told;
    this.#told = this.availIdx;
    if (!this.#eventIdx) return (this.usedFlags & VIRTQ_USED_F_NO_NOTIFY) === 0;
    return vringNeedEvent(this.availEvent, this.availIdx, old);
  }
}

interface Layout {
  readonly name: string;
  readonly features: bigint;
  driver(memory: ReturnType<typeof plainMemory>): Driver;
}

const common = featureBits(VIRTIO_F_INDIRECT_DESC, VIRTIO_F_IN_ORDER);
const LAYOUTS: readonly Layout[] = [false, true].flatMap((eventIdx) => {
  const features = common | (eventIdx ? featureBits(VIRTIO_F_EVENT_IDX) : 0n);
  const how = eventIdx ? ' with EVENT_IDX' : '';
  return [
    { name: `split${how}`, features, driver: (memory) => new SplitDriver(memory, eventIdx) },
    {
      name: `packed${how}`,
      features: features | featureBits(VIRTIO_F_RING_PACKED),
      driver: (memory) => new PackedDriver(memory, { size: SIZE }),
    },
  ] satisfies Layout[];
});

for (const layout of LAYOUTS) t.test(layout.name, (t) => contract(t, layout));

async function contract(t: Test, { features, driver: make }: Layout): Promise<void> {
  const eventIdx = (features & featureBits(VIRTIO_F_EVENT_IDX)) !== 0n;
  const setup = () => {
    const memory = plainMemory();
    const driver = make(memory);
    const open = (base = driver.layout.base) => openDeviceRing(memory, { ...driver.layout, base }, features);
    return { memory, driver, open, ring: open(), chain: new Chain(), at: driver.free + 0x1000 };
  };

  t.test('chains come out in order, whole, and go back once with what was written', async (t) => {
    const { memory, driver, ring, chain, at } = setup();
    t.notOk(ring.pop(chain), 'an empty ring');
    memory.write(at, Uint8Array.of(1, 2, 3, 4));
    const ids = [
      driver.add([{ addr: at, len: 4 }]),
      driver.add([
        { addr: at, len: 1 },
        { addr: at + 1, len: 3 },
        { addr: at + 64, len: 24, write: true },
      ]),
      driver.add(
        [
          { addr: at, len: 2 },
          { addr: at + 2, len: 2 },
          { addr: at + 128, len: 8, write: true },
        ],
        {
          indirectAt: at + 0x800,
        },
      ),
    ];
    const read = new Uint8Array(4);
    for (const [index, id] of ids.entries()) {
      t.ok(ring.pop(chain));
      t.equal(chain.head, id);
      t.same([chain.read(0, read), ...read], [4, 1, 2, 3, 4]);
      t.equal(chain.writableBytes, [0, 24, 8][index]);
      const written = chain.write(0, Uint8Array.of(9, 9));
      ring.pushUsed(chain.head, written);
    }
    t.notOk(ring.pop(chain));
    t.same(
      driver.collect(),
      ids.map((id, index) => ({ id, len: index === 0 ? 0 : 2 })),
    );
    t.same([memory.readU8(at + 64), memory.readU8(at + 128)], [9, 9]);
    t.same(driver.collect(), [], 'once');
  });

  t.test('over many rounds, with stops in between, nothing is lost and nothing comes twice', async () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(9)), { maxLength: 200 }), (steps) => {
        const { driver, open, ring: first, chain, at } = setup();
        let ring = first;
        const expected: number[] = [];
        const given: number[] = [];
        const taken: number[] = [];
        for (const [step, size] of steps) {
          const count = 1 + (size % 3);
          if (step === 0 && driver.out + count <= SIZE)
            expected.push(driver.add(Array.from({ length: count }, () => ({ addr: at, len: 1 }))));
          if (step === 1 && driver.out < SIZE)
            expected.push(driver.add([{ addr: at, len: 1 }], { indirectAt: at + 0x800 }));
          if (step === 2 && ring.pop(chain)) taken.push(chain.head);
          if (step === 3 || step === 2) for (const id of taken.splice(0)) ring.pushUsed(id, 0);
          given.push(...driver.collect().map(({ id }) => id));
          if (size !== 9) continue;
          // A stop with the newest chain under way, or with none: the next run goes on there.
          for (const id of taken.splice(0)) ring.pushUsed(id, 0);
          const kept = ring.pop(chain);
          ring = open(ring.base(kept));
        }
        while (ring.pop(chain)) ring.pushUsed(chain.head, 0);
        given.push(...driver.collect().map(({ id }) => id));
        if (given.join() !== expected.join()) throw new Error(`${expected} were added, ${given} came back`);
      }),
      { numRuns: 300 },
    );
  });

  t.test('who is told, and who is not', async (t) => {
    const { driver, ring, chain, at } = setup();
    const serve = () => {
      driver.add([{ addr: at, len: 1 }]);
      t.ok(ring.pop(chain));
      ring.pushUsed(chain.head, 0);
      return ring.needsCall();
    };
    driver.askCalls('every');
    t.ok(serve());
    t.notOk(ring.needsCall(), 'nothing new since');
    driver.collect();
    driver.askCalls('none');
    t.notOk(serve());
    driver.collect();
    driver.askCalls(eventIdx ? 'next' : 'every');
    t.ok(serve());
    if (eventIdx) t.notOk(serve(), 'only the one that was asked for');
    ring.disableKicks();
    driver.kickWanted();
    driver.add([{ addr: at, len: 1 }]);
    t.notOk(driver.kickWanted(), 'we are serving');
    t.ok(ring.enableKicks(), 'going to sleep notices what came meanwhile');
    t.ok(ring.pop(chain));
    t.notOk(ring.enableKicks());
    driver.add([{ addr: at, len: 1 }]);
    t.ok(driver.kickWanted());
  });

  t.test('no interleaving loses a chain or a notification that is needed', async () => {
    const action = fc.constantFrom('add', 'add two', 'serve', 'sleep', 'collect');
    fc.assert(
      fc.property(fc.array(action, { maxLength: 250 }), (actions) => {
        const { driver, ring, chain, at } = setup();
        const ask = eventIdx ? 'next' : 'every';
        let asleep = false;
        let called = false;
        let [added, back] = [0, 0];
        driver.askCalls(ask);
        for (const step of actions) {
          const count = step === 'add two' ? 2 : 1;
          if (step.startsWith('add') && driver.out + count <= SIZE) {
            driver.add(Array.from({ length: count }, () => ({ addr: at, len: 1 })));
            added++;
            if (asleep && !driver.kickWanted()) throw new Error('the device sleeps and no kick will wake it');
            asleep = false;
          } else if (step === 'serve' && !asleep && ring.pop(chain)) {
            ring.pushUsed(chain.head, added);
            called = ring.needsCall() || called;
          } else if (step === 'sleep' && !asleep) {
            driver.kickWanted();
            asleep = !ring.enableKicks();
          } else if (step === 'collect') {
            const got = driver.collect();
            if (got.length > 0 && !called) throw new Error('used chains without a call');
            called = false;
            back += got.length;
            driver.askCalls(ask);
          }
        }
        while (ring.pop(chain)) ring.pushUsed(chain.head, 0);
        back += driver.collect().length;
        if (back !== added) throw new Error(`${added} chains, ${back} back`);
      }),
      { numRuns: 500 },
    );
  });

  t.test('a queue outside memory or misaligned is refused, and a chain that cannot be served', async (t) => {
    const { memory, driver, ring, chain } = setup();
    const good = driver.layout;
    const bad = [
      { ...good, size: 0 },
      { ...good, size: 65536 },
      { ...good, desc: 8 },
      { ...good, avail: good.avail + 1 },
      { ...good, used: good.used + 2 },
      { ...good, desc: (1 << 20) - 112 },
      { ...good, avail: 1 << 20 },
      { ...good, used: 2 ** 60 },
    ];
    for (const layout of bad)
      t.throws(() => openDeviceRing(memory, layout, features), { code: 'QUEUE_LAYOUT' }, JSON.stringify(layout));
    const before = ring.base(false);
    driver.add([{ addr: 2 ** 50, len: 4 }]);
    t.throws(() => ring.pop(chain), { code: 'CHAIN_ADDRESS' });
    t.equal(ring.base(false), before, 'it leaves the ring where it was');
  });
}

t.test('a packed ring of any size; a chain without an end, and an id that is taken, are refused', async (t) => {
  const memory = plainMemory();
  const features = featureBits(VIRTIO_F_RING_PACKED, VIRTIO_F_INDIRECT_DESC);
  const odd = new PackedDriver(memory, { size: 5 });
  const ring = openDeviceRing(memory, odd.layout, features);
  const chain = new Chain();
  for (let round = 0; round < 13; round++) {
    odd.add([
      { addr: 0x8000, len: 1 },
      { addr: 0x8000, len: 1, write: true },
    ]);
    t.ok(ring.pop(chain));
    ring.pushUsed(chain.head, 1);
    t.equal(odd.collect().length, 1);
  }
  const endless = new PackedDriver(memory, { size: 4, at: 0x1000 });
  for (let slot = 0; slot < 4; slot++) endless.add([{ addr: 0x8000, len: 1 }]);
  for (let slot = 0; slot < 4; slot++) {
    const at = endless.layout.desc + slot * VIRTQ_PACKED_DESC.size + VIRTQ_PACKED_DESC.offset.flags;
    memory.storeU16(at, memory.loadU16(at) | VIRTQ_DESC_F_NEXT);
  }
  t.throws(() => openDeviceRing(memory, endless.layout, features).pop(chain), { code: 'CHAIN_LENGTH' });
  const twice = new PackedDriver(memory, { size: 4, at: 0x2000 });
  for (let slot = 0; slot < 2; slot++) twice.add([{ addr: 0x8000, len: 1 }]);
  for (let slot = 0; slot < 2; slot++)
    memory.writeU16(twice.layout.desc + slot * VIRTQ_PACKED_DESC.size + VIRTQ_PACKED_DESC.offset.id, 3);
  const other = openDeviceRing(memory, twice.layout, features);
  t.ok(other.pop(chain));
  t.throws(() => other.pop(chain), { code: 'HEAD_RANGE' });
  t.throws(() => openDeviceRing(memory, { ...twice.layout, base: 4 }, features), { code: 'QUEUE_LAYOUT' });
});
