import t from 'tap';
import { RegionMemory } from '../../../lib/core/memory.js';

/** 0-8191 in two regions that adjoin, 12288-16383 behind a hole. */
function memory(): RegionMemory {
  return new RegionMemory(
    [
      [4096, 2],
      [0, 1],
      [12288, 3],
    ].map(([base, fill]) => ({ base: base!, bytes: new Uint8Array(4096).fill(fill!) })),
  );
}

t.test('a range is contained when every byte of it is backed', async (t) => {
  const guest = memory();
  const cases: [addr: number, length: number, contained: boolean][] = [
    [0, 8192, true],
    [0, 8193, false],
    [4095, 2, true],
    [8191, 1, true],
    [8192, 1, false],
    [8190, 4100, false],
    [12288, 4096, true],
    [12288, 4097, false],
    [99999, 0, true],
    [2 ** 53, 1, false],
    [2 ** 63, 4096, false],
    [-1, 2, false],
  ];
  for (const [addr, length, contained] of cases) {
    t.equal(guest.contains(addr, length), contained, `${addr} length ${length}`);
    t.equal(guest.contains(addr, length), contained, 'whichever region was looked at last');
  }
});

t.test('views make up the range, one a region, and are live', async (t) => {
  const guest = memory();
  const views = guest.views(4090, 12);
  t.same(
    views.map((view) => [view.length, view[0]]),
    [
      [6, 1],
      [6, 2],
    ],
  );
  views[1]![0] = 77;
  t.equal(guest.readU8(4096), 77);
  t.throws(() => guest.views(8190, 4), { code: 'EFAULT' });
  guest.close();
  t.throws(() => guest.views(0, 1), { code: 'EFAULT' });
  t.notOk(guest.contains(0, 1));
});

t.test('copies inside one region and across two are the same bytes', async (t) => {
  const guest = memory();
  const bytes = Uint8Array.from({ length: 100 }, (_, index) => index);
  for (const addr of [0, 4050, 4096, 8092]) {
    guest.write(addr, bytes);
    const back = new Uint8Array(100);
    guest.read(addr, back);
    t.same(back, bytes, `${addr}`);
  }
  t.throws(() => guest.write(8100, bytes), { code: 'EFAULT' });
  t.equal(guest.readU8(8100), 8, 'nothing was written of what does not fit');
});
