import fc from 'fast-check';
import t from 'tap';
import { DOM0, DomId } from '../../../../lib/core/ids.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import {
  GNTTAB_NR_RESERVED_ENTRIES,
  GRANT_ENTRY_V1,
  GTF_permit_access,
  GTF_reading,
  GTF_type_mask,
  GTF_writing,
} from '../../../../lib/layout/grant-table.js';
import { featureBits, VIRTIO_F_ACCESS_PLATFORM } from '../../../../lib/layout/virtio-ring.js';
import { DmaPools } from '../../../../services/guest/dma.js';
import { GrantTable } from '../../../../services/guest/grant-table.js';
import { Pages } from '../../../../services/guest/pages.js';
import { GPU_FEATURES } from '../../../../services/vhost-gpu/device.js';
import { GuestMachine, rgbOf, testPicture } from '../../../../testkit/guest-machine.js';

const PAGE = 4096;
const ENTRIES = PAGE / GRANT_ENTRY_V1.size;
const entry = (bytes: Uint8Array, ref: number) => GRANT_ENTRY_V1.decode(bytes, ref * GRANT_ENTRY_V1.size);
/** What Xen does to an entry. */
const setFlags = (bytes: Uint8Array, ref: number, flags: number) =>
  new DataView(bytes.buffer).setUint16(ref * GRANT_ENTRY_V1.size, flags, true);
const valid = (bytes: Uint8Array): number[] =>
  Array.from({ length: bytes.length / GRANT_ENTRY_V1.size }, (_, ref) => ref).filter(
    (ref) => (entry(bytes, ref).flags & GTF_type_mask) !== 0,
  );

t.test('references are in a row, past the reserved ones, and name the frames', async (t) => {
  const bytes = new Uint8Array(PAGE);
  const table = new GrantTable(bytes, NO_PROBE);
  const first = table.grant(0x123, 3, DomId(4));
  t.equal(first, GNTTAB_NR_RESERVED_ENTRIES);
  t.same(entry(bytes, first + 2), { flags: GTF_permit_access, domid: 4, frame: 0x125 });
  t.equal(table.taken, 3);
  t.ok(table.revoke(first, 3));
  t.equal(entry(bytes, first).flags, 0);
  t.equal(table.taken, 0);
  t.throws(() => table.revoke(first, 1), /not out/);
  t.throws(() => table.grant(0, ENTRIES, DOM0), { code: 'ENOMEM' });
  t.equal(table.grant(0, ENTRIES - GNTTAB_NR_RESERVED_ENTRIES, DOM0), first, 'to the last one');
  t.throws(() => table.grant(0, 1, DOM0), { code: 'ENOMEM' });
});

t.test('what the other domain has mapped stays granted as a whole', async (t) => {
  const bytes = new Uint8Array(PAGE);
  const table = new GrantTable(bytes, NO_PROBE);
  const first = table.grant(1, 3, DOM0);
  setFlags(bytes, first + 2, GTF_permit_access | GTF_reading | GTF_writing);
  t.notOk(table.revoke(first, 3));
  t.same(valid(bytes), [first, first + 1, first + 2]);
  t.equal(table.taken, 3);
  setFlags(bytes, first + 2, GTF_permit_access);
  t.ok(table.revoke(first, 3));
  t.same(valid(bytes), []);
});

t.test('a page given back while it is mapped is not given out again until it is unmapped', async (t) => {
  const bytes = new Uint8Array(PAGE);
  const all = new Pages(4 << 20, NO_PROBE);
  const pools = new DmaPools(all, async () => bytes, NO_PROBE);
  const { pages, address } = await pools.granted(DOM0);
  const [one, other] = [pages.contiguous(1), pages.contiguous(1)];
  t.equal(address(one.addr + 5), (1n << 63n) | (BigInt(GNTTAB_NR_RESERVED_ENTRIES) << 12n) | 5n);
  t.throws(() => address(0x300000), /not granted/);
  setFlags(bytes, GNTTAB_NR_RESERVED_ENTRIES, GTF_permit_access | GTF_reading);
  pages.release(one);
  t.equal(all.taken, 2, 'it is still out');
  t.not(all.contiguous(1).addr, one.addr);
  setFlags(bytes, GNTTAB_NR_RESERVED_ENTRIES, GTF_permit_access);
  pages.release(other);
  t.equal(all.taken, 1);
  t.equal(pools.grantsTaken, 0);
});

