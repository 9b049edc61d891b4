// Device-model operations: numbers and operands as struct xen_dm_op has them, and one number of ours.
// Source: xen/include/public/hvm/dm_op.h. Leaves checks and effects to services/hypervisor/ioreq/dm-ops.ts.
import { bytes, pad, struct, u8, u16, u32, u64 } from './struct.js';

export const XEN_DMOP = {
  create_ioreq_server: 1,
  get_ioreq_server_info: 2,
  map_io_range_to_ioreq_server: 3,
  unmap_io_range_from_ioreq_server: 4,
  set_ioreq_server_state: 5,
  destroy_ioreq_server: 6,
  track_dirty_vram: 7,
  set_pci_intx_level: 8,
  set_isa_irq_level: 9,
  set_pci_link_route: 10,
  modified_memory: 11,
  set_mem_type: 12,
  inject_event: 13,
  inject_msi: 14,
  map_mem_type_to_ioreq_server: 15,
  remote_shutdown: 16,
  relocate_memory: 17,
  pin_memory_cacheattr: 18,
  set_irq_level: 19,
  nr_vcpus: 20,
  /** Ours: the operation of the first version of the thread's patches, never merged, so it has no number of Xen's. */
  evtchn_raise: 0x1000,
} as const;

/** Operation and padding before the operand. */
export const XEN_DM_OP_HEADER = struct('xen_dm_op', { op: u32, pad: u32 }, { size: 8 });
/** Largest operand: the whole struct is 32 bytes. */
export const XEN_DM_OP_SIZE = 32;

/** The operand of evtchn_raise: a port of the guest. */
export const XEN_DM_OP_EVTCHN_RAISE = struct('xen_dm_op_evtchn_raise', { port: u32 }, { size: 4 });
export const XEN_DM_OP_SET_IRQ_LEVEL = struct(
  'xen_dm_op_set_irq_level',
  { irq: u32, level: u8, pad: pad(3) },
  { size: 8 },
);
export const XEN_DM_OP_INJECT_MSI = struct('xen_dm_op_inject_msi', { data: u32, pad: pad(4), addr: u64 }, { size: 16 });

/** Interrupt sources of an x86 guest's platform: PCI devices of bus 0 with their pins, the links these route to, ISA lines. */
export const HVM_PCI_DEVICES = 32;
export const HVM_PCI_PINS = 4;
export const HVM_PCI_LINKS = 4;
export const HVM_ISA_IRQS = 16;

/** get_ioreq_server_info: only the port of the buffered page is asked for. */
export const XEN_DMOP_no_gfns = 1;

export const HVMMEM = { ram_rw: 0, ram_ro: 1, mmio_dm: 2, unused: 3, ioreq_server: 4 } as const;
export const XEN_DMOP_IOREQ_MEM_ACCESS_WRITE = 2;
export const XEN_DMOP_MODIFIED_MEMORY_EXTENTS_MAX = 1024;
export const TRACK_DIRTY_VRAM_PAGES_MAX = 262144;
/** xen_dm_op_pin_memory_cacheattr types. */
export const XEN_DMOP_MEM_CACHEATTR_DELETE = 0xffffffff;
export const CACHEATTR_TYPES: readonly number[] = [0, 1, 4, 5, 6, 7, XEN_DMOP_MEM_CACHEATTR_DELETE];
export const XEN_DMOP_EVENT_TYPES: readonly number[] = [0, 2, 3, 4, 5, 6];

/** privcmd's own limits for DM_OP (module parameters of Linux). */
export const PRIVCMD_DM_OP_BUFS_MAX = 16;
export const PRIVCMD_DM_OP_BUF_BYTES_MAX = 4096;
/** PRIVCMD IOEVENTFD: vCPUs of one ioreq page's caller. */
export const PRIVCMD_IOEVENTFD_VCPUS_MAX = 4096;

/** With its padding, which must be zero. */
const RANGE = struct(
  'xen_dm_op_ioreq_server_range',
  { id: u16, pad: u16, type: u32, start: u64, end: u64 },
  { size: 24 },
);

