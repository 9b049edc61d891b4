// Hypercalls as programs of dom0 make them through privcmd: numbers, sub-operations and arguments of Xen 4.17's public headers
// (xen.h, event_channel.h, memory.h, hvm/hvm_op.h, sched.h, domctl.h, sysctl.h, version.h), for 64-bit x86. Leaves dm_op's
// operands to dm-op.ts.
import { bytes, pad, struct, u8, u16, u32, u64 } from './struct.js';

export const HYPERVISOR = {
  memory_op: 12,
  xen_version: 17,
  sched_op: 29,
  event_channel_op: 32,
  hvm_op: 34,
  sysctl: 35,
  domctl: 36,
  dm_op: 41,
} as const;

export const EVTCHNOP = {
  bind_interdomain: 0,
  bind_virq: 1,
  bind_pirq: 2,
  close: 3,
  send: 4,
  status: 5,
  alloc_unbound: 6,
  bind_ipi: 7,
  bind_vcpu: 8,
  unmask: 9,
  reset: 10,
} as const;
export const EVTCHN_BIND_INTERDOMAIN_OP = struct(
  'evtchn_bind_interdomain',
  { remote_dom: u16, pad: pad(2), remote_port: u32, local_port: u32 },
  { size: 12 },
);
export const EVTCHN_BIND_VIRQ_OP = struct('evtchn_bind_virq', { virq: u32, vcpu: u32, port: u32 }, { size: 12 });
export const EVTCHN_BIND_PIRQ_OP = struct('evtchn_bind_pirq', { pirq: u32, flags: u32, port: u32 }, { size: 12 });
export const EVTCHN_PORT_OP = struct('evtchn_port', { port: u32 }, { size: 4 });
export const EVTCHN_STATUS_OP = struct(
  'evtchn_status',
  { dom: u16, pad: pad(2), port: u32, status: u32, vcpu: u32, first: u32, second: u32 },
  { size: 24 },
);
export const EVTCHN_ALLOC_UNBOUND_OP = struct(
  'evtchn_alloc_unbound',
  { dom: u16, remote_dom: u16, port: u32 },
  { size: 8 },
);
export const EVTCHN_BIND_IPI_OP = struct('evtchn_bind_ipi', { vcpu: u32, port: u32 }, { size: 8 });
export const EVTCHN_BIND_VCPU_OP = struct('evtchn_bind_vcpu', { port: u32, vcpu: u32 }, { size: 8 });
export const EVTCHN_RESET_OP = struct('evtchn_reset', { dom: u16 }, { size: 2 });

export const XENMEM = {
  maximum_ram_page: 2,
  current_reservation: 3,
  maximum_reservation: 4,
  maximum_gpfn: 14,
} as const;
export const XENMEM_DOMID = struct('xen_memory_domid', { domid: u16 }, { size: 2 });

export const HVMOP = { set_param: 0, get_param: 1 } as const;
export const HVM_PARAM_OP = struct('xen_hvm_param', { domid: u16, pad: pad(2), index: u32, value: u64 }, { size: 16 });

export const SCHEDOP = { remote_shutdown: 4 } as const;
export const SCHED_REMOTE_SHUTDOWN = struct(
  'sched_remote_shutdown',
  { domain_id: u16, pad: pad(2), reason: u32 },
  { size: 8 },
);

export const XENVER = {
  version: 0,
  extraversion: 1,
  compile_info: 2,
  capabilities: 3,
  changeset: 4,
  platform_parameters: 5,
  get_features: 6,
  pagesize: 7,
  guest_handle: 8,
  commandline: 9,
} as const;
export const XENVER_EXTRAVERSION_SIZE = 16;
export const XENVER_CAPABILITIES_SIZE = 1024;
export const XENVER_CHANGESET_SIZE = 64;
export const XENVER_COMMANDLINE_SIZE = 1024;
export const XENVER_COMPILE_INFO = struct(
  'xen_compile_info',
  { compiler: bytes(64), compile_by: bytes(16), compile_domain: bytes(32), compile_date: bytes(32) },
  { size: 144 },
);
export const XENVER_FEATURE_INFO = struct('xen_feature_info', { submap_idx: u32, submap: u32 }, { size: 8 });

export const XEN_DOMCTL_INTERFACE_VERSION = 0x15;
export const XEN_DOMCTL = { destroydomain: 2, pausedomain: 3, unpausedomain: 4, getdomaininfo: 5 } as const;
/** The union `u` follows. */
export const XEN_DOMCTL_HEADER = struct(
  'xen_domctl',
  { cmd: u32, interface_version: u32, domain: u16, pad: pad(6) },
  { size: 16 },
);
export const XEN_DOMINF = {
  dying: 1,
  hvm_guest: 2,
  shutdown: 4,
  paused: 8,
  blocked: 16,
  running: 32,
  hap: 256,
} as const;
export const XEN_DOMINF_SHUTDOWN_SHIFT = 16;
export const XEN_DOMCTL_GETDOMAININFO = struct(
  'xen_domctl_getdomaininfo',
  {
    domain: u16,
    pad1: pad(2),
    flags: u32,
    tot_pages: u64,
    max_pages: u64,
    outstanding_pages: u64,
    shr_pages: u64,
    paged_pages: u64,
    shared_info_frame: u64,
    cpu_time: u64,
    nr_online_vcpus: u32,
    max_vcpu_id: u32,
    ssidref: u32,
    handle: bytes(16),
    cpupool: u32,
    gpaddr_bits: u8,
    pad2: pad(7),
    emulation_flags: u32,
    misc_flags: u32,
  },
  { size: 112 },
);

export const XEN_SYSCTL_INTERFACE_VERSION = 0x15;
export const XEN_SYSCTL = { physinfo: 3, sched_id: 4, getdomaininfolist: 6 } as const;
/** The union `u` follows. */
export const XEN_SYSCTL_HEADER = struct('xen_sysctl', { cmd: u32, interface_version: u32 }, { size: 8 });
export const XEN_SYSCTL_GETDOMAININFOLIST = struct(
  'xen_sysctl_getdomaininfolist',
  { first_domain: u16, pad: pad(2), max_domains: u32, buffer: u64, num_domains: u32, pad2: pad(4) },
  { size: 24 },
);
export const XEN_SYSCTL_PHYSINFO = struct(
  'xen_sysctl_physinfo',
  {
    threads_per_core: u32,
    cores_per_socket: u32,
    nr_cpus: u32,
    max_cpu_id: u32,
    nr_nodes: u32,
    max_node_id: u32,
    cpu_khz: u32,
    capabilities: u32,
    arch_capabilities: u32,
    pad: pad(4),
    total_pages: u64,
    free_pages: u64,
    scrub_pages: u64,
    outstanding_pages: u64,
    max_mfn: u64,
    hw_cap: bytes(32),
  },
  { size: 112 },
);
export const XEN_SYSCTL_SCHED_ID = struct('xen_sysctl_sched_id', { sched_id: u32 }, { size: 4 });
