import t from 'tap';
import { ERRNO } from '../../../../lib/core/errno.js';
import { EXIT_REASON, VCPU_STATE } from '../../../../lib/layout/ours/vcpu-exit.js';
import { FakeEmulator, FakeGuest, makeLab } from '../../../../testkit/host-lab.js';

const BASE = 0xf0000000;
const ALL_ONES_32 = 0xffffffffn;

function stage(ranges: readonly (readonly [number, number])[] = [[BASE, BASE + 0x1ff]]) {
  const lab = makeLab();
  const domain = lab.domain();
  const guest = new FakeGuest(lab, domain);
  const emulator = new FakeEmulator(lab, domain, ranges);
  return { lab, domain, guest, emulator };
}

t.test('a claimed access goes through the slot and comes back with the answer', async (t) => {
  const { guest, emulator } = stage();
  const seen: unknown[] = [];
  emulator.onRequest = ({ addr, data, size, count, type, read }) => {
    seen.push({ addr, data, size, count, type, read });
    return 0x1122334455667788n;
  };
  t.same(guest.read(BASE), { data: 0x55667788n, rc: 0 }, 'cut to the size of the access');
  t.same(guest.read(BASE + 8, 2), { data: 0x7788n, rc: 0 });
  t.same(guest.read(BASE + 8, 8), { data: 0x1122334455667788n, rc: 0 });
  t.same(guest.write(BASE + 4, 0x12345678, 2), { data: 0n, rc: 0 });
  t.same(seen, [
    { addr: BigInt(BASE), data: 0n, size: 4, count: 1, type: 1, read: true },
    { addr: BigInt(BASE + 8), data: 0n, size: 2, count: 1, type: 1, read: true },
    { addr: BigInt(BASE + 8), data: 0n, size: 8, count: 1, type: 1, read: true },
    { addr: BigInt(BASE + 4), data: 0x5678n, size: 2, count: 1, type: 1, read: false },
  ]);
  t.equal(guest.entries, 4);
  t.equal(emulator.slot().state, 0, 'Xen took the response');
});

t.test(
  'what no server claims: reads see all ones, writes vanish; a straddling access is claimed by none',
  async (t) => {
    const { guest } = stage();
    t.same(guest.read(BASE + 0x200), { data: ALL_ONES_32, rc: 0 });
    t.same(guest.read(BASE + 0x1fe), { data: ALL_ONES_32, rc: 0 });
    t.same(guest.read(0x1000, 1), { data: 0xffn, rc: 0 });
    t.same(guest.write(BASE + 0x200, 1), { data: 0n, rc: 0 });
    const high = guest.exit({ reason: EXIT_REASON.MMIO, addr: 2n ** 64n - 1n, size: 8, dir: 1 });
    t.same(high, { data: 2n ** 64n - 1n, rc: 0 });
  },
);

t.test('overlapping claims: the highest id that is enabled wins', async (t) => {
  const { lab, domain, guest, emulator } = stage();
  emulator.onRequest = () => 1n;
  const second = new FakeEmulator(lab, domain, [[BASE, BASE + 0xff]]);
  second.onRequest = () => 2n;
  t.equal(second.id, 1);
  t.equal(guest.read(BASE)?.data, 2n);
  t.equal(guest.read(BASE + 0x100)?.data, 1n);
  lab.call(0, 'dm.set_ioreq_server_state', { domid: domain.domid, id: 1, enabled: false });
  t.equal(guest.read(BASE)?.data, 1n);
  lab.call(0, 'dm.set_ioreq_server_state', { domid: domain.domid, id: 1, enabled: true });
  t.equal(lab.number(0, 'dm.destroy_ioreq_server', { domid: domain.domid, id: 1 }), 0);
  t.equal(guest.read(BASE)?.data, 1n);
});

t.test('the vCPU waits as long as no server answers, through disable and spurious events', async (t) => {
  const { lab, domain, guest, emulator } = stage();
  emulator.onRequest = () => undefined;
  t.equal(guest.read(BASE), undefined);
  guest.ring();
  t.equal(guest.state, VCPU_STATE.EXIT);
  emulator.user.notify(emulator.port);
  t.equal(guest.answer(), undefined, 'READY seen again: it waits on');
  emulator.setState(2);
  emulator.user.notify(emulator.port);
  t.equal(guest.answer(), undefined);
  lab.call(0, 'dm.set_ioreq_server_state', { domid: domain.domid, id: 0, enabled: false });
  emulator.setData(7n);
  emulator.setState(3);
  emulator.user.notify(emulator.port);
  t.equal(guest.answer()?.data, 7n, 'answered after the disable: completes normally');
});

t.test('a slot that turns to NONE completes with all ones', async (t) => {
  const { guest, emulator } = stage();
  emulator.onRequest = () => undefined;
  guest.read(BASE);
  emulator.setState(0);
  emulator.user.notify(emulator.port);
  t.equal(guest.answer()?.data, ALL_ONES_32);
});

