// The exit page of a vCPU: how a guest process leaves to the hypervisor process and comes back. Ours, not Xen's: on
// hardware it is the VMCS. One exit at a time; while it is outstanding nothing runs on that vCPU (docs/recovery.md).
// The guest writes the request, then state EXIT, then rings the hypervisor's bit; the hypervisor writes data or rc, then
// state ENTRY, then rings the guest's entry bit; the guest takes the answer and writes state IN_GUEST.
import { struct, u32, u64 } from '../struct.js';

export const VCPU_STATE = { IN_GUEST: 0, EXIT: 1, ENTRY: 2 } as const;

/** Why the vCPU left. */
export const EXIT_REASON = {
  /** A load or store outside RAM: addr, size (1, 2, 4 or 8), dir, data. */
  MMIO: 1,
  /** EVTCHNOP_send as the hypercall that it is: data = port; rc = 0 or -errno. */
  EVTCHN_SEND: 2,
  /** EVTCHNOP_unmask: data = port; rc. */
  EVTCHN_UNMASK: 3,
} as const;

/** dir as in struct ioreq (hvm/ioreq.h): 1 read, 0 write. */
export const EXIT_DIR = { WRITE: 0, READ: 1 } as const;

export const VCPU_EXIT = struct(
  'vcpu_exit',
  {
    state: u32,
    reason: u32,
    addr: u64,
    data: u64,
    size: u32,
    dir: u32,
    /** Two's complement: 0 or -errno. */
    rc: u32,
    /** Exits since the start; wraps. */
    count: u32,
  },
  { size: 40 },
);
export const VCPU_EXIT_PAGE_SIZE = 4096;
