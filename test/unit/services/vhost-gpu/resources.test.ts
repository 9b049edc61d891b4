import fc from 'fast-check';
import t from 'tap';
import { GPU_MEM_ENTRIES_HELD_MAX, GPU_MEM_ENTRIES_MAX, GPU_RESOURCES_MAX } from '../../../../lib/core/limits.js';
import { RegionMemory } from '../../../../lib/core/memory.js';
import { NO_PROBE } from '../../../../lib/core/probe.js';
import { ResourceTable, transferToHost } from '../../../../services/vhost-gpu/resources.js';

const heap = (bytes: number) => new Uint8Array(bytes);
const MEMORY_BYTES = 1 << 16;

/** Guest memory in two regions that adjoin and one behind a hole, filled with a pattern. */
function memory(): RegionMemory {
  const region = (base: number, length: number) => ({
    base,
    bytes: Uint8Array.from({ length }, (_, index) => ((base + index) * 2654435761) >>> 24),
  });
  return new RegionMemory([region(0, 4096), region(4096, 8192), region(32768, MEMORY_BYTES - 32768)]);
}

/** Transfer said byte by byte (5.7.6.8). */
function model(
  guest: RegionMemory,
  entries: readonly { addr: number; length: number }[],
  before: Uint8Array,
  [width, rect, offset]: [number, { x: number; y: number; width: number; height: number }, number],
): Uint8Array {
  const backing = entries.flatMap(({ addr, length }) => {
    const bytes = new Uint8Array(length);
    guest.read(addr, bytes);
    return [...bytes];
  });
  const after = before.slice();
  for (let row = 0; row < rect.height; row++) {
    for (let byte = 0; byte < rect.width * 4; byte++) {
      const from = offset + row * width * 4 + byte;
      if (from < backing.length) after[(rect.y + row) * width * 4 + rect.x * 4 + byte] = backing[from]!;
    }
  }
  return after;
}

t.test('a transfer copies what its arithmetic says, however the backing is cut', async (t) => {
  const entry = fc
    .oneof(
      fc.record({ addr: fc.nat(12000), length: fc.integer({ min: 1, max: 200 }) }),
      fc.record({ addr: fc.integer({ min: 32768, max: 60000 }), length: fc.integer({ min: 1, max: 3000 }) }),
    )
    .filter(({ addr, length }) => addr >= 32768 || addr + length <= 12288);
  const shape = fc.record({ width: fc.integer({ min: 1, max: 20 }), height: fc.integer({ min: 1, max: 12 }) });
  const scenario = shape.chain(({ width, height }) =>
    fc.record({
      width: fc.constant(width),
      height: fc.constant(height),
      entries: fc.array(entry, { minLength: 1, maxLength: 12 }),
      adjoining: fc.boolean(),
      offset: fc.oneof(fc.constant(0), fc.nat(2000), fc.maxSafeNat()),
      x: fc.nat(width),
      y: fc.nat(height),
      w: fc.nat(width),
      h: fc.nat(height),
    }),
  );
  const guest = memory();
  fc.assert(
    fc.property(scenario, ({ width, height, entries, adjoining, offset, x, y, w, h }) => {
      const pieces = adjoining ? entries.map((_, index) => ({ addr: index * 37, length: 37 })) : entries;
      const table = new ResourceTable(1 << 20, NO_PROBE, heap);
      const resource = table.create(1, 1, width, height)!;
      resource.pixels.fill(0xaa);
      if (table.attach(resource, guest, pieces) !== 'attached') throw new Error('refused');
      const rect = { x, y, width: Math.min(w, width - x), height: Math.min(h, height - y) };
      const want = model(guest, pieces, resource.pixels, [width, rect, offset]);
      if (!resource.backing!.bind(guest)) throw new Error('not bound');
      const bytes = transferToHost(resource, resource.backing!, rect, offset);
      if (bytes !== rect.width * rect.height * 4) throw new Error('bytes');
      t.equal(Buffer.compare(resource.pixels, want), 0);
    }),
    { numRuns: 500 },
  );
});

