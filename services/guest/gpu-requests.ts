// The GPU commands that the guest's driver sends, as bytes, with the size of the response each leaves room for.
import {
  VIRTIO_GPU_CMD,
  VIRTIO_GPU_CTRL_HDR,
  VIRTIO_GPU_FORMAT,
  VIRTIO_GPU_GET_EDID,
  VIRTIO_GPU_MEM_ENTRY,
  VIRTIO_GPU_RESOURCE_ATTACH_BACKING,
  VIRTIO_GPU_RESOURCE_CREATE_2D,
  VIRTIO_GPU_RESOURCE_FLUSH,
  VIRTIO_GPU_RESOURCE_UNREF,
  VIRTIO_GPU_RESP_DISPLAY_INFO,
  VIRTIO_GPU_RESP_EDID,
  VIRTIO_GPU_SET_SCANOUT,
  VIRTIO_GPU_TRANSFER_TO_HOST_2D,
} from '../../lib/layout/virtio-gpu.js';
import type { GpuCommand } from './gpu-channel.js';
import type { PageRun } from './pages.js';

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const NODATA = VIRTIO_GPU_CTRL_HDR.size;

/** Commands outside rendering contexts: ctx_id and ring_idx are 0, fences are the channel's. */
function hdr(type: number): { type: number; flags: number; fence_id: bigint; ctx_id: number; ring_idx: number } {
  return { type, flags: 0, fence_id: 0n, ctx_id: 0, ring_idx: 0 };
}

export function getDisplayInfo(): GpuCommand {
  const bytes = VIRTIO_GPU_CTRL_HDR.bytes(hdr(VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_GET_DISPLAY_INFO));
  return { bytes, responseSize: VIRTIO_GPU_RESP_DISPLAY_INFO.size };
}

export function getEdid(scanout: number): GpuCommand {
  const bytes = VIRTIO_GPU_GET_EDID.bytes({ hdr: hdr(VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_GET_EDID), scanout });
  return { bytes, responseSize: VIRTIO_GPU_RESP_EDID.size };
}

/** Dumb buffers are always B8G8R8X8. */
export function resourceCreate2d(resource_id: number, width: number, height: number): GpuCommand {
  const bytes = VIRTIO_GPU_RESOURCE_CREATE_2D.bytes({
    hdr: hdr(VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_RESOURCE_CREATE_2D),
    resource_id,
    format: VIRTIO_GPU_FORMAT.VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
    width,
    height,
  });
  return { bytes, responseSize: NODATA };
}

/** The pages in the order in which they make up the picture; runs that adjoin are not joined: the device must cope. `address`: by what it knows them. */
export function resourceAttachBacking(
  resource_id: number,
  runs: readonly PageRun[],
  address: (addr: number) => bigint = BigInt,
): GpuCommand {
  const bytes = VIRTIO_GPU_RESOURCE_ATTACH_BACKING.bytes({
    hdr: hdr(VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
    resource_id,
    nr_entries: runs.length,
  });
  const data = new Uint8Array(runs.length * VIRTIO_GPU_MEM_ENTRY.size);
  runs.forEach(({ addr, length }, index) => {
    VIRTIO_GPU_MEM_ENTRY.encode({ addr: address(addr), length }, data, index * VIRTIO_GPU_MEM_ENTRY.size);
  });
  return { bytes, data, responseSize: NODATA };
}

export function resourceUnref(resource_id: number): GpuCommand {
  const header = hdr(VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_RESOURCE_UNREF);
  return { bytes: VIRTIO_GPU_RESOURCE_UNREF.bytes({ hdr: header, resource_id }), responseSize: NODATA };
}

/** Resource 0 switches the scanout off. */
export function setScanout(scanout_id: number, resource_id: number, r: Rect): GpuCommand {
  const header = hdr(VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_SET_SCANOUT);
  return { bytes: VIRTIO_GPU_SET_SCANOUT.bytes({ hdr: header, r, scanout_id, resource_id }), responseSize: NODATA };
}

/** `offset`: byte of the backing at which the rectangle's first pixel lies. */
export function transferToHost2d(resource_id: number, r: Rect, offset: number): GpuCommand {
  const bytes = VIRTIO_GPU_TRANSFER_TO_HOST_2D.bytes({
    hdr: hdr(VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D),
    r,
    offset: BigInt(offset),
    resource_id,
  });
  return { bytes, responseSize: NODATA };
}

export function resourceFlush(resource_id: number, r: Rect): GpuCommand {
  const header = hdr(VIRTIO_GPU_CMD.VIRTIO_GPU_CMD_RESOURCE_FLUSH);
  return { bytes: VIRTIO_GPU_RESOURCE_FLUSH.bytes({ hdr: header, r, resource_id }), responseSize: NODATA };
}
