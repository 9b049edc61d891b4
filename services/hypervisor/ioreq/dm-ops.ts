// Device-model operations as named operations (xen/common/dm.c): the checks that all of them share, then
// those of each in Xen's order. Leaves servers, ranges and slots to ioreq-servers.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { XEN_DMOP_no_gfns } from '../../../lib/layout/dm-op.js';
import { NR_IO_RANGE_TYPES } from '../../../lib/layout/ioreq.js';
import type { Operation } from '../operation.js';
import { dm } from './dm-op.js';
import { X86_DM_OPERATIONS } from './dm-ops-x86.js';

const { EINVAL, ENOMEM, EOPNOTSUPP, EPERM } = ERRNO;

const range = (act: 'mapRange' | 'unmapRange') =>
  dm({ id: 'u16', pad: 'u16', type: 'u32', start: 'u64', end: 'u64' }, ({ host, caller, domain }, args) => {
    if (args.pad !== 0 || args.start > args.end) return -EINVAL;
    const server = host.ioreq.find(caller, domain, args.id);
    if (typeof server === 'number') return server;
    if (args.type >= NR_IO_RANGE_TYPES) return -EINVAL;
    return host.ioreq[act](server, args.type, args.start, args.end);
  });

export const DM_OPERATIONS: Readonly<Record<string, Operation>> = {
  'dm.create_ioreq_server': dm({ handle_bufioreq: 'u8', pad: 'u32' }, ({ host, caller, domain }, args) => {
    if (args.pad !== 0) return -EINVAL;
    const id = host.ioreq.create(caller, domain, args.handle_bufioreq);
    return id < 0 ? id : { id };
  }),
  'dm.get_ioreq_server_info': dm({ id: 'u16', flags: 'u16' }, ({ host, caller, domain }, { id, flags }) => {
    if ((flags & ~XEN_DMOP_no_gfns) !== 0) return -EINVAL;
    const server = host.ioreq.find(caller, domain, id);
    if (typeof server === 'number') return server;
    if ((flags & XEN_DMOP_no_gfns) === 0) {
      if (server.page !== undefined) return -EPERM;
      // A PVH guest has no special frames for ioreq pages: they are to be acquired as resources.
      return domain.dying ? -EINVAL : -ENOMEM;
    }
    return server.buffered ? { bufioreq_port: server.bufferPort } : {};
  }),
  'dm.map_io_range_to_ioreq_server': range('mapRange'),
  'dm.unmap_io_range_from_ioreq_server': range('unmapRange'),
  'dm.set_ioreq_server_state': dm({ id: 'u16', enabled: 'bool', pad: 'u8' }, ({ host, caller, domain }, args) => {
    if (args.pad !== 0) return -EINVAL;
    const server = host.ioreq.find(caller, domain, args.id);
    return typeof server === 'number' ? server : host.ioreq.setState(server, args.enabled);
  }),
  'dm.destroy_ioreq_server': dm({ id: 'u16', pad: 'u16' }, ({ host, caller, domain }, args) => {
    if (args.pad !== 0) return -EINVAL;
    const server = host.ioreq.find(caller, domain, args.id);
    return typeof server === 'number' ? server : host.ioreq.destroy(server);
  }),
  'dm.remote_shutdown': dm({ reason: 'u32' }, ({ host, domain }, { reason }) => host.remoteShutdown(domain, reason)),
  'dm.nr_vcpus': dm({}, ({ domain }) => ({ vcpus: domain.vcpus.length })),
  /** Arm only; here as on x86. */
  'dm.set_irq_level': dm({ irq: 'u32', level: 'u8' }, () => -EOPNOTSUPP),
  /** Needs hardware paging's write protection. */
  'dm.map_mem_type_to_ioreq_server': dm({ id: 'u16', type: 'u16', flags: 'u32', opaque: 'u64' }, () => -EOPNOTSUPP),
  ...X86_DM_OPERATIONS,
  /** The operation of the thread's first patches: refused unless the host is configured for a path that needs it. */
  'dm.evtchn_raise': dm({ port: 'port' }, ({ host, caller, domain }, { port }) =>
    host.evtchnRaise ? host.events.raise(caller, domain, port) : -EOPNOTSUPP,
  ),
};
