// Memory in windows: a region larger than an ArrayBuffer may be is one run of addresses all the same.
import t from 'tap';
import { RegionMemory } from '../../../lib/core/memory.js';
import { mapInWindows, WINDOW_BYTES, WINDOW_OVERLAP_BYTES } from '../../../lib/core/memory-windows.js';
import { mapFile } from '../../../lib/node/files/libc.js';
import { memfd } from '../../fixtures/descriptors.js';

const BYTES = 3 * WINDOW_BYTES + 8192;

t.test('words, views and copies reach over the borders of windows; beyond the end they do not', (t) => {
  const file = memfd(BYTES + 4096);
  const asked: [number, number][] = [];
  let open = 0;
  const part = mapInWindows({ base: 0x100000, offset: 4096, size: BYTES }, (offset, size) => {
    asked.push([offset, size]);
    const raw = mapFile(file.fd, size, true, offset);
    open++;
    const close = (): void => {
      raw.unmap();
      open--;
    };
    return { bytes: new Uint8Array(raw.buffer), close };
  });
  t.same(
    asked.map(([offset]) => offset),
    [4096, 4096 + WINDOW_BYTES, 4096 + 2 * WINDOW_BYTES, 4096 + 3 * WINDOW_BYTES],
  );
  t.ok(asked.every(([, size]) => size <= WINDOW_BYTES + WINDOW_OVERLAP_BYTES));
  const memory = new RegionMemory(part.regions);
  t.equal(memory.size, BYTES);
  const border = 0x100000 + 2 * WINDOW_BYTES;
  memory.write(border - 3, Uint8Array.of(1, 2, 3, 4, 5));
  t.equal(memory.readU32(border - 2), 0x05040302, 'a word across the border');
  t.equal(memory.readU8(border + 1), 5, 'the same memory from the other window');
  t.same([...memory.view(border - 3, 5)], [1, 2, 3, 4, 5]);
  t.equal(memory.view(border - 1000, WINDOW_OVERLAP_BYTES).length, WINDOW_OVERLAP_BYTES);
  memory.storeU16(border - 2, 0x1234);
  t.equal(memory.loadU16(border - 2), 0x1234);
  t.ok(memory.contains(0x100000, BYTES));
  t.notOk(memory.contains(0x100000, BYTES + 1));
  t.equal(
    memory.views(0x100000, BYTES).reduce((sum, { length }) => sum + length, 0),
    BYTES,
  );
  const end = 0x100000 + BYTES;
  memory.write(end - 2, Uint8Array.of(7, 8));
  t.throws(() => memory.write(end - 1, Uint8Array.of(7, 8)), { code: 'EFAULT' });
  t.throws(() => memory.readU16(end - 1), { code: 'EFAULT' });
  t.throws(() => memory.readU8(0xfffff), { code: 'EFAULT' });
  memory.close();
  part.close();
  t.equal(open, 0);
  file.close();
  t.end();
});

t.test('an offset that is no multiple of a page is mapped from the page before it', (t) => {
  const bytes = Uint8Array.from({ length: 8192 }, (_, at) => at >> 8);
  const part = mapInWindows({ base: 0, offset: 4096 + 512, size: 1024 }, (offset, size) => ({
    bytes: bytes.subarray(offset, offset + size),
    close: () => {},
  }));
  const memory = new RegionMemory(part.regions);
  t.equal(memory.readU8(0), 18);
  t.equal(memory.size, 1024);
  t.throws(() => mapInWindows({ base: 0, offset: 3, size: 8 }, () => ({ bytes, close: () => {} })), { code: 'EINVAL' });
  t.end();
});

t.test('when a window cannot be mapped, those before it are given back', (t) => {
  let open = 0;
  const map = (offset: number) => {
    if (offset > WINDOW_BYTES) throw new Error('no room');
    open++;
    return { bytes: new Uint8Array(8), close: () => void open-- };
  };
  t.throws(() => mapInWindows({ base: 0, offset: 0, size: BYTES }, map), /no room/);
  t.equal(open, 0);
  t.end();
});
