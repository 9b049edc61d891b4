// Memory regions of a vhost-user connection, and the two ways into them: guest addresses (descriptors) and the
// front-end's own addresses (SET_VRING_ADDR). Leaves mapping to the device.
import { ProtocolError } from '../core/errors.js';
import type { MemoryRegionBody } from './payloads.js';

export interface MappedRegion<H> extends MemoryRegionBody {
  readonly handle: H;
}

const share = (a: bigint, b: bigint, sizeA: bigint, sizeB: bigint): boolean => a < b + sizeB && b < a + sizeA;

/** Throws ProtocolError when regions overlap, in the guest or in the front-end. */
export function checkRegions(regions: readonly MemoryRegionBody[]): void {
  for (const [i, a] of regions.entries())
    for (const b of regions.slice(i + 1))
      if (share(a.guestAddr, b.guestAddr, a.size, b.size) || share(a.userAddr, b.userAddr, a.size, b.size))
        throw new ProtocolError('regions', 'memory regions overlap');
}

/** The guest address of a front-end address. Throws ProtocolError when it lies in no region. */
export function userToGuest(regions: readonly MemoryRegionBody[], address: bigint): bigint {
  for (const { userAddr, size, guestAddr } of regions)
    if (address >= userAddr && address < userAddr + size) return address - userAddr + guestAddr;
  throw new ProtocolError('ring', `address 0x${address.toString(16)} lies in no memory region`);
}
