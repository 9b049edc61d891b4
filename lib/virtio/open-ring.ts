// Opens the device's end of a virtqueue in the layout that was negotiated.
import type { GuestMemory } from '../core/memory.js';
import { hasFeature, VIRTIO_F_RING_PACKED } from '../layout/virtio-ring.js';
import { DeviceQueue } from './device-queue.js';
import type { DeviceRing, QueueLayout } from './device-ring.js';
import { PackedQueue } from './packed-queue.js';

/** Throws VirtqError QUEUE_LAYOUT when the queue does not lie in memory. Nothing is written yet. */
export function openDeviceRing(memory: GuestMemory, layout: QueueLayout, features: bigint): DeviceRing {
  const Ring = hasFeature(features, VIRTIO_F_RING_PACKED) ? PackedQueue : DeviceQueue;
  return new Ring(memory, layout, features);
}
