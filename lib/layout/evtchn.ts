// Event channels as the guest and Xen see them on x86-64: operation numbers, statuses, virtual interrupts, shared_info
// with the 2-level words, and the FIFO ABI's control block and event words.
// Sources: xen/include/public/event_channel.h, xen.h. Leaves the rules to services/hypervisor and the upcall loop to the guest.
import { PAGE_SIZE } from './page.js';
import { array, pad, struct, u8, u32, u64 } from './struct.js';

export const EVTCHNOP = {
  BIND_INTERDOMAIN: 0,
  BIND_VIRQ: 1,
  BIND_PIRQ: 2,
  CLOSE: 3,
  SEND: 4,
  STATUS: 5,
  ALLOC_UNBOUND: 6,
  BIND_IPI: 7,
  BIND_VCPU: 8,
  UNMASK: 9,
  RESET: 10,
  INIT_CONTROL: 11,
  EXPAND_ARRAY: 12,
  SET_PRIORITY: 13,
} as const;

/** What EVTCHNOP_status says of a port. */
export const EVTCHNSTAT = { closed: 0, unbound: 1, interdomain: 2, pirq: 3, virq: 4, ipi: 5 } as const;

export const VIRQ = {
  TIMER: 0,
  DEBUG: 1,
  CONSOLE: 2,
  DOM_EXC: 3,
  TBUF: 4,
  DEBUGGER: 6,
  XENOPROF: 7,
  CON_RING: 8,
  PCPU_STATE: 9,
  MEM_EVENT: 10,
  ARGO: 11,
  ENOMEM: 12,
  XENPMU: 13,
} as const;
export const NR_VIRQS = 24;
/** Bound on any vCPU, a port each. */
export const VIRQS_PER_VCPU: readonly number[] = [VIRQ.TIMER, VIRQ.DEBUG, VIRQ.XENOPROF, VIRQ.XENPMU];
/** Bound once a domain, on vCPU 0. All that are in neither list are global: one handler domain in the system. */
export const VIRQS_PER_DOMAIN: readonly number[] = [VIRQ.ARGO];

/** Ports of a 64-bit domain under the 2-level ABI, 0 included. */
export const EVTCHN_2L_NR_CHANNELS = 4096;
/** Ports under the FIFO ABI. */
export const EVTCHN_FIFO_NR_CHANNELS = 1 << 17;

/** evtchn_upcall_pending and evtchn_pending_sel of one vCPU; `arch` and `time` are of no use here. */
export const VCPU_INFO = struct(
  'vcpu_info',
  {
    evtchn_upcall_pending: u8,
    evtchn_upcall_mask: u8,
    pad0: pad(6),
    evtchn_pending_sel: u64,
    arch: pad(16),
    time: pad(32),
  },
  { size: 64 },
);
/** vCPUs with a vcpu_info inside shared_info. */
export const XEN_LEGACY_MAX_VCPUS = 32;

export const SHARED_INFO = struct(
  'shared_info',
  {
    vcpu_info: array(VCPU_INFO, XEN_LEGACY_MAX_VCPUS),
    evtchn_pending: array(u64, 64),
    evtchn_mask: array(u64, 64),
    wc_version: u32,
    wc_sec: u32,
    wc_nsec: u32,
    wc_sec_hi: u32,
    arch: pad(48),
  },
  { size: 3136 },
);
export const SHARED_INFO_PAGE_SIZE = PAGE_SIZE;

// --- FIFO ABI ---------------------------------------------------------------------------------------------------------
/** One event word: flags and, in the low bits, the port behind it in its queue. */
export const EVTCHN_FIFO_PENDING = 31;
export const EVTCHN_FIFO_MASKED = 30;
export const EVTCHN_FIFO_LINKED = 29;
export const EVTCHN_FIFO_BUSY = 28;
export const EVTCHN_FIFO_LINK_BITS = 17;
export const EVTCHN_FIFO_LINK_MASK = (1 << EVTCHN_FIFO_LINK_BITS) - 1;
export const EVTCHN_FIFO_PRIORITY_MAX = 0;
export const EVTCHN_FIFO_PRIORITY_DEFAULT = 7;
export const EVTCHN_FIFO_PRIORITY_MIN = 15;
export const EVTCHN_FIFO_MAX_QUEUES = EVTCHN_FIFO_PRIORITY_MIN + 1;
export const EVTCHN_FIFO_EVENT_WORDS_PER_PAGE = 1024;
export const EVTCHN_FIFO_MAX_EVENT_ARRAY_PAGES = EVTCHN_FIFO_NR_CHANNELS / EVTCHN_FIFO_EVENT_WORDS_PER_PAGE;

/** A vCPU's control block: which queues have something, and where each begins. */
export const EVTCHN_FIFO_CONTROL_BLOCK = struct(
  'evtchn_fifo_control_block',
  { ready: u32, rsvd: pad(4), head: array(u32, EVTCHN_FIFO_MAX_QUEUES) },
  { size: 72 },
);

// --- the calls that reach event channels by another way ---------------------------------------------------------------
/** HVM params of a guest that matter here (hvm/params.h). */
export const HVM_PARAM = {
  CALLBACK_IRQ: 0,
  STORE_PFN: 1,
  STORE_EVTCHN: 2,
  CONSOLE_PFN: 17,
  CONSOLE_EVTCHN: 18,
} as const;
export const HVM_NR_PARAMS = 39;

/** sched.h: why a domain stopped. */
export const SHUTDOWN = { poweroff: 0, reboot: 1, suspend: 2, crash: 3, watchdog: 4, soft_reset: 5 } as const;
export const SHUTDOWN_MAX = SHUTDOWN.soft_reset;

/** domctl 90 (XEN_DOMCTL_get_domain_state). */
export const DOMSTATE_EXIST = 1;
export const DOMSTATE_SHUTDOWN = 2;
export const DOMSTATE_DYING = 4;
export const DOMSTATE_DEAD = 8;
export const DOMCAP_CONTROL = 1;
export const DOMCAP_HARDWARE = 2;
export const DOMCAP_XENSTORE = 4;

/** SCHEDOP_poll: ports of one call. */
export const SCHED_POLL_PORTS_MAX = 128;
