// The bus methods of the hypervisor: hypercalls through the table of operations, and the calls that carry doorbells and
// files. Who calls is the peer's proved domain; what a process holds is kept by its peer. Leaves sockets to server.ts.
import type { Handlers, Peer } from '../../lib/core/bus.js';
import { errnoName } from '../../lib/core/errno.js';
import { ErrnoError } from '../../lib/core/errors.js';
import { domIdFrom, evtchnPortFrom } from '../../lib/core/ids.js';
import type { NotifyHandle } from '../../lib/core/notify.js';
import type { BellHandle } from '../../lib/core/proto-types.js';
import { XEN_DMOP_no_gfns } from '../../lib/layout/dm-op.js';
import { GNTMAP_host_map, GNTMAP_readonly } from '../../lib/layout/grant-table.js';
import type { Domain } from './domain/domain.js';
import { guestPorts } from './domain/domctl.js';
import type { Host } from './host.js';
import { decodeStoredDmOp } from './ioreq/dm-op-bytes.js';
import { check, type KernelHalf } from './kernel/kernel-half.js';
import type { Out } from './operation.js';
import { hypercall } from './operations.js';

export interface HandlerEnvironment {
  readonly host: Host;
  readonly kernel: KernelHalf;
  /** The domain that a peer proved to speak for; throws ESRCH once that is gone. */
  domainOf(peer: Peer): Domain;
}