t.test('grants that do not suffice take no page', async (t) => {
  const all = new Pages(8 << 20, NO_PROBE);
  const pools = new DmaPools(all, async () => new Uint8Array(PAGE), NO_PROBE);
  const { pages } = await pools.granted(DOM0);
  t.throws(() => pages.scattered(ENTRIES), { code: 'ENOMEM' });
  t.equal(all.taken, 0);
  t.equal(pools.grantsTaken, 0);
});

t.test('references are never handed out twice, and all come back', async () => {
  const step = fc.oneof(
    fc.record({ op: fc.constant('grant' as const), count: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ op: fc.constant('revoke' as const), index: fc.nat({ max: 30 }), mapped: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const bytes = new Uint8Array(PAGE);
      const table = new GrantTable(bytes, NO_PROBE);
      const out: { first: number; count: number }[] = [];
      for (const each of steps) {
        if (each.op === 'grant') {
          try {
            out.push({ first: table.grant(out.length, each.count, DOM0), count: each.count });
          } catch (error) {
            if ((error as { code?: string }).code !== 'ENOMEM') throw error;
          }
        } else if (out.length > 0) {
          const at = each.index % out.length;
          const { first, count } = out[at]!;
          if (each.mapped) setFlags(bytes, first + count - 1, GTF_permit_access | GTF_reading);
          const back = table.revoke(first, count);
          if (back === each.mapped) throw new Error('revoked against its mapping');
          if (each.mapped) setFlags(bytes, first + count - 1, GTF_permit_access);
          else out.splice(at, 1);
        }
        const refs = out
          .flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i))
          .sort((a, b) => a - b);
        if (new Set(refs).size !== refs.length || refs.length !== table.taken) throw new Error('handed out twice');
        if (JSON.stringify(valid(bytes)) !== JSON.stringify(refs)) throw new Error('the table says otherwise');
      }
    }),
    { numRuns: 200 },
  );
});

function machineWithGrants(picture = testPicture(300, 203)) {
  return new GuestMachine({ picture, features: GPU_FEATURES | featureBits(VIRTIO_F_ACCESS_PLATFORM) });
}
const equal = (machine: GuestMachine, picture: ReturnType<typeof testPicture>): boolean =>
  Buffer.compare(Buffer.from(machine.shown()!.rgb), Buffer.from(rgbOf(picture))) === 0;

t.test('a guest whose device takes grants alone shows its picture, and takes every grant back', async (t) => {
  const picture = testPicture(300, 203);
  const machine = machineWithGrants(picture);
  await machine.connect();
  t.equal(machine.front, 4);
  t.ok(equal(machine, picture));
  const granted = valid(machine.grantTable);
  t.ok(granted.length >= Math.ceil((300 * 203 * 4) / PAGE) + 4, 'frame buffer, rings, commands');
  for (const ref of granted) t.equal(entry(machine.grantTable, ref).domid, 0);
  machine.setBack(5);
  await machine.settle();
  t.equal(machine.front, 6);
  t.same(valid(machine.grantTable), []);
  t.same(machine.kernel.held(), []);
});

t.test('a device that was lost gets its grants anew', async (t) => {
  const picture = testPicture(100, 80);
  const machine = machineWithGrants(picture);
  await machine.connect();
  machine.loseDevice();
  await machine.settle();
  t.ok(equal(machine, picture));
  machine.setBack(5);
  await machine.settle();
  t.same(valid(machine.grantTable), []);
  t.same(machine.kernel.held(), []);
});

t.test('without the feature nothing is granted', async (t) => {
  const machine = new GuestMachine({ picture: testPicture(64, 48) });
  await machine.connect();
  t.equal(machine.front, 4);
  t.same(valid(machine.grantTable), []);
});
