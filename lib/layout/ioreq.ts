// The requests that a guest's trapped accesses become, and the pages on which a device model reads them.
// Source: xen/include/public/hvm/ioreq.h, dm_op.h. Leaves who serves what to services/hypervisor/ioreq/ioreq-servers.ts.
import { PAGE_SIZE } from './page.js';
import { struct, u8, u16, u32, u64 } from './struct.js';

export const IOREQ_READ = 1;
export const IOREQ_WRITE = 0;

/** The four states of a slot, in the low nibble of `flags`. */
export const STATE_IOREQ_NONE = 0;
export const STATE_IOREQ_READY = 1;
export const STATE_IOREQ_INPROCESS = 2;
export const STATE_IORESP_READY = 3;

export const IOREQ_TYPE_PIO = 0;
export const IOREQ_TYPE_COPY = 1;
export const IOREQ_TYPE_PCI_CONFIG = 2;
export const IOREQ_TYPE_TIMEOFFSET = 7;
export const IOREQ_TYPE_INVALIDATE = 8;

/** struct ioreq; its bit-fields are one byte here: state in bits 0 to 3, then the flags below. */
export const IOREQ = struct(
  'ioreq',
  { addr: u64, data: u64, count: u32, size: u32, vp_eport: u32, padding: u16, flags: u8, type: u8 },
  { size: 32 },
);
export const IOREQ_STATE_MASK = 0x0f;
export const IOREQ_DATA_IS_PTR = 0x10;
export const IOREQ_DIR_READ = 0x20;
export const IOREQ_DF = 0x40;

export const IOREQ_PAGE_SIZE = PAGE_SIZE;
/** Slots of the synchronous page, indexed by vCPU. */
export const IOREQS_PER_PAGE = IOREQ_PAGE_SIZE / IOREQ.size;

/** Slots of the buffered page, 8 bytes each, behind two free-running u32 pointers. */
export const IOREQ_BUFFER_SLOT_NUM = 511;
export const BUF_IOREQ = struct('buf_ioreq', { type: u8, flags: u8, addr_low: u16, data: u32 }, { size: 8 });
export const BUFFERED_IOPAGE = { READ_POINTER: 0, WRITE_POINTER: 4, SLOTS: 8 } as const;
/** Fields of the first u32 of a buffered slot. */
export const BUF_IOREQ_SHIFT = { DIR: 9, SIZE: 10, ADDR: 12 } as const;
/** Highest address that a buffered slot can hold. */
export const BUF_IOREQ_ADDR_MAX = 0xfffff;

/** HVMIO_*: kinds of ranges. */
export const HVMIO_PORT = 0;
export const HVMIO_MEMORY = 1;
export const HVMIO_PCI = 2;
export const NR_IO_RANGE_TYPES = 3;
/** Separate ranges of one kind that a server may claim. */
export const MAX_NR_IO_RANGES = 256;
export const MAX_NR_IOREQ_SERVERS = 8;

export const HVM_IOREQSRV_BUFIOREQ_OFF = 0;
export const HVM_IOREQSRV_BUFIOREQ_LEGACY = 1;
export const HVM_IOREQSRV_BUFIOREQ_ATOMIC = 2;

/** XENMEM_acquire_resource: types, and frames of an ioreq server. */
export const XENMEM_resource_ioreq_server = 0;
export const XENMEM_resource_grant_table = 1;
export const XENMEM_resource_ioreq_server_frame_bufioreq = 0;
export const XENMEM_resource_ioreq_server_frame_ioreq = 1;

/** The VGA window, whose writes Xen hands to a server's buffered page when it can. */
export const VGA_WINDOW_BASE = 0xa0000;
export const VGA_WINDOW_END = 0xbffff;
