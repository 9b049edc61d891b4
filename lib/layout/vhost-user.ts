// vhost-user on the wire: header, request numbers, payloads, feature bits. Source: QEMU docs/interop/vhost-user.rst.
// Native byte order there; little-endian on every machine this runs on. Leaves which message may come when to
// lib/vhost-user, and the display protocol (GPU_SET_SOCKET) to vhost-user-gpu.ts.
import { bytes, pad, struct, u8, u16, u32, u64 } from './struct.js';

export const VHOST_USER_HDR = struct('VhostUserHeader', { request: u32, flags: u32, size: u32 }, { size: 12 });

export const VHOST_USER_VERSION_MASK = 0x3;
export const VHOST_USER_VERSION = 0x1;
export const VHOST_USER_REPLY_MASK = 0x4;
export const VHOST_USER_NEED_REPLY_MASK = 0x8;
export const VHOST_USER_FLAGS_MASK = 0xf;

/** Payload bytes that any party takes: rust-vmm's bound, the largest among the implementations. */
export const VHOST_USER_PAYLOAD_SIZE_MAX = 0x1000;
/** libvhost-user's bounds: file descriptors of one message, regions of one SET_MEM_TABLE, bytes of config space. */
export const VHOST_USER_FDS_MAX = 8;
export const VHOST_MEMORY_BASELINE_NREGIONS = 8;
/**
 * Regions, and descriptors, of a table with XEN_MMAP: what rust-vmm's front-end sends at most (MAX_ATTACHED_FD_ENTRIES).
 * xen-vhost-frontend makes three of each ring, and one of each gap between them.
 */
export const VHOST_MEMORY_XEN_NREGIONS = 32;
export const VHOST_USER_MAX_CONFIG_SIZE = 256;

/** Front-end to back-end. */
export const VHOST_USER_REQUEST = {
  VHOST_USER_GET_FEATURES: 1,
  VHOST_USER_SET_FEATURES: 2,
  VHOST_USER_SET_OWNER: 3,
  VHOST_USER_RESET_OWNER: 4,
  VHOST_USER_SET_MEM_TABLE: 5,
  VHOST_USER_SET_LOG_BASE: 6,
  VHOST_USER_SET_LOG_FD: 7,
  VHOST_USER_SET_VRING_NUM: 8,
  VHOST_USER_SET_VRING_ADDR: 9,
  VHOST_USER_SET_VRING_BASE: 10,
  VHOST_USER_GET_VRING_BASE: 11,
  VHOST_USER_SET_VRING_KICK: 12,
  VHOST_USER_SET_VRING_CALL: 13,
  VHOST_USER_SET_VRING_ERR: 14,
  VHOST_USER_GET_PROTOCOL_FEATURES: 15,
  VHOST_USER_SET_PROTOCOL_FEATURES: 16,
  VHOST_USER_GET_QUEUE_NUM: 17,
  VHOST_USER_SET_VRING_ENABLE: 18,
  VHOST_USER_SEND_RARP: 19,
  VHOST_USER_NET_SET_MTU: 20,
  VHOST_USER_SET_BACKEND_REQ_FD: 21,
  VHOST_USER_IOTLB_MSG: 22,
  VHOST_USER_SET_VRING_ENDIAN: 23,
  VHOST_USER_GET_CONFIG: 24,
  VHOST_USER_SET_CONFIG: 25,
  VHOST_USER_CREATE_CRYPTO_SESSION: 26,
  VHOST_USER_CLOSE_CRYPTO_SESSION: 27,
  VHOST_USER_POSTCOPY_ADVISE: 28,
  VHOST_USER_POSTCOPY_LISTEN: 29,
  VHOST_USER_POSTCOPY_END: 30,
  VHOST_USER_GET_INFLIGHT_FD: 31,
  VHOST_USER_SET_INFLIGHT_FD: 32,
  VHOST_USER_GPU_SET_SOCKET: 33,
  VHOST_USER_RESET_DEVICE: 34,
  VHOST_USER_VRING_KICK: 35,
  VHOST_USER_GET_MAX_MEM_SLOTS: 36,
  VHOST_USER_ADD_MEM_REG: 37,
  VHOST_USER_REM_MEM_REG: 38,
  VHOST_USER_SET_STATUS: 39,
  VHOST_USER_GET_STATUS: 40,
  VHOST_USER_GET_SHARED_OBJECT: 41,
  VHOST_USER_SET_DEVICE_STATE_FD: 42,
  VHOST_USER_CHECK_DEVICE_STATE: 43,
  VHOST_USER_GET_SHMEM_CONFIG: 44,
  VHOST_USER_GET_VRING_BASE_SKIP_DRAIN: 45,
} as const;
export type VhostUserRequestName = keyof typeof VHOST_USER_REQUEST;

