import fc from 'fast-check';
import t, { type Test } from 'tap';
import { CHAIN_DESCRIPTORS_MAX } from '../../../lib/core/limits.js';
import { RegionMemory } from '../../../lib/core/memory.js';
import { VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from '../../../lib/layout/virtio-ring.js';
import { Chain, type ChainTable, VirtqError, type VirtqErrorCode } from '../../../lib/virtio/chain.js';
import { plainMemory, RingDriver } from '../../../testkit/ring-driver.js';

const NEXT = VIRTQ_DESC_F_NEXT;
const WRITE = VIRTQ_DESC_F_WRITE;
const INDIRECT = VIRTQ_DESC_F_INDIRECT;

function setup(size = 8) {
  const memory = plainMemory();
  const driver = new RingDriver(memory, { size });
  const table: ChainTable = { memory, desc: driver.layout.desc, size, indirect: true };
  return { memory, driver, table, at: driver.free };
}

function refused(t: Test, table: ChainTable, head: number, code: VirtqErrorCode) {
  const chain = new Chain();
  try {
    chain.walk(table, head);
    t.fail(`expected ${code}`);
  } catch (error) {
    t.ok(error instanceof VirtqError, String(error));
    t.equal((error as VirtqError).code, code, (error as VirtqError).message);
  }
  t.equal(chain.readableBytes + chain.writableBytes, 0, 'nothing is left of the chain');
  t.equal(chain.read(0, new Uint8Array(8)), 0);
}

t.test('a request split anywhere reads as one byte string', async (t) => {
  const { memory, driver, table, at } = setup(32);
  const text = Uint8Array.from({ length: 40 }, (_, index) => index + 1);
  memory.write(at, text);
  const chain = new Chain();
  for (let cut = 1; cut < 40; cut++) {
    const head = driver.chain([
      { addr: at, len: cut },
      { addr: at + cut, len: 40 - cut },
      { addr: at + 1000, len: 7, write: true },
      { addr: at + 2000, len: 9, write: true },
    ]);
    chain.walk(table, head);
    t.equal(chain.readableBytes, 40);
    t.equal(chain.writableBytes, 16);
    const got = new Uint8Array(100);
    t.equal(chain.read(0, got), 40);
    t.same(got.subarray(0, 40), text);
    t.equal(chain.read(39, got), 1);
    t.equal(chain.read(40, got), 0);
    t.equal(chain.write(0, new Uint8Array(20).fill(cut)), 16, 'what has no room is cut off');
    t.equal(memory.readU8(at + 1006), cut);
    t.equal(memory.readU8(at + 1007), 0, 'nothing past a segment');
    t.equal(memory.readU8(at + 2008), cut);
  }
});

t.test('direct descriptors may end in an indirect table', async (t) => {
  const { memory, driver, table, at } = setup();
  driver.desc(0, { addr: at, len: 4, flags: NEXT, next: 3 });
  driver.desc(3, { addr: at + 512, len: 48, flags: INDIRECT | WRITE });
  driver.desc(0, { addr: at + 4, len: 4, flags: NEXT, next: 2 }, at + 512);
  driver.desc(2, { addr: at + 8, len: 4, flags: WRITE }, at + 512);
  memory.write(at, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  const chain = new Chain();
  chain.walk(table, 0);
  const got = new Uint8Array(8);
  t.equal(chain.read(0, got), 8);
  t.same(got, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  t.equal(chain.writableBytes, 4);
});

t.test('a full-length chain and a table longer than the queue are accepted', async (t) => {
  const { driver, table, at } = setup(8);
  const chain = new Chain();
  chain.walk(table, driver.chain(Array.from({ length: 8 }, (_, index) => ({ addr: at + index, len: 1 }))));
  t.equal(chain.readableBytes, 8);
  const many = Array.from({ length: CHAIN_DESCRIPTORS_MAX - 1 }, () => ({ addr: at, len: 1 }));
  chain.walk(table, driver.chain(many, { indirectAt: at + 4096 }));
  t.equal(chain.readableBytes, CHAIN_DESCRIPTORS_MAX - 1);
  const more = driver.chain([...many, { addr: at, len: 1 }], { indirectAt: at + 4096 });
  refused(t, table, more, 'CHAIN_LENGTH');
});

t.test('zero-length descriptors add nothing, wherever they point', async (t) => {
  const { driver, table, at } = setup();
  const chain = new Chain();
  chain.walk(
    table,
    driver.chain([
      { addr: 2 ** 40, len: 0 },
      { addr: at, len: 4 },
      { addr: 2 ** 60, len: 0, write: true },
    ]),
  );
  t.equal(chain.readableBytes, 4);
  t.equal(chain.writableBytes, 0);
  t.equal(chain.write(0, Uint8Array.of(1)), 0);
});

t.test('a buffer may cross regions that adjoin, not a hole', async (t) => {
  const memory = new RegionMemory([
    { base: 0, bytes: new Uint8Array(8192) },
    { base: 8192, bytes: new Uint8Array(4096) },
    { base: 16384, bytes: new Uint8Array(4096) },
  ]);
  const driver = new RingDriver(memory);
  const table: ChainTable = { memory, desc: 0, size: 8, indirect: true };
  const chain = new Chain();
  chain.walk(table, driver.chain([{ addr: 8190, len: 4, write: true }]));
  t.equal(chain.write(0, Uint8Array.of(1, 2, 3, 4)), 4);
  t.equal(memory.readU8(8193), 4);
  refused(t, table, driver.chain([{ addr: 12286, len: 4098 + 4 }]), 'CHAIN_ADDRESS');
});

t.test('every chain that cannot be served is refused with its reason (2.7.4, 2.7.5)', async (t) => {
  const cases: [
    string,
    VirtqErrorCode,
    (s: ReturnType<typeof setup>) => number,
    ((table: ChainTable) => ChainTable)?,
  ][] = [
    ['head past the table', 'HEAD_RANGE', () => 8],
    [
      'next past the table',
      'NEXT_RANGE',
      ({ driver, at }) => {
        driver.desc(0, { addr: at, len: 1, flags: NEXT, next: 8 });
        return 0;
      },
    ],
    [
      'a loop onto itself',
      'CHAIN_LENGTH',
      ({ driver, at }) => {
        driver.desc(0, { addr: at, len: 1, flags: NEXT, next: 0 });
        return 0;
      },
    ],
    [
      'a loop of zero-length descriptors',
      'CHAIN_LENGTH',
      ({ driver, at }) => {
        driver.desc(0, { addr: at, len: 0, flags: NEXT, next: 1 });
        driver.desc(1, { addr: at, len: 0, flags: NEXT, next: 0 });
        return 1;
      },
    ],
    [
      'a loop inside a table',
      'CHAIN_LENGTH',
      ({ driver, at }) => {
        driver.desc(0, { addr: at, len: 32, flags: INDIRECT });
        driver.desc(0, { addr: at, len: 1, flags: NEXT, next: 1 }, at);
        driver.desc(1, { addr: at, len: 1, flags: NEXT, next: 0 }, at);
        return 0;
      },
    ],
    [
      'readable after writable',
      'CHAIN_ORDER',
      ({ driver, at }) =>
        driver.chain([
          { addr: at, len: 4 },
          { addr: at, len: 4, write: true },
          { addr: at, len: 4 },
        ]),
    ],
    ['address past the end', 'CHAIN_ADDRESS', ({ driver }) => driver.chain([{ addr: (1 << 20) - 3, len: 4 }])],
    ['address near 2^64', 'CHAIN_ADDRESS', ({ driver }) => driver.chain([{ addr: 2 ** 63 + 4096, len: 4 }])],
    [
      'address that wraps 2^64',
      'CHAIN_ADDRESS',
      ({ driver, memory, at }) => {
        const head = driver.chain([{ addr: at, len: 0xffffffff }]);
        memory.writeU64(head * 16, 0xffff_ffff_ffff_fff0n);
        return head;
      },
    ],
    [
      'indirect without the feature',
      'INDIRECT_FEATURE',
      ({ driver, at }) => driver.chain([{ addr: at, len: 4 }], { indirectAt: at }),
      (table) => ({ ...table, indirect: false }),
    ],
    [
      'indirect of no length',
      'INDIRECT_LENGTH',
      ({ driver, at }) => {
        driver.desc(0, { addr: at, len: 0, flags: INDIRECT });
        return 0;
      },
    ],
    [
      'indirect of 17 bytes',
      'INDIRECT_LENGTH',
      ({ driver, at }) => {
        driver.desc(0, { addr: at, len: 17, flags: INDIRECT });
        return 0;
      },
    ],
    [
      'indirect outside memory',
      'INDIRECT_ADDRESS',
      ({ driver }) => {
        driver.desc(0, { addr: (1 << 20) - 16, len: 32, flags: INDIRECT });
        return 0;
      },
    ],
    [
      'indirect with next',
      'INDIRECT_NEXT',
      ({ driver, at }) => {
        driver.desc(0, { addr: at, len: 16, flags: INDIRECT | NEXT, next: 1 });
        return 0;
      },
    ],
    [
      'a table in a table',
      'INDIRECT_NESTED',
      ({ driver, at }) => {
        driver.desc(0, { addr: at, len: 16, flags: INDIRECT });
        driver.desc(0, { addr: at, len: 16, flags: INDIRECT }, at);
        return 0;
      },
    ],
    [
      'next past the indirect table',
      'NEXT_RANGE',
      ({ driver, at }) => {
        driver.desc(0, { addr: at, len: 16, flags: INDIRECT });
        driver.desc(0, { addr: at, len: 1, flags: NEXT, next: 1 }, at);
        return 0;
      },
    ],
  ];
  for (const [title, code, prepare, change] of cases) {
    t.test(title, async (t) => {
      const s = setup();
      const head = prepare(s);
      refused(t, change ? change(s.table) : s.table, head, code);
    });
  }
});

t.test('more than 2^32 bytes in all are refused even where they fit (2.7.4)', async (t) => {
  // Memory that claims to be endless: the sum is what is looked at.
  const { driver, table, at, memory } = setup();
  const endless = new Proxy(memory, {
    get: (target, key) => {
      const value = Reflect.get(target, key) as unknown;
      if (key === 'contains') return () => true;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const chain = new Chain();
  const half = { addr: at, len: 2 ** 31 };
  chain.walk({ ...table, memory: endless }, driver.chain([half, half]));
  t.equal(chain.readableBytes, 2 ** 32);
  refused(
    t,
    { ...table, memory: endless },
    driver.chain([half, half, { addr: at, len: 1, write: true }]),
    'CHAIN_BYTES',
  );
});

t.test('any bytes as a descriptor table end in a chain or a typed error', async () => {
  const word = fc.oneof(fc.integer({ min: 0, max: 0x1ffff }), fc.integer({ min: 0, max: 0xffffffff }));
  const desc = fc.record({
    addr: fc.oneof(word, fc.maxSafeInteger().map(Math.abs)),
    len: fc.oneof(fc.constantFrom(0, 16, 32, 48), word),
    flags: fc.integer({ min: 0, max: 7 }),
    next: fc.integer({ min: 0, max: 9 }),
  });
  const memory = plainMemory(1 << 16);
  const driver = new RingDriver(memory);
  const chain = new Chain();
  const local = new Uint8Array(64);
  fc.assert(
    fc.property(fc.array(desc, { minLength: 16, maxLength: 16 }), fc.nat(9), (descs, head) => {
      for (const [index, value] of descs.entries()) driver.desc(index % 8, value, index < 8 ? 0 : 0x1000);
      try {
        chain.walk({ memory, desc: 0, size: 8, indirect: true }, head);
      } catch (error) {
        if (!(error instanceof VirtqError)) throw error;
        return;
      }
      const read = chain.read(0, local);
      if (read !== Math.min(64, chain.readableBytes)) throw new Error('lost bytes');
      if (chain.readableBytes + chain.writableBytes > 2 ** 32) throw new Error('too long');
    }),
    { numRuns: 3000 },
  );
});
