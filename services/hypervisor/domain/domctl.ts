// Domain control, HVM parameters and memory operations as named operations. Leaves the life of domains to host.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { DOMID_INVALID, DOMID_SELF, type DomId } from '../../../lib/core/ids.js';
import { HVM_NR_PARAMS, HVM_PARAM } from '../../../lib/layout/evtchn.js';
import {
  IOREQS_PER_PAGE,
  XENMEM_resource_ioreq_server,
  XENMEM_resource_ioreq_server_frame_ioreq,
} from '../../../lib/layout/ioreq.js';
import { mayTarget } from '../event/event-channels.js';
import type { Host } from '../host.js';
import { type Out, operation } from '../operation.js';
import type { Domain } from './domain.js';

const { EINVAL, EIO, ENOENT, EPERM, ESRCH } = ERRNO;

const domctl = (run: (host: Host, domain: Domain) => Out | number) =>
  operation({
    caller: 'dom0',
    args: { domid: 'domid' },
    run: (host, _caller, { domid }) => {
      const domain = host.domains.find(domid);
      return domain === undefined ? -ESRCH : run(host, domain);
    },
  });

export function domainInfo(domain: Domain): Out {
  const { domid, name, memoryMib, shutdownReason, attached } = domain;
  return {
    domid,
    name,
    unique_id: domain.uniqueId.toString(),
    memory_mib: memoryMib,
    max_vcpus: domain.vcpus.length,
    state: domain.dying
      ? 'dying'
      : shutdownReason !== undefined
        ? 'shutdown'
        : domain.pauseCount > 0
          ? 'paused'
          : 'running',
    shutdown_reason: shutdownReason ?? 0,
    attached,
  };
}

export const DOMCTL_OPERATIONS = {
  'domctl.create': operation({
    caller: 'dom0',
    args: { domid: 'u16', name: 'text', memory_mib: 'u32', max_vcpus: 'u32', max_evtchn_port: 's32' },
    run: (host, _caller, args) => {
      const { domid, name, memory_mib: memoryMib, max_vcpus: maxVcpus, max_evtchn_port: maxEvtchnPort } = args;
      const made = host.create({ domid, name, memoryMib, maxVcpus, maxEvtchnPort });
      if (typeof made === 'number') return made;
      return { domid: made.domid, unique_id: made.uniqueId.toString(), token: made.token };
    },
  }),
  'domctl.destroy': domctl((host, domain) => host.destroy(domain)),
  'domctl.pause': domctl((host, domain) => host.pause(domain)),
  'domctl.unpause': domctl((host, domain) => host.unpause(domain)),
  'domctl.rename': operation({
    caller: 'dom0',
    args: { domid: 'domid', name: 'text' },
    run: (host, _caller, { domid, name }) => {
      const domain = host.domains.find(domid);
      if (domain === undefined) return -ESRCH;
      domain.name = name;
      return 0;
    },
  }),
  'domctl.getdomaininfolist': operation({
    caller: 'dom0',
    args: {},
    run: (host) => ({ domains: host.domains.all().map(domainInfo) }),
  }),
  /** Without a domain the next one whose state changed: only for who bound VIRQ_DOM_EXC. */
  'domctl.get_domain_state': operation({
    caller: 'dom0',
    args: { domid: 'domid' },
    run: (host, caller, { domid }) => {
      const next = domid === DOMID_INVALID;
      if (!next && host.domains.find(domid) === undefined) return -ESRCH;
      const state = host.domains.state(next ? undefined : domid, host.events.handlesDomExc(caller));
      return typeof state === 'number' ? state : { ...state };
    },
  }),
  /** Whose token is it: for servers that must know who speaks to them. */
  identify: operation({
    caller: 'dom0',
    args: { token: 'text' },
    run: (host, _caller, { token }) => {
      const domain = host.domains.byToken(token);
      return domain === undefined ? -ENOENT : { domid: domain.domid };
    },
  }),
  'hvm.set_param': operation({
    caller: 'dom0',
    args: { domid: 'domid', index: 'u32', value: 'u64' },
    run: (host, _caller, { domid, index, value }) => {
      const domain = host.domains.find(domid);
      if (domain === undefined) return -ESRCH;
      if (index >= HVM_NR_PARAMS) return -EINVAL;
      domain.params.set(index, Number(value));
      return 0;
    },
  }),
  'hvm.get_param': operation({
    caller: 'any',
    args: { domid: 'domid', index: 'u32' },
    run: (host, caller, { domid, index }) => {
      const domain = domid === DOMID_SELF ? caller : host.domains.find(domid);
      if (domain === undefined) return -ESRCH;
      if (index >= HVM_NR_PARAMS) return -EINVAL;
      if (!mayTarget(caller, domain)) return -EPERM;
      return { value: domain.params.get(index) ?? 0 };
    },
  }),
  'xenmem.acquire_resource': operation({
    caller: 'any',
    args: { domid: 'domid', type: 'u16', id: 'u32', frame: 'u64', nr_frames: 'u32', pad: 'u32' },
    run: (host, caller, args) => acquireResource(host, caller, args),
  }),
};

/** The ports of the store and console rings, as the toolstack told the guest. */
export function guestPorts(domain: Domain): { store_port: number; console_port: number } {
  return {
    store_port: domain.params.get(HVM_PARAM.STORE_EVTCHN) ?? 0,
    console_port: domain.params.get(HVM_PARAM.CONSOLE_EVTCHN) ?? 0,
  };
}

function acquireResource(
  host: Host,
  caller: Domain,
  args: { domid: DomId; type: number; id: number; frame: bigint; nr_frames: number; pad: number },
): Out | number {
  const { frame, nr_frames: count } = args;
  if (args.pad !== 0 || frame + BigInt(count) > 0xffffffffn) return -EINVAL;
  const domain = args.domid === DOMID_SELF ? caller : host.domains.find(args.domid);
  if (domain === undefined) return -ESRCH;
  if (domain === caller || !caller.privileged) return -EPERM;
  if (args.type !== XENMEM_resource_ioreq_server) return -EINVAL;
  if (count === 0)
    return { nr_frames: XENMEM_resource_ioreq_server_frame_ioreq + Math.ceil(domain.vcpus.length / IOREQS_PER_PAGE) };
  if (args.id > 0xffff) return -EINVAL;
  const server = host.ioreq.find(caller, domain, args.id);
  if (typeof server === 'number') return server;
  const files = [];
  for (let index = 0; index < count; index++) {
    const file = host.ioreq.acquireFrame(server, Number(frame) + index);
    if (typeof file === 'number') return index === 0 ? file : -EIO;
    files.push(file);
  }
  return { file: files[0], files, nr_frames: count };
}
