// virtio-gpu, device id 16 (virtio 1.4, "GPU Device"; linux/virtio_gpu.h): queues, features, config space, commands and
// their structs, with the 3D and blob numbers that a 2D device must be able to name in order to refuse them.
// Leaves chains to lib/virtio/gpu-codec.ts and what a command does to services/vhost-gpu/.
import { array, bytes, pad, struct, u8, u32, u64 } from './struct.js';

export const VIRTIO_ID_GPU = 16;

export const VIRTIO_GPU_QUEUE_CONTROL = 0;
export const VIRTIO_GPU_QUEUE_CURSOR = 1;
export const VIRTIO_GPU_QUEUE_COUNT = 2;

/** Feature bits as bit numbers. */
export const VIRTIO_GPU_F_VIRGL = 0;
export const VIRTIO_GPU_F_EDID = 1;
export const VIRTIO_GPU_F_RESOURCE_UUID = 2;
export const VIRTIO_GPU_F_RESOURCE_BLOB = 3;
export const VIRTIO_GPU_F_CONTEXT_INIT = 4;
export const VIRTIO_GPU_F_BLOB_ALIGNMENT = 5;

/** The config space without blob_alignment, which exists only with VIRTIO_GPU_F_BLOB_ALIGNMENT. */
export const VIRTIO_GPU_CONFIG = struct(
  'virtio_gpu_config',
  { events_read: u32, events_clear: u32, num_scanouts: u32, num_capsets: u32 },
  { size: 16 },
);
export const VIRTIO_GPU_EVENT_DISPLAY = 1;
export const VIRTIO_GPU_MAX_SCANOUTS = 16;
export const VIRTIO_GPU_SHM_ID_HOST_VISIBLE = 1;

/** Requests. The 2D subset, EDID, UUID and blobs from 0x0100, 3D from 0x0200, the cursor queue's from 0x0300. */
export const VIRTIO_GPU_CMD = {
  VIRTIO_GPU_CMD_GET_DISPLAY_INFO: 0x0100,
  VIRTIO_GPU_CMD_RESOURCE_CREATE_2D: 0x0101,
  VIRTIO_GPU_CMD_RESOURCE_UNREF: 0x0102,
  VIRTIO_GPU_CMD_SET_SCANOUT: 0x0103,
  VIRTIO_GPU_CMD_RESOURCE_FLUSH: 0x0104,
  VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D: 0x0105,
  VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING: 0x0106,
  VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING: 0x0107,
  VIRTIO_GPU_CMD_GET_CAPSET_INFO: 0x0108,
  VIRTIO_GPU_CMD_GET_CAPSET: 0x0109,
  VIRTIO_GPU_CMD_GET_EDID: 0x010a,
  VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID: 0x010b,
  VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB: 0x010c,
  VIRTIO_GPU_CMD_SET_SCANOUT_BLOB: 0x010d,
  VIRTIO_GPU_CMD_CTX_CREATE: 0x0200,
  VIRTIO_GPU_CMD_CTX_DESTROY: 0x0201,
  VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE: 0x0202,
  VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE: 0x0203,
  VIRTIO_GPU_CMD_RESOURCE_CREATE_3D: 0x0204,
  VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D: 0x0205,
  VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D: 0x0206,
  VIRTIO_GPU_CMD_SUBMIT_3D: 0x0207,
  VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB: 0x0208,
  VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB: 0x0209,
  VIRTIO_GPU_CMD_UPDATE_CURSOR: 0x0300,
  VIRTIO_GPU_CMD_MOVE_CURSOR: 0x0301,
} as const;

/** Responses. */
export const VIRTIO_GPU_RESP = {
  VIRTIO_GPU_RESP_OK_NODATA: 0x1100,
  VIRTIO_GPU_RESP_OK_DISPLAY_INFO: 0x1101,
  VIRTIO_GPU_RESP_OK_CAPSET_INFO: 0x1102,
  VIRTIO_GPU_RESP_OK_CAPSET: 0x1103,
  VIRTIO_GPU_RESP_OK_EDID: 0x1104,
  VIRTIO_GPU_RESP_OK_RESOURCE_UUID: 0x1105,
  VIRTIO_GPU_RESP_OK_MAP_INFO: 0x1106,
  VIRTIO_GPU_RESP_ERR_UNSPEC: 0x1200,
  VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY: 0x1201,
  VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID: 0x1202,
  VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID: 0x1203,
  VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID: 0x1204,
  VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER: 0x1205,
} as const;
/** Responses from this number on are errors. */
export const VIRTIO_GPU_RESP_ERR_FIRST = VIRTIO_GPU_RESP.VIRTIO_GPU_RESP_ERR_UNSPEC;

export const VIRTIO_GPU_FLAG_FENCE = 1;
export const VIRTIO_GPU_FLAG_INFO_RING_IDX = 2;

/** The name lists the bytes in memory order, lowest address first; four bytes a pixel all. */
export const VIRTIO_GPU_FORMAT = {
  VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM: 1,
  VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM: 2,
  VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM: 3,
  VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM: 4,
  VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM: 67,
  VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM: 68,
  VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM: 121,
  VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM: 134,
} as const;
export const VIRTIO_GPU_BYTES_PER_PIXEL = 4;

/** Cursor images are exactly this wide and high. */
export const VIRTIO_GPU_CURSOR_SIZE = 64;