/** Back-end to front-end, on the channel that SET_BACKEND_REQ_FD gave. */
export const VHOST_USER_BACKEND_REQUEST = {
  VHOST_USER_BACKEND_IOTLB_MSG: 1,
  VHOST_USER_BACKEND_CONFIG_CHANGE_MSG: 2,
  VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG: 3,
  VHOST_USER_BACKEND_VRING_CALL: 4,
  VHOST_USER_BACKEND_VRING_ERR: 5,
  VHOST_USER_BACKEND_SHARED_OBJECT_ADD: 6,
  VHOST_USER_BACKEND_SHARED_OBJECT_REMOVE: 7,
  VHOST_USER_BACKEND_SHARED_OBJECT_LOOKUP: 8,
  VHOST_USER_BACKEND_SHMEM_MAP: 9,
  VHOST_USER_BACKEND_SHMEM_UNMAP: 10,
} as const;

/** Over the bus only: the answer to a message that has no reply of its own (proto/vhost-user.proto). */
export const VHOST_USER_BUS_NO_REPLY = 0xffffffff;

/** Virtio feature bits that mean something between front-end and back-end only; never shown to a guest. */
export const VHOST_F_LOG_ALL = 26;
export const VHOST_USER_F_PROTOCOL_FEATURES = 30;

/** Protocol feature bits; above 19 they are those of QEMU's own document (other trees differ). */
export const VHOST_USER_PROTOCOL_F = {
  MQ: 0,
  LOG_SHMFD: 1,
  RARP: 2,
  REPLY_ACK: 3,
  MTU: 4,
  BACKEND_REQ: 5,
  CROSS_ENDIAN: 6,
  CRYPTO_SESSION: 7,
  PAGEFAULT: 8,
  CONFIG: 9,
  BACKEND_SEND_FD: 10,
  HOST_NOTIFIER: 11,
  INFLIGHT_SHMFD: 12,
  RESET_DEVICE: 13,
  INBAND_NOTIFICATIONS: 14,
  CONFIGURE_MEM_SLOTS: 15,
  STATUS: 16,
  XEN_MMAP: 17,
  SHARED_OBJECT: 18,
  DEVICE_STATE: 19,
  GET_VRING_BASE_INFLIGHT: 20,
  GPA_ADDRESSES: 21,
  SHMEM: 22,
  GET_VRING_BASE_SKIP_DRAIN: 23,
} as const;

// --- payloads, in the order of the document ---------------------------------------------------------------------------

export const VHOST_USER_U64 = struct('u64', { u64 }, { size: 8 });

/** "A vring state description": index and a number. */
export const VHOST_VRING_STATE = struct('vhost_vring_state', { index: u32, num: u32 }, { size: 8 });

/** The order is descriptor table, used ring, available ring. */
export const VHOST_VRING_ADDR = struct(
  'vhost_vring_addr',
  { index: u32, flags: u32, desc_user_addr: u64, used_user_addr: u64, avail_user_addr: u64, log_guest_addr: u64 },
  { size: 40 },
);
export const VHOST_VRING_F_LOG = 0;