/** Operands of all operations, by number; fields have the names that the operations of the host have. */
export const XEN_DM_OPERANDS = {
  [XEN_DMOP.create_ioreq_server]: struct(
    'xen_dm_op_create_ioreq_server',
    { handle_bufioreq: u8, pad: bytes(3), id: u16 },
    { size: 6 },
  ),
  [XEN_DMOP.get_ioreq_server_info]: struct(
    'xen_dm_op_get_ioreq_server_info',
    { id: u16, flags: u16, bufioreq_port: u32, ioreq_gfn: u64, bufioreq_gfn: u64 },
    { size: 24 },
  ),
  [XEN_DMOP.map_io_range_to_ioreq_server]: RANGE,
  [XEN_DMOP.unmap_io_range_from_ioreq_server]: RANGE,
  [XEN_DMOP.set_ioreq_server_state]: struct(
    'xen_dm_op_set_ioreq_server_state',
    { id: u16, enabled: u8, pad: u8 },
    { size: 4 },
  ),
  [XEN_DMOP.destroy_ioreq_server]: struct('xen_dm_op_destroy_ioreq_server', { id: u16, pad: u16 }, { size: 4 }),
  [XEN_DMOP.track_dirty_vram]: struct(
    'xen_dm_op_track_dirty_vram',
    { nr: u32, pad: u32, first_pfn: u64 },
    { size: 16 },
  ),
  [XEN_DMOP.set_pci_intx_level]: struct(
    'xen_dm_op_set_pci_intx_level',
    { domain: u16, bus: u8, device: u8, intx: u8, level: u8 },
    { size: 6 },
  ),
  [XEN_DMOP.set_isa_irq_level]: struct('xen_dm_op_set_isa_irq_level', { irq: u8, level: u8 }, { size: 2 }),
  [XEN_DMOP.set_pci_link_route]: struct('xen_dm_op_set_pci_link_route', { link: u8, isa_irq: u8 }, { size: 2 }),
  [XEN_DMOP.modified_memory]: struct('xen_dm_op_modified_memory', { nr_extents: u32, opaque: u32 }, { size: 8 }),
  [XEN_DMOP.set_mem_type]: struct(
    'xen_dm_op_set_mem_type',
    { nr: u32, type: u16, pad: u16, first_pfn: u64 },
    { size: 16 },
  ),
  [XEN_DMOP.inject_event]: struct(
    'xen_dm_op_inject_event',
    { vcpu: u32, vector: u8, type: u8, insn_len: u8, pad: u8, error_code: u32, pad1: u32, cr2: u64 },
    { size: 24 },
  ),
  [XEN_DMOP.inject_msi]: struct('xen_dm_op_inject_msi', { data: u32, pad: u32, addr: u64 }, { size: 16 }),
  [XEN_DMOP.map_mem_type_to_ioreq_server]: struct(
    'xen_dm_op_map_mem_type_to_ioreq_server',
    { id: u16, type: u16, flags: u32, opaque: u64 },
    { size: 16 },
  ),
  [XEN_DMOP.remote_shutdown]: struct('xen_dm_op_remote_shutdown', { reason: u32 }, { size: 4 }),
  [XEN_DMOP.relocate_memory]: struct(
    'xen_dm_op_relocate_memory',
    { size: u32, pad: u32, src_gfn: u64, dst_gfn: u64 },
    { size: 24 },
  ),
  [XEN_DMOP.pin_memory_cacheattr]: struct(
    'xen_dm_op_pin_memory_cacheattr',
    { start: u64, end: u64, type: u32, pad: u32 },
    { size: 24 },
  ),
  [XEN_DMOP.set_irq_level]: XEN_DM_OP_SET_IRQ_LEVEL,
  [XEN_DMOP.nr_vcpus]: struct('xen_dm_op_nr_vcpus', { vcpus: u32 }, { size: 4 }),
  [XEN_DMOP.evtchn_raise]: XEN_DM_OP_EVTCHN_RAISE,
} as const;
/** One range of modified_memory's second buffer. */
export const XEN_DM_OP_MODIFIED_MEMORY_EXTENT = struct(
  'xen_dm_op_modified_memory_extent',
  { nr: u32, pad: u32, first_pfn: u64 },
  { size: 16 },
);
