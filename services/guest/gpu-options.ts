// How a guest's display driver behaves where drivers differ, and which features it takes for that. Leaves doing it to virtio-gpu.ts.
import {
  VIRTIO_GPU_F_EDID,
  VIRTIO_GPU_F_RESOURCE_BLOB,
  VIRTIO_GPU_F_RESOURCE_UUID,
} from '../../lib/layout/virtio-gpu.js';
import { featureBits, VIRTIO_F_RING_PACKED } from '../../lib/layout/virtio-ring.js';

/** `linux` ignores DEVICE_NEEDS_RESET, as Linux's driver does; `restore` resets the device and puts its pictures back. */
export type GpuPersonality = 'restore' | 'linux';

/**
 * What frame buffers are to the device: `copied`, 2D resources that each update transfers, all that QEMU offers unless told
 * otherwise; `shared`, blobs of guest memory where the device has them, as Linux's driver prefers them.
 */
export type GpuBuffers = 'copied' | 'shared';

/** The layout of its virtqueues: `packed` where the device has it, as Linux takes it when it is offered. */
export type GpuRings = 'split' | 'packed';

export interface GpuChoices {
  readonly personality: GpuPersonality;
  readonly buffers: GpuBuffers;
  readonly rings: GpuRings;
}

/** What it takes when it is offered, the layout of rings included. */
export function featuresTaken({ buffers, rings }: GpuChoices): bigint {
  const blobs = featureBits(VIRTIO_GPU_F_RESOURCE_UUID, VIRTIO_GPU_F_RESOURCE_BLOB);
  const packed = featureBits(VIRTIO_F_RING_PACKED);
  return featureBits(VIRTIO_GPU_F_EDID) | (buffers === 'shared' ? blobs : 0n) | (rings === 'packed' ? packed : 0n);
}
