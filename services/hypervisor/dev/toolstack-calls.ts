// domctl, sysctl and xen_version as tools make them (xl, lsevtchn, xenstored): what they learn of domains and of the host.
// An operation that is not here answers ENOSYS. Leaves the life of domains to domain/domctl.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import * as L from '../../../lib/layout/hypercall.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';
import type { Domain } from '../domain/domain.js';
import type { Host } from '../host.js';
import { hypercall } from '../operations.js';
import type { Call, HypercallContext } from './hypercalls.js';

const { EACCES, EFAULT, EPERM, ESRCH } = ERRNO;
const PAGES_PER_MIB = 2 ** 20 / PAGE_SIZE;
/** The version that the headers of Debian's peers are of. */
const VERSION = { major: 4, minor: 17, extra: '.0-xenwire' };
/** dom0 here is a PV guest: none of the features of translated ones. */
const FEATURES = 0;
/** What tools are told the host has: memory of a lab is the machine's, which this process does not look at. */
const HOST_PAGES = 2 ** 22;
/** XEN_SCHEDULER_CREDIT2, Xen's default. */
const CREDIT2 = 6;

/** Fields of struct xen_domctl_getdomaininfo. */
function infoOf(domain: Domain): Uint8Array {
  const pages = BigInt(domain.memoryMib * PAGES_PER_MIB);
  const { dying, hvm_guest, shutdown, paused, blocked, running, hap } = L.XEN_DOMINF;
  let flags = domain.privileged ? running : hvm_guest | hap;
  if (domain.dying) flags |= dying;
  if (domain.shutdownReason !== undefined) flags |= shutdown | (domain.shutdownReason << L.XEN_DOMINF_SHUTDOWN_SHIFT);
  if (domain.pauseCount > 0) flags |= paused;
  else if (!domain.privileged && domain.shutdownReason === undefined && !domain.dying) flags |= blocked;
  const handle = new Uint8Array(16);
  new DataView(handle.buffer).setBigUint64(8, domain.uniqueId);
  return L.XEN_DOMCTL_GETDOMAININFO.bytes({
    domain: domain.domid,
    flags,
    tot_pages: pages,
    max_pages: pages,
    outstanding_pages: 0n,
    shr_pages: 0n,
    paged_pages: 0n,
    shared_info_frame: 0n,
    cpu_time: 0n,
    nr_online_vcpus: domain.vcpus.length,
    max_vcpu_id: domain.vcpus.length - 1,
    ssidref: 0,
    handle,
    cpupool: 0,
    gpaddr_bits: 48,
    emulation_flags: 0,
    misc_flags: 0,
  });
}

/** Domains from a number on, as Xen lists them. */
const from = (host: Host, first: number): Domain[] =>
  host.domains
    .all()
    .filter(({ domid }) => domid >= first)
    .sort((a, b) => a.domid - b.domid);

const HEADER = L.XEN_DOMCTL_HEADER.size;

function domctl(
  name: string,
  run: (context: HypercallContext, domid: number, address: bigint) => number | Promise<number>,
): Call {
  return {
    name: `domctl.${name}`,
    async run(context, [address]) {
      if (!context.caller.privileged) return -EPERM;
      const header = L.XEN_DOMCTL_HEADER.decode(await context.user.copyIn(address!, HEADER));
      if (header.interface_version !== L.XEN_DOMCTL_INTERFACE_VERSION) return -EACCES;
      return run(context, header.domain, address!);
    },
  };
}

const life = (name: string, op: string): Call =>
  domctl(name, ({ host, caller }, domid) => {
    const result = hypercall(host, caller, op, { domid });
    return typeof result === 'number' ? result : 0;
  });

export const DOMCTLS: ReadonlyMap<number, Call> = new Map([
  [L.XEN_DOMCTL.destroydomain, life('destroydomain', 'domctl.destroy')],
  [L.XEN_DOMCTL.pausedomain, life('pausedomain', 'domctl.pause')],
  [L.XEN_DOMCTL.unpausedomain, life('unpausedomain', 'domctl.unpause')],
  [
    L.XEN_DOMCTL.getdomaininfo,
    // The first domain from that number on.
    domctl('getdomaininfo', async ({ host, user }, domid, address) => {
      const [domain] = from(host, domid);
      if (domain === undefined) return -ESRCH;
      await user.copyOut(address + BigInt(HEADER), infoOf(domain));
      const domidAt = address + BigInt(L.XEN_DOMCTL_HEADER.offset.domain);
      await user.copyOut(domidAt, new Uint8Array(new Uint16Array([domain.domid]).buffer));
      return 0;
    }),
  ],
]);

