// Opens the driver's end of a virtqueue in the layout that was negotiated.
import { hasFeature, VIRTIO_F_RING_PACKED } from '../layout/virtio-ring.js';
import { DriverQueue } from './driver-queue.js';
import type { DriverRing, DriverRingParts } from './driver-ring.js';
import { PackedDriverQueue } from './packed-driver-queue.js';

export function openDriverRing<T>(parts: DriverRingParts): DriverRing<T> {
  return hasFeature(parts.features, VIRTIO_F_RING_PACKED) ? new PackedDriverQueue<T>(parts) : new DriverQueue<T>(parts);
}