/** Every request and every response begins with it. */
export const VIRTIO_GPU_CTRL_HDR = struct(
  'virtio_gpu_ctrl_hdr',
  { type: u32, flags: u32, fence_id: u64, ctx_id: u32, ring_idx: u8, padding: pad(3) },
  { size: 24 },
);
export const VIRTIO_GPU_RECT = struct('virtio_gpu_rect', { x: u32, y: u32, width: u32, height: u32 }, { size: 16 });
export const VIRTIO_GPU_MEM_ENTRY = struct(
  'virtio_gpu_mem_entry',
  { addr: u64, length: u32, padding: pad(4) },
  { size: 16 },
);
export const VIRTIO_GPU_CURSOR_POS = struct(
  'virtio_gpu_cursor_pos',
  { scanout_id: u32, x: u32, y: u32, padding: pad(4) },
  { size: 16 },
);

const hdr = VIRTIO_GPU_CTRL_HDR;
const rect = VIRTIO_GPU_RECT;

export const VIRTIO_GPU_RESOURCE_CREATE_2D = struct(
  'virtio_gpu_resource_create_2d',
  { hdr, resource_id: u32, format: u32, width: u32, height: u32 },
  { size: 40 },
);
export const VIRTIO_GPU_RESOURCE_UNREF = struct(
  'virtio_gpu_resource_unref',
  { hdr, resource_id: u32, padding: pad(4) },
  { size: 32 },
);
export const VIRTIO_GPU_SET_SCANOUT = struct(
  'virtio_gpu_set_scanout',
  { hdr, r: rect, scanout_id: u32, resource_id: u32 },
  { size: 48 },
);
export const VIRTIO_GPU_RESOURCE_FLUSH = struct(
  'virtio_gpu_resource_flush',
  { hdr, r: rect, resource_id: u32, padding: pad(4) },
  { size: 48 },
);
export const VIRTIO_GPU_TRANSFER_TO_HOST_2D = struct(
  'virtio_gpu_transfer_to_host_2d',
  { hdr, r: rect, offset: u64, resource_id: u32, padding: pad(4) },
  { size: 56 },
);
/** nr_entries VIRTIO_GPU_MEM_ENTRY follow. */
export const VIRTIO_GPU_RESOURCE_ATTACH_BACKING = struct(
  'virtio_gpu_resource_attach_backing',
  { hdr, resource_id: u32, nr_entries: u32 },
  { size: 32 },
);
export const VIRTIO_GPU_RESOURCE_DETACH_BACKING = struct(
  'virtio_gpu_resource_detach_backing',
  { hdr, resource_id: u32, padding: pad(4) },
  { size: 32 },
);
export const VIRTIO_GPU_RESOURCE_ASSIGN_UUID = struct(
  'virtio_gpu_resource_assign_uuid',
  { hdr, resource_id: u32, padding: pad(4) },
  { size: 32 },
);
/** nr_entries VIRTIO_GPU_MEM_ENTRY follow. */
export const VIRTIO_GPU_RESOURCE_CREATE_BLOB = struct(
  'virtio_gpu_resource_create_blob',
  { hdr, resource_id: u32, blob_mem: u32, blob_flags: u32, nr_entries: u32, blob_id: u64, size: u64 },
  { size: 56 },
);
export const VIRTIO_GPU_BLOB_MEM_GUEST = 1;
export const VIRTIO_GPU_BLOB_FLAG = { USE_MAPPABLE: 1, USE_SHAREABLE: 2, USE_CROSS_DEVICE: 4 } as const;
/** Planes of a picture; formats of one plane use the first. */
export const VIRTIO_GPU_BLOB_PLANES = 4;
const planes = array(u32, VIRTIO_GPU_BLOB_PLANES);
export const VIRTIO_GPU_SET_SCANOUT_BLOB = struct(
  'virtio_gpu_set_scanout_blob',
  {
    ...{ hdr, r: rect, scanout_id: u32, resource_id: u32, width: u32, height: u32, format: u32, padding: pad(4) },
    ...{ strides: planes, offsets: planes },
  },
  { size: 96 },
);
export const VIRTIO_GPU_GET_EDID = struct('virtio_gpu_get_edid', { hdr, scanout: u32, padding: pad(4) }, { size: 32 });
/** UPDATE_CURSOR and MOVE_CURSOR. */
export const VIRTIO_GPU_UPDATE_CURSOR = struct(
  'virtio_gpu_update_cursor',
  { hdr, pos: VIRTIO_GPU_CURSOR_POS, resource_id: u32, hot_x: u32, hot_y: u32, padding: pad(4) },
  { size: 56 },
);

export const VIRTIO_GPU_DISPLAY_ONE = struct(
  'virtio_gpu_display_one',
  { r: rect, enabled: u32, flags: u32 },
  { size: 24 },
);
export const VIRTIO_GPU_RESP_DISPLAY_INFO = struct(
  'virtio_gpu_resp_display_info',
  { hdr, pmodes: array(VIRTIO_GPU_DISPLAY_ONE, VIRTIO_GPU_MAX_SCANOUTS) },
  { size: 408 },
);
export const VIRTIO_GPU_EDID_BYTES = 1024;
export const VIRTIO_GPU_RESP_EDID = struct(
  'virtio_gpu_resp_edid',
  { hdr, size: u32, padding: pad(4), edid: bytes(VIRTIO_GPU_EDID_BYTES) },
  { size: 1056 },
);
export const VIRTIO_GPU_UUID_BYTES = 16;
export const VIRTIO_GPU_RESP_RESOURCE_UUID = struct(
  'virtio_gpu_resp_resource_uuid',
  { hdr, uuid: bytes(VIRTIO_GPU_UUID_BYTES) },
  { size: 40 },
);
