import t from 'tap';
import { ERRNO } from '../../../../lib/core/errno.js';
import { DomId } from '../../../../lib/core/ids.js';
import { OPERATIONS } from '../../../../services/hypervisor/operations.js';
import { HypercallLines } from '../../../../testkit/hypercall-lines.js';

const { EBUSY, EFAULT, EINVAL, ENOENT, EOPNOTSUPP, EPERM, ERANGE, ESRCH } = ERRNO;

/** Runs `[dom, op, args, expected answer]` in order; `rc` 0 stands for {rc: 0}. */
function script(
  test: Pick<typeof t, 'match'>,
  steps: readonly [number, string, object, number | object][],
): HypercallLines {
  const lines = new HypercallLines();
  for (const [dom, op, args, expected] of steps) {
    const want = typeof expected === 'number' ? { rc: expected } : { rc: 0, out: expected };
    test.match(lines.call(DomId(dom), op, { ...args }), want, `${dom} ${op} ${JSON.stringify(args)}`);
  }
  return lines;
}

t.test('a device model’s whole life as a script', async (t) => {
  script(t, [
    [0, 'domctl.create', {}, { domid: 1 }],
    [0, 'dm.create_ioreq_server', { domid: 1, handle_bufioreq: 2 }, { id: 0 }],
    [0, 'dm.map_io_range_to_ioreq_server', { domid: 1, type: 1, start: 0xf0000000, end: 0xf00001ff }, 0],
    [0, 'dm.map_io_range_to_ioreq_server', { domid: 1, type: 1, start: 0xa0000, end: 0xaffff }, 0],
    [0, 'xenmem.acquire_resource', { domid: 1, frame: 1, nr_frames: 1 }, { nr_frames: 1 }],
    [0, 'dm.set_ioreq_server_state', { domid: 1, enabled: true }, 0],
    [0, 'domctl.unpause', { domid: 1 }, 0],
    [0, 'ioreq.slot', { domid: 1 }, { vp_eport: 1, flags: 0 }],
    [0, 'dev_evtchn.open', {}, { fd: 3 }],
    [0, 'dev_evtchn.bind_interdomain', { fd: 3, remote_dom: 1, remote_port: 1 }, { local_port: 1 }],
    [0, 'dev_evtchn.read', { fd: 3 }, { ports: [1] }],
    [0, 'dev_evtchn.write', { fd: 3, ports: [1] }, 0],
    [1, 'vcpu.access', { addr: 0xf0000000 }, { blocked: true }],
    [0, 'dev_evtchn.read', { fd: 3 }, { ports: [1] }],
    [0, 'ioreq.slot', { domid: 1 }, { addr: '0xf0000000', size: 4, count: 1, type: 1, flags: 0x21 }],
    [0, 'ioreq.respond', { domid: 1, data: 0x74726976 }, 0],
    [0, 'dev_evtchn.notify', { fd: 3, port: 1 }, 0],
    [0, 'dev_evtchn.write', { fd: 3, ports: [1] }, 0],
    [1, 'vcpu.answer', {}, { data: '0x74726976' }],
    [1, 'vcpu.access', { addr: 0xf0000200 }, { data: '0xffffffff' }],
    [1, 'vcpu.access', { addr: 0xa0000, dir: 0, data: 7 }, { data: '0x0' }],
    [0, 'eventfd.new', {}, { handle: 4 }],
    [0, 'privcmd.ioeventfd', { domid: 1, addr: 0xf0000000, addr_len: 4, vq: 1, handle: 4, ports: [1], fd: 3 }, 0],
    [1, 'vcpu.access', { addr: 0xf0000050, dir: 0, data: 1 }, { data: '0x0' }],
    [0, 'eventfd.read', { handle: 4 }, { count: 1 }],
    [0, 'dev_evtchn.read', { fd: 3 }, { ports: [1] }],
    [0, 'privcmd.ioeventfd', { domid: 1, handle: 4, ports: [1], fd: 3, deassign: true }, 0],
    [1, 'evtchn.alloc_unbound', { dom: 0x7ff0, remote_dom: 0 }, { port: 3 }],
    [0, 'dev_evtchn.bind_interdomain', { fd: 3, remote_dom: 1, remote_port: 3 }, { local_port: 2 }],
    [0, 'dev_evtchn.eventfd', { fd: 3, port: 2 }, { handle: 5 }],
    [0, 'eventfd.signal', { handle: 5 }, 0],
    [1, 'sched.poll', { ports: [3] }, 0],
    [0, 'privcmd.irqfd', { domid: 1, dm_op: '001000000000000003000000' }, { handle: 6 }],
    [0, 'eventfd.signal', { handle: 6 }, 0],
    [1, 'vcpu.unmask', { port: 3 }, 0],
    [1, 'vcpu.send', { port: 1 }, -EINVAL],
    [1, 'dev_evtchn.open', {}, -EPERM],
    [0, 'dev_evtchn.close', { fd: 3 }, 0],
    [0, 'dm.destroy_ioreq_server', { domid: 1 }, 0],
    [1, 'vcpu.kill', {}, 0],
    [0, 'domctl.get_domain_state', { domid: 1 }, { state: 3 }],
    [0, 'domctl.destroy', { domid: 1 }, 0],
    [0, 'domctl.destroy', { domid: 1 }, -ESRCH],
  ]);
});