t.test('offset 0 brings the top left of the backing to wherever the rect is', async (t) => {
  const guest = memory();
  const table = new ResourceTable(1 << 20, NO_PROBE, heap);
  const resource = table.create(1, 1, 4, 4)!;
  table.attach(resource, guest, [{ addr: 0, length: 64 }]);
  resource.backing!.bind(guest);
  transferToHost(resource, resource.backing!, { x: 2, y: 1, width: 2, height: 1 }, 0);
  t.same(resource.pixels.subarray(24, 32), guest.view(0, 8));
  t.ok(resource.pixels.subarray(0, 24).every((byte) => byte === 0));
});

t.test('the copy is a snapshot of the moment', async (t) => {
  const guest = memory();
  const table = new ResourceTable(1 << 20, NO_PROBE, heap);
  const resource = table.create(1, 1, 1, 1)!;
  table.attach(resource, guest, [{ addr: 100, length: 4 }]);
  resource.backing!.bind(guest);
  guest.writeU32(100, 0x01020304);
  transferToHost(resource, resource.backing!, { x: 0, y: 0, width: 1, height: 1 }, 0);
  guest.writeU32(100, 0);
  t.same([...resource.pixels], [4, 3, 2, 1]);
});

t.test('backing follows the memory: none is touched after it is forgotten, another serves afterwards', async (t) => {
  const guest = memory();
  const table = new ResourceTable(1 << 20, NO_PROBE, heap);
  const resource = table.create(1, 1, 2, 1)!;
  table.attach(resource, guest, [{ addr: 8192, length: 8 }]);
  t.ok(resource.backing!.bind(guest));
  table.forgetMemory();
  t.notOk(resource.backing!.bind(new RegionMemory([{ base: 0, bytes: new Uint8Array(4096) }])), 'too small now');
  const other = new RegionMemory([{ base: 8192, bytes: new Uint8Array(4096).fill(9) }]);
  t.ok(resource.backing!.bind(other));
  transferToHost(resource, resource.backing!, { x: 0, y: 0, width: 2, height: 1 }, 0);
  t.same([...resource.pixels], new Array(8).fill(9));
});

t.test('host bytes, resources and backing entries are bounded, and come back when given back', async (t) => {
  const guest = memory();
  const table = new ResourceTable(4096, NO_PROBE, heap);
  const first = table.create(1, 1, 16, 32)!;
  t.equal(table.hostBytes, 2048);
  t.ok(table.create(2, 1, 16, 32));
  t.equal(table.create(3, 1, 1, 1), undefined, 'one byte over');
  t.ok(table.create(4, 1, 0, 0), 'no pixels cost none');
  table.remove(first);
  t.ok(table.create(3, 1, 16, 32));
  t.equal(table.hostBytes, 4096);

  for (let id = 100; table.count < GPU_RESOURCES_MAX; id++) t.ok(table.create(id, 1, 0, 0));
  t.equal(table.create(99, 1, 0, 0), undefined);
  const entries = Array.from({ length: GPU_MEM_ENTRIES_MAX }, () => ({ addr: 0, length: 1 }));
  const owners = [...table.all()];
  const full = GPU_MEM_ENTRIES_HELD_MAX / GPU_MEM_ENTRIES_MAX;
  for (const resource of owners.slice(0, full)) t.equal(table.attach(resource, guest, entries), 'attached');
  t.equal(table.attach(owners[full]!, guest, [{ addr: 0, length: 1 }]), 'full');
  table.detach(owners[0]!);
  t.equal(table.attach(owners[full]!, guest, entries), 'attached');
  t.equal(table.attach(owners[0]!, guest, [{ addr: MEMORY_BYTES, length: 1 }]), 'full');
  table.clear();
  t.same([table.count, table.hostBytes, table.entriesHeld], [0, 0, 0]);
  const again = table.create(1, 1, 1, 1)!;
  t.equal(table.attach(again, guest, [{ addr: 12287, length: 2 }]), 'bad', 'into a hole');
  t.equal(again.backing, undefined);
});
