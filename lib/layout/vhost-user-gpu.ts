// vhost-user's GPU display protocol: what a GPU back-end says to the viewer that shows its picture, on the socket that
// GPU_SET_SOCKET gave (QEMU docs/interop/vhost-user-gpu.rst). Here the back-end asks. The header is vhost-user's own
// (vhost-user.ts). Native byte order there; little-endian on every machine this runs on.
import { struct, u32 } from './struct.js';

export const VHOST_USER_GPU_REQUEST = {
  VHOST_USER_GPU_GET_PROTOCOL_FEATURES: 1,
  VHOST_USER_GPU_SET_PROTOCOL_FEATURES: 2,
  VHOST_USER_GPU_GET_DISPLAY_INFO: 3,
  VHOST_USER_GPU_CURSOR_POS: 4,
  VHOST_USER_GPU_CURSOR_POS_HIDE: 5,
  VHOST_USER_GPU_CURSOR_UPDATE: 6,
  VHOST_USER_GPU_SCANOUT: 7,
  VHOST_USER_GPU_UPDATE: 8,
  VHOST_USER_GPU_DMABUF_SCANOUT: 9,
  VHOST_USER_GPU_DMABUF_UPDATE: 10,
  VHOST_USER_GPU_GET_EDID: 11,
  VHOST_USER_GPU_DMABUF_SCANOUT2: 12,
} as const;
/** In replies; nothing else is set. */
export const VHOST_USER_GPU_MSG_FLAG_REPLY = 4;

/** Protocol feature bits as bit numbers. */
export const VHOST_USER_GPU_PROTOCOL_F_EDID = 0;
export const VHOST_USER_GPU_PROTOCOL_F_DMABUF2 = 1;

export const VHOST_USER_GPU_CURSOR_POS = struct(
  'VhostUserGpuCursorPos',
  { scanout_id: u32, x: u32, y: u32 },
  { size: 12 },
);
/** 64 x 64 pixels B G R A follow. */
export const VHOST_USER_GPU_CURSOR_UPDATE = struct(
  'VhostUserGpuCursorUpdate',
  { pos: VHOST_USER_GPU_CURSOR_POS, hot_x: u32, hot_y: u32 },
  { size: 20 },
);
/** Width and height 0: the scanout is off. */
export const VHOST_USER_GPU_SCANOUT = struct(
  'VhostUserGpuScanout',
  { scanout_id: u32, width: u32, height: u32 },
  { size: 12 },
);
/** width * height pixels B G R x follow, rows tightly packed. */
export const VHOST_USER_GPU_UPDATE = struct(
  'VhostUserGpuUpdate',
  { scanout_id: u32, x: u32, y: u32, width: u32, height: u32 },
  { size: 20 },
);
export const VHOST_USER_GPU_EDID_REQUEST = struct('VhostUserGpuEdidRequest', { scanout_id: u32 }, { size: 4 });
