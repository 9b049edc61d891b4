// Grants, version 1: entries by which a guest lets another domain at single pages, and the calls that map them.
// Source: xen/include/public/grant_table.h. Leaves the rules to services/hypervisor/grant/grants.ts, and the addresses with the
// top bit set, by which a virtio driver names granted pages, to lib/core/dma-address.ts.
import { PAGE_SHIFT } from './page.js';
import { pad, struct, u16, u32, u64 } from './struct.js';

export const GRANT_ENTRY_V1 = struct('grant_entry_v1', { flags: u16, domid: u16, frame: u32 }, { size: 8 });
export const GRANT_ENTRIES_PER_PAGE = 512;
/** Xen's default limit of table pages of a domain. */
export const GRANT_FRAMES_MAX = 64;
/** References that the domain builder keeps for the console and xenstore rings. */
export const GNTTAB_RESERVED_CONSOLE = 0;
export const GNTTAB_RESERVED_XENSTORE = 1;
export const GNTTAB_NR_RESERVED_ENTRIES = 8;

export const GTF_invalid = 0;
export const GTF_permit_access = 1;
export const GTF_type_mask = 3;
export const GTF_readonly = 4;
/** Set by Xen while the page is mapped, and while it is mapped writable. */
export const GTF_reading = 8;
export const GTF_writing = 16;
export const GTF_sub_page = 256;

export const GNTMAP_device_map = 1;
export const GNTMAP_host_map = 2;
export const GNTMAP_readonly = 4;

export const GNTST = {
  okay: 0,
  general_error: -1,
  bad_domain: -2,
  bad_gntref: -3,
  bad_handle: -4,
  permission_denied: -8,
  no_space: -13,
} as const;

/** struct gnttab_map_grant_ref. */
export const GNTTAB_MAP_GRANT_REF = struct(
  'gnttab_map_grant_ref',
  { host_addr: u64, flags: u32, ref: u32, dom: u16, status: u16, handle: u32, dev_bus_addr: u64 },
  { size: 32 },
);
export const GNTTAB_QUERY_SIZE = struct(
  'gnttab_query_size',
  { dom: u16, pad: pad(2), nr_frames: u32, max_nr_frames: u32, status: u16, pad2: pad(2) },
  { size: 16 },
);

/** Bit 63 of a DMA address marks a granted page: the reference above the page offset (Linux, grant-dma-ops.c). */
export const GRANT_DMA_ADDR_BIT = 63;
export const GRANT_DMA_PAGE_SHIFT = PAGE_SHIFT;