export const VHOST_USER_MEMORY_HDR = struct('VhostUserMemory', { nregions: u32, padding: pad(4) }, { size: 8 });
export const VHOST_USER_MEMORY_REGION = struct(
  'VhostUserMemoryRegion',
  { guest_phys_addr: u64, memory_size: u64, userspace_addr: u64, mmap_offset: u64 },
  { size: 32 },
);
export const VHOST_USER_MEM_REG_MSG = struct(
  'VhostUserMemRegMsg',
  { padding: pad(8), guest_phys_addr: u64, memory_size: u64, userspace_addr: u64, mmap_offset: u64 },
  { size: 40 },
);

/** Beside each region once XEN_MMAP is negotiated: a region is 40 bytes then. `data`: the domain whose memory it is. */
export const VHOST_USER_XEN_MMAP = struct('xen mmap', { flags: u32, data: u32 }, { size: 8 });
export const VHOST_USER_XEN_MMAP_FLAGS = { FOREIGN: 1 << 0, GRANT: 1 << 1, NO_MAP_IN_ADVANCE: 1 << 8 } as const;
/** NO_MAP_IN_ADVANCE as rust-vmm's vm-memory and xen-vhost-frontend have it. */
export const VHOST_USER_XEN_MMAP_NO_ADVANCE_RUST = 1 << 3;

export const VHOST_USER_LOG = struct('VhostUserLog', { mmap_size: u64, mmap_offset: u64 }, { size: 16 });

/** Followed by `size` bytes of config space, in requests too (GET_CONFIG sends filler). */
export const VHOST_USER_CONFIG_HDR = struct('VhostUserConfig', { offset: u32, size: u32, flags: u32 }, { size: 12 });
export const VHOST_SET_CONFIG_TYPE_FRONTEND = 0;
export const VHOST_SET_CONFIG_TYPE_MIGRATION = 1;

export const VHOST_USER_INFLIGHT = struct(
  'VhostUserInflight',
  { mmap_size: u64, mmap_offset: u64, num_queues: u16, queue_size: u16, padding: pad(4) },
  { size: 24 },
);

/** "Inflight I/O tracking", split rings: the region of one queue is a header and an entry a descriptor, QueueRegionSplit. */
export const VHOST_INFLIGHT_SPLIT_HDR = struct(
  'QueueRegionSplit',
  { features: u64, version: u16, desc_num: u16, last_batch_head: u16, used_idx: u16 },
  { size: 16 },
);
export const VHOST_INFLIGHT_SPLIT_DESC = struct(
  'DescStateSplit',
  { inflight: u8, padding: pad(5), next: u16, counter: u64 },
  { size: 16 },
);
/** `padding` has seven bytes, and the compiler adds three before the entries. */
export const VHOST_INFLIGHT_PACKED_HDR = struct(
  'QueueRegionPacked',
  {
    features: u64,
    version: u16,
    desc_num: u16,
    free_head: u16,
    old_free_head: u16,
    used_idx: u16,
    old_used_idx: u16,
    used_wrap_counter: u8,
    old_used_wrap_counter: u8,
    padding: pad(10),
  },
  { size: 32 },
);
export const VHOST_INFLIGHT_PACKED_DESC = struct(
  'DescStatePacked',
  {
    inflight: u8,
    padding: pad(1),
    next: u16,
    last: u16,
    num: u16,
    counter: u64,
    id: u16,
    flags: u16,
    len: u32,
    addr: u64,
  },
  { size: 32 },
);
export const VHOST_INFLIGHT_VERSION = 1;
/** Regions begin at multiples of it (libvhost-user's INFLIGHT_ALIGNMENT). */
export const VHOST_INFLIGHT_ALIGN = 64;

export const VHOST_IOTLB_MSG = struct(
  'vhost_iotlb_msg',
  { iova: u64, size: u64, uaddr: u64, perm: u8, type: u8, padding: pad(6) },
  { size: 32 },
);
export const VHOST_USER_VRING_AREA = struct('VhostUserVringArea', { u64, size: u64, offset: u64 }, { size: 24 });
export const VHOST_USER_SHARED = struct('VhostUserShared', { uuid: bytes(16) }, { size: 16 });

/** u64 of SET_VRING_KICK, CALL, ERR. */
export const VHOST_USER_VRING_IDX_MASK = 0xff;
export const VHOST_USER_VRING_NOFD_MASK = 0x100;
