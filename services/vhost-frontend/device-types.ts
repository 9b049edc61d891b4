// The virtio devices that this front-end can offer: what of them the vhost-user back-end cannot tell.
import { VIRTIO_GPU_CONFIG, VIRTIO_GPU_QUEUE_COUNT, VIRTIO_ID_GPU } from '../../lib/layout/virtio-gpu.js';
import {
  featureBits,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
} from '../../lib/layout/virtio-ring.js';

export interface DeviceType {
  /** Virtio device id. */
  readonly id: number;
  readonly name: string;
  /** Largest size of each queue, in entries. */
  readonly queueSizesMax: readonly number[];
  /** Bytes of configuration space. */
  readonly configSize: number;
  /** What of the configuration is the front-end's to say, filled in where the back-end left it open. */
  readonly complete?: (config: Uint8Array) => Uint8Array;
}

const GPU: DeviceType = {
  id: VIRTIO_ID_GPU,
  name: 'gpu',
  // As QEMU has them with and without 3D: the larger control queue, its own cursor queue.
  queueSizesMax: Array.from({ length: VIRTIO_GPU_QUEUE_COUNT }, (_, index) => (index === 0 ? 256 : 16)),
  configSize: VIRTIO_GPU_CONFIG.size,
  // QEMU's vhost-user-gpu answers zeros and leaves the number of scanouts to its front-end.
  complete: (config) => {
    const values = VIRTIO_GPU_CONFIG.decode(config);
    return VIRTIO_GPU_CONFIG.bytes({ ...values, num_scanouts: values.num_scanouts || 1 });
  },
};

export const DEVICE_TYPES: ReadonlyMap<number, DeviceType> = new Map([GPU].map((type) => [type.id, type]));

/** Bits 0 to 23 belong to the device type; of the common ones only those that the registers and rings here have. */
const DEVICE_BITS = (1n << 24n) - 1n;
const PASSED = DEVICE_BITS | featureBits(VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX, VIRTIO_F_RING_PACKED);

/** What registers bring by themselves: for the back-end a queue that is reset is a ring that stops and starts. */
const OWN = featureBits(VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET);

/** What a guest is offered of a back-end's features: the rest of them would be taken if shown. */
export function guestFeatures(backend: bigint): bigint {
  return (backend & PASSED) | OWN;
}

/** "VK" of xen-vhost-frontend and QEMU's "QEMU" are taken; this is "XENW". */
export const VENDOR_ID = 0x574e4558;
