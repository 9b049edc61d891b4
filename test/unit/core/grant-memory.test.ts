import fc from 'fast-check';
import t from 'tap';
import {
  DMA_NOWHERE,
  dmaAddress,
  dmaAddressOf,
  dmaWire,
  GRANT_SPACE,
  grantDmaAddress,
  grantRefOf,
} from '../../../lib/core/dma-address.js';
import { GrantMemory } from '../../../lib/core/grant-memory.js';
import { RegionMemory } from '../../../lib/core/memory.js';
import {
  GRANT_ENTRY_V1,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
} from '../../../lib/layout/grant-table.js';

const PAGE = 4096;
const REFS = 512;
const FRAMES = 6;

function stage() {
  const ram = new Uint8Array(FRAMES * PAGE);
  for (const [at] of ram.entries()) ram[at] = (at * 7 + (at >> 12)) & 0xff;
  const table = new Uint8Array(PAGE);
  const memory = new GrantMemory({ ram: new RegionMemory([{ base: 0, bytes: ram }]), table, domid: 0 });
  const grant = (ref: number, flags: number, frame: number, domid = 0) =>
    GRANT_ENTRY_V1.encode({ flags, domid, frame }, table, ref * GRANT_ENTRY_V1.size);
  const at = (ref: number, offset = 0) => dmaAddressOf(grantDmaAddress(ref, offset));
  return { ram, table, memory, grant, at };
}

t.test('an address with the top bit set keeps every bit of reference and offset', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 0, max: PAGE - 1 }), (ref, offset) => {
      const wire = grantDmaAddress(ref, offset);
      const address = dmaAddressOf(wire);
      t.equal(grantRefOf(address), ref);
      t.equal((address - GRANT_SPACE) % PAGE, offset);
      t.equal(dmaWire(address), wire);
      t.equal(dmaAddress(Number(wire >> 32n), Number(wire & 0xffffffffn)), address);
    }),
    { numRuns: 200 },
  );
});

t.test('an address is granted, plain or nowhere, and never two of them', async (t) => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (wire) => {
      const address = dmaAddressOf(wire);
      const rest = wire & (2n ** 63n - 1n);
      if (rest >= 2n ** 52n) t.equal(address, DMA_NOWHERE);
      else t.equal(dmaWire(address), wire);
      if (rest < 2n ** 52n) t.equal(address >= GRANT_SPACE, wire >= 2n ** 63n);
    }),
    { numRuns: 500 },
  );
  t.equal(dmaAddressOf(2n ** 52n - 1n), 2 ** 52 - 1);
  t.equal(dmaAddressOf(2n ** 52n), DMA_NOWHERE, 'plain memory does not reach into the granted');
});

t.test('references outside of the ranges that are asked for are not there, granted or not', async (t) => {
  const { ram, table, grant, at } = stage();
  for (const ref of [8, 9, 10, 64]) grant(ref, GTF_permit_access, 1);
  const ranges = [
    { first: 8, count: 2 },
    { first: 64, count: 1 },
  ];
  const memory = new GrantMemory({ ram: new RegionMemory([{ base: 0, bytes: ram }]), table, domid: 0, ranges });
  for (const [ref, there] of [
    [7, false],
    [8, true],
    [9, true],
    [10, false],
    [64, true],
  ] as const)
    t.equal(memory.contains(at(ref), PAGE, true), there, `${ref}`);
  t.ok(memory.contains(at(8), 2 * PAGE));
  t.throws(() => memory.read(at(9, PAGE - 1), new Uint8Array(2)), { code: 'EFAULT' });
});

t.test('what is granted is read and written where its frame lies', async (t) => {
  const { ram, memory, grant, at } = stage();
  grant(8, GTF_permit_access, 3);
  grant(9, GTF_permit_access | GTF_reading, 1);
  t.equal(memory.readU8(at(8, 5)), ram[3 * PAGE + 5]);
  memory.writeU32(at(9, 8), 0xdeadbeef);
  t.equal(new DataView(ram.buffer).getUint32(PAGE + 8, true), 0xdeadbeef);
  const bytes = new Uint8Array(16);
  memory.read(at(8, PAGE - 8), bytes);
  t.same([...bytes], [...ram.subarray(4 * PAGE - 8, 4 * PAGE), ...ram.subarray(PAGE, PAGE + 8)]);
  t.equal(memory.readU32(at(8, PAGE - 2)) >>> 16, ram[PAGE]! | (ram[PAGE + 1]! << 8), 'a word over a page border');
  memory.writeU64(at(8, PAGE - 4), 0x1122334455667788n);
  t.equal(ram[PAGE + 3], 0x11);
  memory.storeU16(at(8, 6), 0x0102);
  t.equal(memory.loadU16(at(8, 6)), 0x0102);
  t.throws(() => memory.loadU16(at(8, 7)), { code: 'EFAULT' }, 'odd');
  t.equal(memory.views(at(8, PAGE - 1), 2).length, 2);
  t.same(memory.views(at(8), 0), []);
  grant(10, GTF_permit_access, 2);
  const views = memory.views(at(8, 100), 3 * PAGE - 200);
  t.same(
    views.map(({ byteOffset, length }) => [byteOffset, length]),
    [
      [3 * PAGE + 100, PAGE - 100],
      [PAGE, 2 * PAGE - 100],
    ],
    'frames that follow each other are one view',
  );
  t.throws(() => memory.view(at(8, PAGE - 1), 2), { code: 'EFAULT' }, 'one view is of one page');
});

