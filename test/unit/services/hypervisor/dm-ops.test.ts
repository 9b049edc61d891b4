import t from 'tap';
import { ERRNO } from '../../../../lib/core/errno.js';
import { EvtchnPort } from '../../../../lib/core/ids.js';
import { HVMMEM } from '../../../../lib/layout/dm-op.js';
import { makeLab } from '../../../../testkit/host-lab.js';

const { EEXIST, EINVAL, EIO, ENOENT, ENOMEM, ENOSPC, EOPNOTSUPP, EPERM, ESRCH } = ERRNO;

t.test('every dm_op: unknown domain, oneself, not allowed, in that order', async (t) => {
  const lab = makeLab();
  const a = lab.domain();
  const b = lab.domain();
  for (const op of ['create_ioreq_server', 'nr_vcpus', 'set_ioreq_server_state', 'remote_shutdown', 'evtchn_raise']) {
    t.equal(lab.number(0, `dm.${op}`, { domid: 99 }), -ESRCH, op);
    t.equal(lab.number(0, `dm.${op}`, { domid: 0x7ff0 }), -ESRCH);
    t.equal(lab.number(0, `dm.${op}`, { domid: 0 }), -EPERM);
    t.equal(lab.number(a.domid, `dm.${op}`, { domid: a.domid }), -EPERM);
    t.equal(lab.number(a.domid, `dm.${op}`, { domid: b.domid }), -EPERM);
    t.equal(lab.number(a.domid, `dm.${op}`, { domid: 0 }), -EPERM);
  }
  t.ok(HVMMEM.ioreq_server);
});

t.test('create: padding, kind of buffering, eight servers, lowest free id', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain();
  const create = (args = {}) => lab.number(0, 'dm.create_ioreq_server', { domid, ...args });
  t.equal(create({ pad: 1 }), -EINVAL);
  t.equal(create({ handle_bufioreq: 3 }), -EINVAL);
  for (let id = 0; id < 8; id++) t.equal(create({ handle_bufioreq: id % 3 }), id);
  t.equal(create(), -ENOSPC);
  t.equal(lab.number(0, 'dm.destroy_ioreq_server', { domid, id: 3 }), 0);
  t.equal(create(), 3);
});

t.test('create fails whole when the guest has no port left', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain({ vcpus: 4, maxPort: 3 });
  t.equal(lab.number(0, 'dm.create_ioreq_server', { domid }), -ENOSPC);
  for (let port = 1; port <= 3; port++) t.equal(lab.number(domid, 'evtchn.alloc_unbound', { dom: 0x7ff0 }), port);
});

t.test('ranges: order of checks, overlap in one server only, merging, splitting, 256 of a kind', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain();
  const map = (args: object) => lab.number(0, 'dm.map_io_range_to_ioreq_server', { domid, id: 0, type: 1, ...args });
  const unmap = (args: object) =>
    lab.number(0, 'dm.unmap_io_range_from_ioreq_server', { domid, id: 0, type: 1, ...args });
  t.equal(map({ start: 2, end: 1, id: 9 }), -EINVAL, 'order of ends before the id');
  t.equal(map({ start: 0, end: 1 }), -ENOENT);
  lab.call(0, 'dm.create_ioreq_server', { domid });
  lab.call(0, 'dm.create_ioreq_server', { domid });
  t.equal(map({ pad: 1, start: 0, end: 1 }), -EINVAL);
  t.equal(map({ type: 3, start: 0, end: 1 }), -EINVAL);
  t.equal(map({ start: 0x1000, end: 0x1fff }), 0);
  t.equal(map({ start: 0x1fff, end: 0x2fff }), -EEXIST);
  t.equal(map({ type: 0, start: 0x1fff, end: 0x2fff }), 0, 'another kind');
  t.equal(map({ id: 1, start: 0x1fff, end: 0x2fff }), 0, 'another server');
  t.equal(unmap({ start: 0x0fff, end: 0x1000 }), -ENOENT, 'not wholly inside');
  t.equal(unmap({ start: 0x1100, end: 0x11ff }), 0, 'a part');
  t.equal(map({ start: 0x1100, end: 0x11ff }), 0, 'and back');
  t.equal(map({ start: '0x0', end: '0xffffffffffffffff' }), -EEXIST, 'all of it overlaps');
  t.equal(map({ start: '0xfffffffffffff000', end: '0xffffffffffffffff' }), 0);
  for (let n = 2; n < 256; n++) t.equal(map({ start: 0x10000 + n * 2, end: 0x10000 + n * 2 }), 0);
  t.equal(map({ start: 0x20000, end: 0x20000 }), -ENOMEM, 'ENOMEM past 256');
  t.equal(unmap({ start: 0x1100, end: 0x11ff }), -ENOMEM, 'a split needs one more');
  t.equal(unmap({ start: 0x1000, end: 0x1fff }), 0);
  t.equal(map({ start: 0x20000, end: 0x20000 }), 0);
});

