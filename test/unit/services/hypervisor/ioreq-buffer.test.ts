import t from 'tap';
import { IoreqBuffer } from '../../../../services/hypervisor/ioreq/ioreq-buffer.js';
import { FakeEmulator, FakeGuest, makeLab } from '../../../../testkit/host-lab.js';

const request = (addrLow: number, extra: object = {}) => ({
  ...{ addrLow, addrHigh: 0, dataLow: 0xaabbccdd, dataHigh: 0x11223344, size: 4, count: 1, type: 1, dir: 0 },
  ...extra,
});

function ring(atomic: boolean) {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  return {
    buffer: new IoreqBuffer(bytes, atomic),
    view,
    pointers: () => [view.getUint32(0, true), view.getUint32(4, true)],
  };
}

t.test('a slot holds type, direction, size, address and data; eight bytes take two', async (t) => {
  const { buffer, view, pointers } = ring(false);
  t.ok(buffer.put(request(0xfedcb)));
  t.ok(buffer.put(request(0x12345, { size: 8, dir: 1 })));
  t.same(pointers(), [0, 3]);
  const slot = (n: number) => [view.getUint32(8 + n * 8, true), view.getUint32(12 + n * 8, true)];
  t.same(slot(0), [(1 | (2 << 10) | (0xfedcb << 12)) >>> 0, 0xaabbccdd]);
  t.same(slot(1), [1 | (1 << 9) | (3 << 10) | (0x12345 << 12), 0xaabbccdd]);
  t.same(slot(2), [slot(1)[0], 0x11223344]);
});

t.test('what cannot be buffered is refused', async (t) => {
  const { buffer } = ring(false);
  for (const bad of [{ addrLow: 0x100000 }, { addrHigh: 1 }, { count: 2 }, { size: 3 }])
    t.notOk(buffer.put(request(0, bad)), JSON.stringify(bad));
});

t.test('511 slots, and one fewer for eight bytes; pointers wrap over the slots', async (t) => {
  const { buffer, view, pointers } = ring(false);
  for (let n = 0; n < 510; n++) buffer.put(request(n));
  t.notOk(buffer.put(request(0, { size: 8 })));
  t.ok(buffer.put(request(0)));
  t.notOk(buffer.put(request(0)));
  view.setUint32(0, 511, true);
  t.ok(buffer.put(request(0x77)));
  t.same(pointers(), [511, 512]);
  t.equal(view.getUint32(8, true) >>> 12, 0x77, 'slot 0 again');
  view.setUint32(0, 0xffffffff, true);
  t.notOk(buffer.put(request(0)), 'a reader that lies only makes its own ring full');
});

t.test('atomic mode brings both pointers down once a round was read', async (t) => {
  const { buffer, view, pointers } = ring(true);
  for (let n = 0; n < 500; n++) buffer.put(request(n));
  view.setUint32(0, 500, true);
  for (let n = 0; n < 20; n++) buffer.put(request(n));
  view.setUint32(0, 520, true);
  buffer.put(request(1));
  t.same(pointers(), [520 - 511, 521 - 511]);
});

t.test('writes to the VGA window are posted; the vCPU waits for the page only when it is full', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const emulator = new FakeEmulator(lab, domain, [[0xa0000, 0xbffff]], { buffered: 1 });
  let synchronous = 0;
  emulator.onRequest = () => {
    synchronous++;
    return 9n;
  };
  const page = emulator.frame(0);
  for (let n = 0; n < 511; n++) t.ok(guest.write(0xa0000, n));
  t.equal(new DataView(page.buffer, page.byteOffset).getUint32(4, true), 511);
  t.equal(synchronous, 0);
  t.ok(guest.write(0xa0000, 1));
  t.equal(synchronous, 1);
  t.equal(guest.read(0xa0000)?.data, 9n, 'reads are never posted');
});