for (const [title, states] of [
  ['going back', [2, 1]],
  ['beyond the last', [4]],
  ['15', [15]],
] as const) {
  t.test(`a slot state ${title} crashes the guest`, async (t) => {
    const { lab, domain, guest, emulator } = stage();
    emulator.onRequest = () => undefined;
    guest.read(BASE);
    for (const state of states) {
      emulator.setState(state);
      emulator.user.notify(emulator.port);
    }
    t.equal(domain.shutdownReason, 3);
    emulator.setState(3);
    emulator.user.notify(emulator.port);
    t.equal(guest.answer(), undefined, 'it never runs again');
    t.same(lab.call(0, 'domctl.getdomaininfolist'), lab.call(0, 'domctl.getdomaininfolist'));
    const other = lab.domain();
    t.equal(new FakeGuest(lab, other).read(0)?.data, ALL_ONES_32, 'others go on');
  });
}

t.test('a slot that the emulator scribbled on before the access is never answered', async (t) => {
  const { guest, emulator } = stage();
  emulator.setState(1);
  t.equal(guest.read(BASE)?.data, ALL_ONES_32, 'not NONE');
  emulator.setState(0);
  emulator.page[24] = 0x77;
  t.equal(guest.read(BASE)?.data, ALL_ONES_32, 'vp_eport is not the one that Xen wrote');
});

t.test('vp_eport is published when the server is enabled, for pages that exist by then', async (t) => {
  const lab = makeLab();
  const domain = lab.domain();
  const { domid } = domain;
  const id = lab.number(0, 'dm.create_ioreq_server', { domid });
  lab.call(0, 'dm.map_io_range_to_ioreq_server', { domid, id, type: 1, start: BASE, end: BASE + 3 });
  lab.call(0, 'dm.set_ioreq_server_state', { domid, id, enabled: true });
  lab.call(0, 'xenmem.acquire_resource', { domid, id, frame: 1, nr_frames: 1 });
  const guest = new FakeGuest(lab, domain);
  t.equal(guest.read(BASE)?.data, ALL_ONES_32, 'acquired after enabling: the port check fails');
});

t.test('an access that is no access crashes only its guest', async (t) => {
  for (const fields of [
    { reason: EXIT_REASON.MMIO, size: 3, dir: 1 },
    { reason: EXIT_REASON.MMIO, size: 0xffffffff, dir: 1 },
    { reason: EXIT_REASON.MMIO, size: 4, dir: 2 },
    { reason: 99 },
  ]) {
    const { domain, guest } = stage();
    t.equal(guest.exit(fields), undefined);
    t.equal(domain.shutdownReason, 3, JSON.stringify(fields));
  }
});

t.test('hypercalls through the exit page', async (t) => {
  const { lab, domain, guest } = stage();
  const port = lab.number(domain.domid, 'evtchn.alloc_unbound', { dom: 0x7ff0, remote_dom: 0 });
  t.same(guest.exit({ reason: EXIT_REASON.EVTCHN_SEND, data: BigInt(port) }), { data: 0n, rc: 0 });
  t.same(guest.exit({ reason: EXIT_REASON.EVTCHN_SEND, data: 999n }), { data: 0n, rc: -ERRNO.EINVAL });
  t.same(guest.exit({ reason: EXIT_REASON.EVTCHN_UNMASK, data: BigInt(port) }), { data: 0n, rc: 0 });
  t.same(guest.exit({ reason: EXIT_REASON.EVTCHN_UNMASK, data: 64n }), { data: 0n, rc: -ERRNO.EINVAL });
});

t.test('a paused guest: its exits wait, and so does the answer that comes meanwhile', async (t) => {
  const { lab, domain, guest, emulator } = stage();
  const { domid } = domain;
  lab.call(0, 'domctl.pause', { domid });
  t.equal(guest.read(BASE + 0x1000), undefined);
  lab.call(0, 'domctl.pause', { domid });
  lab.call(0, 'domctl.unpause', { domid });
  t.equal(guest.answer(), undefined, 'paused twice');
  lab.call(0, 'domctl.unpause', { domid });
  t.same(guest.answer(), { data: ALL_ONES_32, rc: 0 });
  emulator.onRequest = () => undefined;
  guest.read(BASE);
  lab.call(0, 'domctl.pause', { domid });
  emulator.setState(3);
  emulator.user.notify(emulator.port);
  t.equal(guest.answer(), undefined);
  lab.call(0, 'domctl.unpause', { domid });
  t.ok(guest.answer());
});

t.test('a server destroyed under a request leaves the vCPU waiting until its domain ends, as Xen does', async (t) => {
  const { lab, domain, guest, emulator } = stage();
  emulator.onRequest = () => undefined;
  guest.read(BASE);
  t.equal(lab.number(0, 'dm.destroy_ioreq_server', { domid: domain.domid, id: 0 }), 0);
  emulator.user.notify(emulator.port);
  guest.ring();
  t.equal(guest.answer(), undefined);
  t.equal(lab.number(0, 'domctl.destroy', { domid: domain.domid }), 0);
  t.equal(domain.life, 'dying', 'its process still holds it');
});