t.test('info and pages: without frame numbers only; which frame when', async (t) => {
  const lab = makeLab();
  const { domid } = lab.domain();
  const info = (args: object) => lab.call(0, 'dm.get_ioreq_server_info', { domid, ...args });
  const acquire = (args: object) =>
    lab.number(0, 'xenmem.acquire_resource', { domid, id: 0, frame: 1, nr_frames: 1, ...args });
  t.equal(info({ id: 0, flags: 2 }), -EINVAL);
  t.equal(info({ id: 0, flags: 1 }), -ENOENT);
  lab.call(0, 'dm.create_ioreq_server', { domid });
  t.same(info({ id: 0, flags: 1 }), {}, 'no buffering: nothing to say');
  t.equal(info({ id: 0 }), -ENOMEM, 'a PVH guest has no special frames');
  t.equal(acquire({ pad: 1 }), -EINVAL);
  t.equal(acquire({ frame: '0xffffffff' }), -EINVAL);
  t.equal(acquire({ domid: 99 }), -ESRCH);
  t.equal(acquire({ domid: 0x7ff0 }), -EPERM);
  t.equal(acquire({ type: 9 }), -EINVAL);
  t.equal(acquire({ id: 0x10000 }), -EINVAL);
  t.equal(acquire({ id: 1 }), -ENOENT);
  t.equal(acquire({ frame: 0 }), -ENOENT, 'no buffered page');
  t.equal(acquire({ frame: 2 }), -EINVAL);
  t.equal(acquire({ frame: 1, nr_frames: 2 }), -EIO, 'the first came, the second not');
  t.equal(acquire({ nr_frames: 0 }), 2, 'how many there are');
  t.equal(info({ id: 0 }), -EPERM, 'acquired as a resource');
  lab.call(0, 'dm.create_ioreq_server', { domid, handle_bufioreq: 1 });
  t.type((info({ id: 1, flags: 1 }) as { bufioreq_port: number }).bufioreq_port, 'number');
  t.same(
    lab.files.paths.filter((path) => path.includes('ioreq')),
    ['shm/dom1.ioreq0'],
  );
  const both = lab.call(0, 'xenmem.acquire_resource', { domid, id: 1, frame: 0, nr_frames: 2 }) as { files: object[] };
  t.equal(both.files.length, 2);
});

t.test('evtchn_raise: refused where it is not configured, and only for ports shared with the caller', async (t) => {
  const off = makeLab();
  const plain = off.domain();
  t.equal(off.number(0, 'dm.evtchn_raise', { domid: plain.domid, port: 1 }), -EOPNOTSUPP);
  const lab = makeLab({ evtchnRaise: true });
  const a = lab.domain();
  const { domid } = a;
  const raise = (port: number) => lab.number(0, 'dm.evtchn_raise', { domid, port });
  const mine = lab.number(domid, 'evtchn.alloc_unbound', { dom: 0x7ff0, remote_dom: 0 });
  const others = lab.number(domid, 'evtchn.alloc_unbound', { dom: 0x7ff0, remote_dom: 7 });
  const ipi = lab.number(domid, 'evtchn.bind_ipi', { vcpu: 0 });
  t.equal(raise(mine), 0);
  t.ok(a.abi.isPending(a.ports.get(EvtchnPort(mine))!));
  t.equal(raise(others), -EINVAL);
  t.equal(raise(ipi), -EINVAL);
  t.equal(raise(0), -EINVAL);
  t.equal(raise(4096), -EINVAL);
  lab.call(0, 'dm.create_ioreq_server', { domid });
  t.equal(raise(4), -EINVAL, "Xen's own");
});

t.test('remote_shutdown and nr_vcpus', async (t) => {
  const lab = makeLab();
  const domain = lab.domain({ vcpus: 3 });
  t.same(lab.call(0, 'dm.nr_vcpus', { domid: domain.domid }), { vcpus: 3 });
  t.equal(lab.number(0, 'dm.remote_shutdown', { domid: domain.domid, reason: 6 }), -EINVAL);
  t.equal(lab.number(0, 'dm.remote_shutdown', { domid: domain.domid, reason: 1 }), 0);
  t.equal(domain.shutdownReason, 1);
});
