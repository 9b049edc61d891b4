// The split and the packed virtqueue in guest memory, and the feature bits common to all virtio devices (virtio 1.4, "Split
// Virtqueues", "Packed Virtqueues", "Reserved Feature Bits"). Numbers and offsets only: who may read or write what, and when, is in lib/virtio/.
import { struct, u16, u32, u64 } from './struct.js';

/** Feature bits as bit numbers. Device-specific ones stand in the layout file of the device. */
export const VIRTIO_F_NOTIFY_ON_EMPTY = 24;
export const VIRTIO_F_ANY_LAYOUT = 27;
export const VIRTIO_F_INDIRECT_DESC = 28;
export const VIRTIO_F_EVENT_IDX = 29;
export const VIRTIO_F_VERSION_1 = 32;
export const VIRTIO_F_ACCESS_PLATFORM = 33;
export const VIRTIO_F_RING_PACKED = 34;
export const VIRTIO_F_IN_ORDER = 35;
export const VIRTIO_F_ORDER_PLATFORM = 36;
export const VIRTIO_F_NOTIFICATION_DATA = 38;
export const VIRTIO_F_RING_RESET = 40;

/** The feature word with exactly these bits set. */
export function featureBits(...bits: readonly number[]): bigint {
  return bits.reduce((word, bit) => word | (1n << BigInt(bit)), 0n);
}

export function hasFeature(features: bigint, bit: number): boolean {
  return ((features >> BigInt(bit)) & 1n) === 1n;
}

/** One entry of the descriptor table. */
export const VIRTQ_DESC = struct('virtq_desc', { addr: u64, len: u32, flags: u16, next: u16 }, { size: 16 });

/** `next` is valid. */
export const VIRTQ_DESC_F_NEXT = 1;
/** The device may write the buffer; otherwise it may only read it. */
export const VIRTQ_DESC_F_WRITE = 2;
/** The buffer is a table of descriptors. */
export const VIRTQ_DESC_F_INDIRECT = 4;

/** The head of the available ring; the ring of u16 heads follows, then used_event. */
export const VIRTQ_AVAIL = struct('virtq_avail', { flags: u16, idx: u16 }, { size: 4 });
export const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;

/** The head of the used ring; the ring of elements follows, then avail_event. */
export const VIRTQ_USED = struct('virtq_used', { flags: u16, idx: u16 }, { size: 4 });
export const VIRTQ_USED_F_NO_NOTIFY = 1;

/** An element of the used ring: the chain's head, and the bytes written into its writable part. */
export const VIRTQ_USED_ELEM = struct('virtq_used_elem', { id: u32, len: u32 }, { size: 8 });

/** Queue sizes are powers of two up to this. */
export const VIRTQ_SIZE_MAX = 32768;
export const VIRTQ_DESC_ALIGN = 16;
export const VIRTQ_AVAIL_ALIGN = 2;
export const VIRTQ_USED_ALIGN = 4;

/** Bytes of the descriptor table of a queue of `size` entries. */
export function virtqDescBytes(size: number): number {
  return VIRTQ_DESC.size * size;
}
/** Bytes of the available ring, used_event included. */
export function virtqAvailBytes(size: number): number {
  return VIRTQ_AVAIL.size + 2 * size + 2;
}
/** Bytes of the used ring, avail_event included. */
export function virtqUsedBytes(size: number): number {
  return VIRTQ_USED.size + VIRTQ_USED_ELEM.size * size + 2;
}
/** Offset of available ring entry `slot` (index mod size) in the available ring. */
export function virtqAvailSlot(slot: number): number {
  return VIRTQ_AVAIL.size + 2 * slot;
}
/** Offset of used ring entry `slot` in the used ring. */
export function virtqUsedSlot(slot: number): number {
  return VIRTQ_USED.size + VIRTQ_USED_ELEM.size * slot;
}
/** Offset of used_event, written by the driver, in the available ring. */
export function virtqUsedEvent(size: number): number {
  return VIRTQ_AVAIL.size + 2 * size;
}
/** Offset of avail_event, written by the device, in the used ring. */
export function virtqAvailEvent(size: number): number {
  return VIRTQ_USED.size + VIRTQ_USED_ELEM.size * size;
}

/** Whether a step of an index from `old` to `current` passes `event`: "tell me when entry `event` is written" (2.7.10). */
export function vringNeedEvent(event: number, current: number, old: number): boolean {
  return ((current - event - 1) & 0xffff) < ((current - old) & 0xffff);
}

// --- packed: one ring of descriptors, and what either side wants to be told --------------------------------------------

/** A slot of the ring. Flags as of VIRTQ_DESC, and the two below. Entries of an indirect table mean nothing but addr, len, WRITE. */
export const VIRTQ_PACKED_DESC = struct('pvirtq_desc', { addr: u64, len: u32, id: u16, flags: u16 }, { size: 16 });
/** Compared with the wrap counters: available when AVAIL equals the driver's and USED does not; used when both equal the device's. */
export const VIRTQ_PACKED_DESC_F_AVAIL = 1 << 7;
export const VIRTQ_PACKED_DESC_F_USED = 1 << 15;

/** The driver's event structure is the driver area, the device's is the device area. */
export const VIRTQ_PACKED_EVENT = struct('pvirtq_event_suppress', { desc: u16, flags: u16 }, { size: 4 });
/** `desc`: a slot, and the wrap counter in the highest bit; also how a ring's position is told to a vhost-user back-end. */
export const VIRTQ_PACKED_WRAP = 1 << 15;
export const VIRTQ_PACKED_EVENT_FLAGS = { ENABLE: 0, DISABLE: 1, DESC: 2 } as const;
export const VIRTQ_PACKED_EVENT_ALIGN = 4;
/** Both positions of a ring that was not used yet, the used one in the upper half (vhost-user.rst, SET_VRING_BASE). */
export const VIRTQ_PACKED_BASE_FRESH = VIRTQ_PACKED_WRAP * 0x10001;