function sysctl(name: string, run: (context: HypercallContext, union: bigint) => Promise<number>): Call {
  return {
    name: `sysctl.${name}`,
    async run(context, [address]) {
      if (!context.caller.privileged) return -EPERM;
      const header = L.XEN_SYSCTL_HEADER.decode(await context.user.copyIn(address!, L.XEN_SYSCTL_HEADER.size));
      if (header.interface_version !== L.XEN_SYSCTL_INTERFACE_VERSION) return -EACCES;
      return run(context, address! + BigInt(L.XEN_SYSCTL_HEADER.size));
    },
  };
}

export const SYSCTLS: ReadonlyMap<number, Call> = new Map([
  [
    L.XEN_SYSCTL.physinfo,
    sysctl('physinfo', async ({ host, user }, union) => {
      const used = host.domains.all().reduce((sum, { memoryMib }) => sum + memoryMib, 0) * PAGES_PER_MIB;
      const total = HOST_PAGES;
      const info = L.XEN_SYSCTL_PHYSINFO.bytes({
        threads_per_core: 1,
        cores_per_socket: 1,
        nr_cpus: 1,
        max_cpu_id: 0,
        nr_nodes: 1,
        max_node_id: 0,
        cpu_khz: 0,
        capabilities: 1, // hvm
        arch_capabilities: 0,
        total_pages: BigInt(total),
        free_pages: BigInt(Math.max(0, total - used)),
        scrub_pages: 0n,
        outstanding_pages: 0n,
        max_mfn: BigInt(total),
        hw_cap: new Uint8Array(32),
      });
      await user.copyOut(union, info);
      return 0;
    }),
  ],
  [
    L.XEN_SYSCTL.sched_id,
    sysctl('sched_id', async ({ user }, union) => {
      await user.copyOut(union, L.XEN_SYSCTL_SCHED_ID.bytes({ sched_id: CREDIT2 }));
      return 0;
    }),
  ],
  [
    L.XEN_SYSCTL.getdomaininfolist,
    sysctl('getdomaininfolist', async ({ host, user }, union) => {
      const layout = L.XEN_SYSCTL_GETDOMAININFOLIST;
      const request = layout.decode(await user.copyIn(union, layout.size));
      const domains = from(host, request.first_domain).slice(0, request.max_domains);
      const size = L.XEN_DOMCTL_GETDOMAININFO.size;
      const list = new Uint8Array(domains.length * size);
      for (const [index, domain] of domains.entries()) list.set(infoOf(domain), index * size);
      await user.copyOut(request.buffer, list);
      await user.copyOut(union, layout.bytes({ ...request, num_domains: domains.length }));
      return 0;
    }),
  ],
]);

const text = (size: number, value: string): Uint8Array => {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < Math.min(value.length, size - 1); at++) bytes[at] = value.charCodeAt(at);
  return bytes;
};

function answer(name: string, bytes: () => Uint8Array): Call {
  return {
    name: `version.${name}`,
    async run({ user }, args) {
      await user.copyOut(args[1]!, bytes());
      return 0;
    },
  };
}

export const VERSIONS: ReadonlyMap<number, Call> = new Map<number, Call>([
  [L.XENVER.version, { name: 'version.version', run: async () => (VERSION.major << 16) | VERSION.minor }],
  [L.XENVER.extraversion, answer('extraversion', () => text(L.XENVER_EXTRAVERSION_SIZE, VERSION.extra))],
  [
    L.XENVER.compile_info,
    answer('compile_info', () =>
      L.XENVER_COMPILE_INFO.bytes({
        compiler: text(64, 'none'),
        compile_by: text(16, 'xenwire'),
        compile_domain: text(32, 'lab'),
        compile_date: text(32, ''),
      }),
    ),
  ],
  [L.XENVER.capabilities, answer('capabilities', () => text(L.XENVER_CAPABILITIES_SIZE, 'hvm-3.0-x86_64 '))],
  [L.XENVER.changeset, answer('changeset', () => text(L.XENVER_CHANGESET_SIZE, 'xenwire'))],
  [L.XENVER.platform_parameters, answer('platform_parameters', () => new Uint8Array(8))],
  [
    L.XENVER.get_features,
    {
      name: 'version.get_features',
      async run({ user }, args) {
        const layout = L.XENVER_FEATURE_INFO;
        const { submap_idx } = layout.decode(await user.copyIn(args[1]!, layout.size));
        await user.copyOut(args[1]!, layout.bytes({ submap_idx, submap: FEATURES }));
        return 0;
      },
    },
  ],
  [L.XENVER.pagesize, { name: 'version.pagesize', run: async (_, args) => (args[1] === 0n ? PAGE_SIZE : -EFAULT) }],
  [L.XENVER.guest_handle, answer('guest_handle', () => new Uint8Array(16))],
  [L.XENVER.commandline, answer('commandline', () => text(L.XENVER_COMMANDLINE_SIZE, ''))],
]);