t.test('dm_ops of x86: checks in order', async (t) => {
  const domid = 1;
  script(t, [
    [0, 'domctl.create', { max_vcpus: 2 }, { domid }],
    [0, 'dm.set_pci_intx_level', { domid, device: 32 }, -EINVAL],
    [0, 'dm.set_pci_intx_level', { domid, bus: 1 }, -EINVAL],
    [0, 'dm.set_pci_intx_level', { domid, device: 3, intx: 4 }, -EINVAL],
    [0, 'dm.set_pci_intx_level', { domid, device: 3, level: 2 }, -EINVAL],
    [0, 'dm.set_pci_intx_level', { domid, device: 3, intx: 1, level: 1 }, 0],
    [0, 'dm.set_isa_irq_level', { domid, irq: 16 }, -EINVAL],
    [0, 'dm.set_isa_irq_level', { domid, irq: 15, level: 1 }, 0],
    [0, 'dm.set_pci_link_route', { domid, link: 4 }, -EINVAL],
    [0, 'dm.set_pci_link_route', { domid, link: 3, isa_irq: 10 }, 0],
    [0, 'dm.inject_msi', { domid, data: 0 }, -ERANGE],
    [0, 'dm.inject_msi', { domid, data: 0, addr: 0x1000 }, -EBUSY],
    [0, 'dm.inject_msi', { domid, data: 0x41, addr: 0xfee00000 }, 0],
    [0, 'dm.inject_event', { domid, vcpu: 2 }, -EINVAL],
    [0, 'dm.inject_event', { domid, vcpu: 1, type: 1 }, -EINVAL],
    [0, 'dm.inject_event', { domid, vcpu: 1, vector: 14, type: 3 }, 0],
    [0, 'dm.inject_event', { domid, vcpu: 1, vector: 14, type: 3 }, -EBUSY],
    [0, 'dm.modified_memory', { domid, opaque: 1 }, -EINVAL],
    [0, 'dm.modified_memory', { domid, extents: [4095, 1, 0, 4] }, 0],
    [0, 'dm.modified_memory', { domid, extents: [4095, 2] }, -EINVAL],
    [0, 'dm.set_mem_type', { domid, type: 3 }, -EINVAL],
    [0, 'dm.set_mem_type', { domid, nr: 1, type: 0 }, 0],
    [0, 'dm.set_mem_type', { domid, nr: 1, type: 4 }, -EOPNOTSUPP],
    [0, 'dm.pin_memory_cacheattr', { domid, start: 2, end: 1 }, -EINVAL],
    [0, 'dm.pin_memory_cacheattr', { domid, start: 1, end: 2, type: 2 }, -EINVAL],
    [0, 'dm.pin_memory_cacheattr', { domid, start: 1, end: 2, type: 6 }, 0],
    [0, 'dm.pin_memory_cacheattr', { domid, start: 2, end: 3, type: 6 }, -EBUSY],
    [0, 'dm.pin_memory_cacheattr', { domid, start: 1, end: 2, type: 0xffffffff }, 0],
    [0, 'dm.pin_memory_cacheattr', { domid, start: 1, end: 2, type: 0xffffffff }, -ENOENT],
    [0, 'dm.track_dirty_vram', { domid, nr: 262145 }, -EINVAL],
    [0, 'dm.track_dirty_vram', { domid, nr: 1 }, -EOPNOTSUPP],
    [0, 'dm.set_irq_level', { domid, irq: 33, level: 1 }, -EOPNOTSUPP],
    [0, 'dm.relocate_memory', { domid, size: 1 }, -EOPNOTSUPP],
    [0, 'dm.map_mem_type_to_ioreq_server', { domid }, -EOPNOTSUPP],
    [1, 'dm.set_isa_irq_level', { domid: 0 }, -EPERM],
  ]);
});

t.test('an irqfd stores only what raises an interrupt', async (t) => {
  script(t, [
    [0, 'domctl.create', {}, { domid: 1 }],
    [0, 'privcmd.irqfd', { domid: 1, dm_op: '' }, -EFAULT],
    [0, 'privcmd.irqfd', { domid: 1, dm_op: '0100000000000000' }, -EOPNOTSUPP],
    [0, 'privcmd.irqfd', { domid: 1, dm_op: '0010000001000000' }, -EINVAL],
    [0, 'privcmd.irqfd', { domid: 1, dm_op: '0010000000000000' }, -EFAULT],
    [0, 'privcmd.irqfd', { domid: 1, dm_op: '00'.repeat(33) }, -EINVAL],
  ]);
});

t.test('every operation of the table answers every caller with blank arguments, and throws for none', async (t) => {
  const lines = new HypercallLines();
  lines.call(DomId(0), 'domctl.create', {});
  for (const op of OPERATIONS.keys()) {
    for (const dom of [0, 1]) {
      if (op === 'domctl.create' || (op === 'sched.shutdown' && dom === 1)) continue;
      t.type(lines.call(DomId(dom), op, {}).rc, 'number', op);
    }
  }
});