export function hypervisorHandlers(env: HandlerEnvironment): Handlers<'Hypervisor'> {
  const { host, kernel, domainOf } = env;
  const run = (peer: Peer, op: string, args: object): Out => {
    const result = hypercall(host, domainOf(peer), op, args as Record<string, unknown>);
    if (typeof result !== 'number') return result;
    if (result < 0) throw new ErrnoError(errnoName(-result), `${op}: ${errnoName(-result)}`);
    return {};
  };
  const call =
    <T>(op: string) =>
    (request: object, peer: Peer): Partial<T> =>
      run(peer, op, request) as Partial<T>;
  /** Calls of the dom0 kernel are for its own processes. */
  const dom0 = (peer: Peer): Peer => {
    if (!domainOf(peer).privileged) throw new ErrnoError('EPERM', 'for processes of dom0');
    return peer;
  };
  return {
    domctl_create: call('domctl.create'),
    domctl_destroy: call('domctl.destroy'),
    domctl_pause: call('domctl.pause'),
    domctl_unpause: call('domctl.unpause'),
    domctl_rename: call('domctl.rename'),
    domctl_getdomaininfolist: call('domctl.getdomaininfolist'),
    domctl_get_domain_state: call('domctl.get_domain_state'),
    hvm_set_param: call('hvm.set_param'),
    hvm_get_param: (request, peer) => ({ ...request, ...run(peer, 'hvm.get_param', request) }),
    identify: call('identify'),

    evtchn_alloc_unbound: call('evtchn.alloc_unbound'),
    evtchn_bind_interdomain: call('evtchn.bind_interdomain'),
    evtchn_bind_virq: call('evtchn.bind_virq'),
    evtchn_bind_ipi: call('evtchn.bind_ipi'),
    evtchn_close: call('evtchn.close'),
    evtchn_send: call('evtchn.send'),
    evtchn_status: (request, peer) => {
      const { unbound_dom, remote_dom, remote_port, ...rest } = run(peer, 'evtchn.status', request);
      return { ...rest, dom: (unbound_dom ?? remote_dom ?? 0) as number, port: (remote_port ?? 0) as number };
    },
    evtchn_bind_vcpu: call('evtchn.bind_vcpu'),
    evtchn_unmask: call('evtchn.unmask'),
    evtchn_reset: call('evtchn.reset'),

    guest_attach: (request, peer) => attach(host, domainOf(peer), peer, request.entry, request.upcall),
    sched_shutdown: call('sched.shutdown'),

    dm_create_ioreq_server: (request, peer) => ({
      domid: request.domid,
      ...run(peer, 'dm.create_ioreq_server', request),
    }),
    // Pages are acquired as resources here: no process of ours asks for frame numbers.
    dm_get_ioreq_server_info: (request, peer) =>
      run(peer, 'dm.get_ioreq_server_info', { ...request, flags: XEN_DMOP_no_gfns }),
    dm_map_io_range_to_ioreq_server: call('dm.map_io_range_to_ioreq_server'),
    dm_unmap_io_range_from_ioreq_server: call('dm.unmap_io_range_from_ioreq_server'),
    dm_set_ioreq_server_state: call('dm.set_ioreq_server_state'),
    dm_destroy_ioreq_server: call('dm.destroy_ioreq_server'),
    dm_evtchn_raise: call('dm.evtchn_raise'),
    dm_remote_shutdown: call('dm.remote_shutdown'),
    dm_nr_vcpus: call('dm.nr_vcpus'),
    xenmem_acquire_resource: call('xenmem.acquire_resource'),

    privcmd_map_foreign: ({ domid }, peer) => ({ file: kernel.mapForeign(dom0(peer), domIdFrom(domid)) }),
    privcmd_unmap_foreign: ({ domid }, peer) => {
      kernel.unmapForeign(dom0(peer), domIdFrom(domid));
      return {};
    },
    privcmd_ioeventfd: (request, peer) => {
      dom0(peer);
      const { fd, addr, vq, deassign, direct } = request;
      const domid = domIdFrom(request.domid);
      const ports = request.ports.map(evtchnPortFrom);
      const domain = host.domains.find(domid);
      if (domain === undefined) throw new ErrnoError('ESRCH', `no domain ${domid}`);
      const server = domain.ioreqServers[request.server];
      if (!server) throw new ErrnoError('EFAULT', `no ioreq server ${request.server}`);
      const spec = { server, addr, addrLen: request.addr_len, vq, ports, handle: required(request.handle) };
      const table = direct ? host.runOf(domain)?.direct : undefined;
      kernel.ioeventfd(peer, fd, { ...spec, direct: table }, deassign);
      return {};
    },
    privcmd_irqfd: ({ domid, dm_op, deassign, handle }, peer) => {
      dom0(peer);
      if (deassign) {
        kernel.irqfdDeassign(peer, required(handle));
        return {};
      }
      const { op, args } = decodeStoredDmOp(dm_op);
      const issue = (): number => {
        const result = hypercall(host, host.dom0, op, { ...args, domid });
        return typeof result === 'number' ? result : 0;
      };
      return { handle: kernel.irqfd(peer, domIdFrom(domid), issue) };
    },

    dev_evtchn_open: ({ readable }, peer) => {
      const file = kernel.open(dom0(peer), required(readable));
      return { fd: file.fd, page: file.handle, written: file.written };
    },
    dev_evtchn_bind_interdomain: ({ fd, remote_dom, remote_port }, peer) => ({
      local_port: check(kernel.bindInterdomain(dom0(peer), fd, domIdFrom(remote_dom), evtchnPortFrom(remote_port))),
    }),
    dev_evtchn_bind_virq: ({ fd, virq }, peer) => ({ local_port: check(kernel.bindVirq(dom0(peer), fd, virq)) }),
    dev_evtchn_bind_unbound_port: ({ fd, remote_dom }, peer) => ({
      local_port: check(kernel.bindUnbound(dom0(peer), fd, domIdFrom(remote_dom))),
    }),
    dev_evtchn_unbind: ({ fd, port }, peer) => {
      check(kernel.file(dom0(peer), fd).unbind(evtchnPortFrom(port)));
      return {};
    },
    dev_evtchn_notify: ({ fd, port }, peer) => {
      check(kernel.file(dom0(peer), fd).notify(evtchnPortFrom(port)));
      return {};
    },
    dev_evtchn_eventfd: ({ fd, port, direction, deassign, direct, handle }, peer) => {
      const tie = { port: evtchnPortFrom(port), direction, deassign, direct, handle: optional(handle) };
      const made = kernel.eventfd(dom0(peer), fd, tie);
      return made === undefined ? {} : { handle: made };
    },
    dev_evtchn_reset: ({ fd }, peer) => {
      kernel.file(dom0(peer), fd).reset();
      return {};
    },
    dev_evtchn_close: ({ fd }, peer) => {
      kernel.closeFile(dom0(peer), fd);
      return {};
    },

    gnttab_setup_table: ({ nr_frames }, peer) => {
      const file = host.grants.setup(domainOf(peer), nr_frames);
      if (typeof file === 'number') throw new ErrnoError('ENOMEM', 'no grant table of that size');
      return { file, nr_frames: host.grants.frames(domainOf(peer)) };
    },
    gntdev_open: ({ domid }, peer) => kernel.openGrants(dom0(peer), domIdFrom(domid)),
    gntdev_close: ({ domid }, peer) => {
      kernel.closeGrants(dom0(peer), domIdFrom(domid));
      return {};
    },
    gntdev_map: ({ domid, refs, readonly }, peer) => {
      const flags = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
      const granter = host.domains.find(domIdFrom(domid));
      const caller = domainOf(dom0(peer));
      return { mapped: refs.map((ref) => host.grants.map(peer, caller, granter, ref, flags)) };
    },
    gntdev_unmap: ({ handles }, peer) => ({
      statuses: handles.map((handle) => host.grants.unmap(dom0(peer), handle, (domain) => host.forgetUnheld(domain))),
    }),

    hypercall: ({ op, args }, peer) => {
      const result = hypercall(host, domainOf(peer), op, parseJsonArgs(args));
      return typeof result === 'number' ? { rc: result } : { rc: 0, out: JSON.stringify(result) };
    },
  };
}

function attach(host: Host, domain: Domain, peer: Peer, entry: BellHandle, upcall: BellHandle) {
  const guest = host.runOf(domain);
  if (guest === undefined) throw new ErrnoError('EPERM', 'dom0 is run by the hypervisor itself');
  if (domain.dying || domain.shutdownReason !== undefined)
    throw new ErrnoError('EINVAL', `domain ${domain.domid} has ended`);
  const exit = guest.attach(peer, required(entry), required(upcall));
  guest.resume();
  return {
    domid: domain.domid,
    unique_id: domain.uniqueId.toString(),
    ...guest.pages(),
    exit,
    ...guestPorts(domain),
  };
}

function parseJsonArgs(text: string): Record<string, unknown> {
  if (text === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ErrnoError('EINVAL', 'arguments are no JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ErrnoError('EINVAL', 'arguments are no JSON object');
  return value as Record<string, unknown>;
}

/** A handle that a message may leave out. */
function optional(handle: BellHandle | null | undefined): NotifyHandle | undefined {
  return handle === null || handle === undefined || handle.bell === '' ? undefined : handle;
}

function required(handle: BellHandle | null | undefined): NotifyHandle {
  const given = optional(handle);
  if (given === undefined) throw new ErrnoError('EBADF', 'no doorbell handle given');
  return given;
}
