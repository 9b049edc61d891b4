// The ioctls of /dev/xen/{evtchn,privcmd,gntdev}: numbers and arguments as Linux has them. Sources:
// include/uapi/xen/{evtchn,privcmd,gntdev}.h, for 64-bit. Leaves what they do to services/hypervisor/dev.
import { pad, struct, u16, u32, u64 } from './struct.js';

/** _IOC of asm-generic/ioctl.h. */
const ioc = (direction: number, type: string, number: number, size: number): number =>
  ((direction << 30) | (size << 16) | (type.charCodeAt(0) << 8) | number) >>> 0;
const NONE = 0;
const WRITE = 1;

/** Bytes of an ioctl's argument, as its number says. */
export const ioctlSize = (command: number): number => (command >>> 16) & 0x3fff;

export const IOCTL_EVTCHN = {
  BIND_VIRQ: ioc(NONE, 'E', 0, 4),
  BIND_INTERDOMAIN: ioc(NONE, 'E', 1, 8),
  BIND_UNBOUND_PORT: ioc(NONE, 'E', 2, 4),
  UNBIND: ioc(NONE, 'E', 3, 4),
  NOTIFY: ioc(NONE, 'E', 4, 4),
  RESET: ioc(NONE, 'E', 5, 0),
  RESTRICT_DOMID: ioc(NONE, 'E', 6, 2),
  BIND_STATIC: ioc(NONE, 'E', 7, 4),
} as const;
export const EVTCHN_BIND_INTERDOMAIN = struct(
  'ioctl_evtchn_bind_interdomain',
  { remote_domain: u32, remote_port: u32 },
  { size: 8 },
);

export const IOCTL_PRIVCMD = {
  HYPERCALL: ioc(NONE, 'P', 0, 48),
  MMAP: ioc(NONE, 'P', 2, 16),
  MMAPBATCH: ioc(NONE, 'P', 3, 24),
  MMAPBATCH_V2: ioc(NONE, 'P', 4, 32),
  DM_OP: ioc(NONE, 'P', 5, 16),
  RESTRICT: ioc(NONE, 'P', 6, 2),
  MMAP_RESOURCE: ioc(NONE, 'P', 7, 32),
  IRQFD: ioc(WRITE, 'P', 8, 24),
  IOEVENTFD: ioc(WRITE, 'P', 9, 48),
} as const;
export const PRIVCMD_HYPERCALL = struct(
  'privcmd_hypercall',
  { op: u64, arg0: u64, arg1: u64, arg2: u64, arg3: u64, arg4: u64 },
  { size: 48 },
);
export const PRIVCMD_MMAP = struct('privcmd_mmap', { num: u32, dom: u16, pad: pad(2), entry: u64 }, { size: 16 });
export const PRIVCMD_MMAP_ENTRY = struct('privcmd_mmap_entry', { va: u64, mfn: u64, npages: u64 }, { size: 24 });
export const PRIVCMD_MMAPBATCH = struct(
  'privcmd_mmapbatch',
  { num: u32, dom: u16, pad: pad(2), addr: u64, arr: u64 },
  { size: 24 },
);
export const PRIVCMD_MMAPBATCH_V2 = struct(
  'privcmd_mmapbatch_v2',
  { num: u32, dom: u16, pad: pad(2), addr: u64, arr: u64, err: u64 },
  { size: 32 },
);
/** Version 1 marks a frame that failed in the array of frames itself. */
export const PRIVCMD_MMAPBATCH_MFN_ERROR = 0xf0000000;
export const PRIVCMD_MMAPBATCH_PAGED_ERROR = 0x80000000;
export const PRIVCMD_DM_OP = struct('privcmd_dm_op', { dom: u16, num: u16, pad: pad(4), ubufs: u64 }, { size: 16 });
export const PRIVCMD_DM_OP_BUF = struct('privcmd_dm_op_buf', { uptr: u64, size: u64 }, { size: 16 });
export const PRIVCMD_MMAP_RESOURCE = struct(
  'privcmd_mmap_resource',
  { dom: u16, pad: pad(2), type: u32, id: u32, idx: u32, num: u64, addr: u64 },
  { size: 32 },
);
export const PRIVCMD_IRQFD = struct(
  'privcmd_irqfd',
  { dm_op: u64, size: u32, fd: u32, flags: u32, dom: u16, pad: pad(2) },
  { size: 24 },
);
export const PRIVCMD_IOEVENTFD = struct(
  'privcmd_ioeventfd',
  {
    ioreq: u64,
    ports: u64,
    addr: u64,
    addr_len: u32,
    event_fd: u32,
    vcpus: u32,
    vq: u32,
    flags: u32,
    dom: u16,
    pad: pad(2),
  },
  { size: 48 },
);
/** IRQFD and IOEVENTFD: the only flag there is. */
export const PRIVCMD_EVENTFD_FLAG_DEASSIGN = 1;

export const IOCTL_GNTDEV = {
  MAP_GRANT_REF: ioc(NONE, 'G', 0, 24),
  UNMAP_GRANT_REF: ioc(NONE, 'G', 1, 16),
  GET_OFFSET_FOR_VADDR: ioc(NONE, 'G', 2, 24),
  SET_UNMAP_NOTIFY: ioc(NONE, 'G', 7, 16),
} as const;
export const GNTDEV_MAP_GRANT_REF = struct(
  'ioctl_gntdev_map_grant_ref',
  { count: u32, pad: pad(4), index: u64 },
  { size: 16 },
);
export const GNTDEV_GRANT_REF = struct('ioctl_gntdev_grant_ref', { domid: u32, ref: u32 }, { size: 8 });
export const GNTDEV_UNMAP_GRANT_REF = struct(
  'ioctl_gntdev_unmap_grant_ref',
  { index: u64, count: u32, pad: pad(4) },
  { size: 16 },
);
export const GNTDEV_GET_OFFSET = struct(
  'ioctl_gntdev_get_offset_for_vaddr',
  { vaddr: u64, offset: u64, count: u32, pad: pad(4) },
  { size: 24 },
);
export const GNTDEV_UNMAP_NOTIFY = struct(
  'ioctl_gntdev_unmap_notify',
  { index: u64, action: u32, event_channel_port: u32 },
  { size: 16 },
);
export const UNMAP_NOTIFY_CLEAR_BYTE = 1;
export const UNMAP_NOTIFY_SEND_EVENT = 2;