t.test('a page that is not granted to the backend is EFAULT, and so is a plain address', async (t) => {
  const { memory, grant, at } = stage();
  const refused = (ref: number, what: string) => {
    t.throws(() => memory.readU8(at(ref)), { code: 'EFAULT' }, what);
    t.notOk(memory.contains(at(ref), 1), what);
    t.throws(() => memory.check(at(ref), 0), { code: 'EFAULT' }, what);
  };
  refused(8, 'no entry');
  grant(8, GTF_permit_access, 1, 7);
  refused(8, 'of another domain');
  grant(8, GTF_permit_access | GTF_sub_page, 1);
  refused(8, 'a sub-page');
  grant(8, 2, 1);
  refused(8, 'a transfer');
  grant(8, GTF_permit_access, FRAMES);
  refused(8, 'beyond the RAM');
  grant(8, GTF_permit_access, 0xffffffff);
  refused(8, 'far beyond the RAM');
  refused(REFS, 'beyond the table');
  grant(8, GTF_permit_access, 1);
  for (const plain of [0, PAGE, GRANT_SPACE - 1, DMA_NOWHERE, -1, Number.NaN])
    t.throws(() => memory.readU8(plain), { code: 'EFAULT' }, `${plain}`);
  t.notOk(memory.contains(GRANT_SPACE - 1, 2));
  t.notOk(memory.contains(at(8), 2 ** 40));
});

t.test('a read-only grant is read and not written', async (t) => {
  const { ram, memory, grant, at } = stage();
  grant(8, GTF_permit_access | GTF_readonly, 2);
  const before = ram.slice();
  t.equal(memory.readU8(at(8)), ram[2 * PAGE]);
  t.ok(memory.contains(at(8), PAGE));
  t.notOk(memory.contains(at(8), PAGE, true));
  t.throws(() => memory.writeU8(at(8), 1), { code: 'EFAULT' });
  t.throws(() => memory.storeU16(at(8), 1), { code: 'EFAULT' });
  t.same(ram, before);
});

t.test('a revoked grant is EFAULT from the next access on; nothing of a longer write happens', async (t) => {
  const { ram, memory, grant, at } = stage();
  grant(8, GTF_permit_access, 2);
  grant(9, GTF_permit_access, 3);
  memory.write(at(8, PAGE - 1), Uint8Array.of(1, 2));
  grant(9, 0, 3);
  const before = ram.slice();
  t.throws(() => memory.write(at(8, PAGE - 1), Uint8Array.of(9, 9)), { code: 'EFAULT' });
  t.throws(() => memory.readU8(at(9)), { code: 'EFAULT' });
  t.same(ram, before);
  memory.close();
  t.throws(() => memory.readU8(at(8)), { code: 'EFAULT' }, 'closed: nothing is touched');
});

type Step =
  | { op: 'grant'; ref: number; flags: number; frame: number; domid: number }
  | { op: 'read' | 'write'; ref: number; offset: number; length: number };

t.test('no access reaches a byte that a model of the table does not allow', async () => {
  const ref = fc.integer({ min: 0, max: 5 });
  const flags = fc.constantFrom(0, 1, 1, 1, GTF_permit_access | GTF_readonly, 2, 3, GTF_permit_access | GTF_sub_page);
  const grantStep = fc.record({
    op: fc.constant('grant' as const),
    ref,
    flags,
    frame: fc.integer({ min: 0, max: FRAMES + 1 }),
    domid: fc.constantFrom(0, 0, 0, 5),
  });
  const access = fc.record({
    op: fc.constantFrom('read' as const, 'write' as const),
    ref,
    offset: fc.constantFrom(0, 1, 17, PAGE - 3, PAGE - 1),
    length: fc.constantFrom(0, 1, 2, 4, 7, PAGE, PAGE + 5, 2 * PAGE),
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(grantStep, access), { maxLength: 40 }), (steps: Step[]) => {
      const { ram, memory, grant, at } = stage();
      const model = new Map<number, { flags: number; frame: number; domid: number }>();
      const place = (byte: number, writing: boolean): number => {
        const entry = model.get(Math.floor(byte / PAGE));
        const fine = entry !== undefined && (entry.flags === 1 || (entry.flags === 5 && !writing));
        return fine && entry.domid === 0 && entry.frame < FRAMES ? entry.frame * PAGE + (byte % PAGE) : -1;
      };
      for (const step of steps) {
        if (step.op === 'grant') {
          grant(step.ref, step.flags, step.frame, step.domid);
          model.set(step.ref, step);
          continue;
        }
        const writing = step.op === 'write';
        const start = step.ref * PAGE + step.offset;
        const places = Array.from({ length: step.length }, (_, i) => place(start + i, writing));
        const allowed = !places.includes(-1);
        const expected = ram.slice();
        const bytes = Uint8Array.from({ length: step.length }, (_, i) => (i * 13 + 1) & 0xff);
        let faulted = false;
        try {
          if (writing) memory.write(at(step.ref, step.offset), bytes);
          else memory.read(at(step.ref, step.offset), bytes);
        } catch (error) {
          if ((error as { code?: string }).code !== 'EFAULT') throw error;
          faulted = true;
        }
        if (faulted === allowed) throw new Error(`${step.op} ${faulted ? 'refused' : 'allowed'} against the model`);
        if (allowed && writing) for (const [i, to] of places.entries()) expected[to] = bytes[i]!;
        if (allowed && !writing)
          for (const [i, from] of places.entries()) if (bytes[i] !== ram[from]) throw new Error();
        if (Buffer.compare(ram, expected) !== 0) throw new Error(`${step.op} changed what it must not`);
      }
    }),
    { numRuns: 300 },
  );
});
