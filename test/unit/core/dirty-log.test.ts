import t from 'tap';
import { loggingMemory } from '../../../lib/core/dirty-log.js';
import { RegionMemory } from '../../../lib/core/memory.js';

t.test('pages that are written to are noted, and nothing else is', async (t) => {
  const ram = new RegionMemory([{ base: 0, bytes: new Uint8Array(64 * 4096) }]);
  const log = new Uint8Array(7);
  const memory = loggingMemory(ram, log);
  const noted = (): number[] => {
    const pages = Array.from({ length: 56 }, (_, page) => page).filter((page) => log[page >> 3]! & (1 << (page & 7)));
    log.fill(0);
    return pages;
  };
  memory.read(0, new Uint8Array(9000));
  memory.readU32(4096);
  memory.view(0, 10);
  memory.write(0, new Uint8Array(0));
  t.same(noted(), []);
  memory.write(4095, Uint8Array.of(1, 2));
  t.same(noted(), [0, 1]);
  memory.write(3 * 4096, new Uint8Array(2 * 4096));
  t.same(noted(), [3, 4]);
  memory.writeU8(9 * 4096 - 1, 1);
  memory.writeU16(9 * 4096, 1);
  memory.writeU32(10 * 4096, 1);
  memory.writeU64(12 * 4096 - 4, 1n);
  memory.storeU16(55 * 4096, 1);
  t.same(noted(), [8, 9, 10, 11, 12, 55]);
  memory.writeU8(60 * 4096, 1);
  t.same(noted(), [], 'a page past the log');
  t.equal(ram.readU8(60 * 4096), 1, 'is written all the same');
  t.throws(() => memory.write(64 * 4096 - 1, Uint8Array.of(1, 2)), { code: 'EFAULT' });
  t.same(noted(), [], 'a write that failed notes nothing');
});
