// Memory regions that are granted pages of a domain (XEN_MMAP, GRANT): which references each of them stands for. Leaves what is
// behind a reference to lib/core/grant-memory.ts, and mapping to the transport.
import { GRANT_DMA_BASE } from '../../lib/core/dma-address.js';
import { ErrnoError } from '../../lib/core/errors.js';
import type { GrantRange } from '../../lib/core/grant-memory.js';
import { PAGE_SHIFT, PAGE_SIZE } from '../../lib/layout/page.js';
import type { MemoryRegionBody } from '../../lib/vhost-user/payloads.js';

/** A reference is a u32 in Xen's interface. */
const REFS_END = 2n ** 32n;

/** The references of a region of whole pages above bit 63. Throws EINVAL. */
export function grantRangeOf({ guestAddr, size, mmapOffset }: MemoryRegionBody): GrantRange {
  const page = BigInt(PAGE_SIZE);
  const offset = guestAddr - GRANT_DMA_BASE;
  const first = offset >> BigInt(PAGE_SHIFT);
  const count = size >> BigInt(PAGE_SHIFT);
  const whole = offset >= 0n && offset % page === 0n && size % page === 0n && mmapOffset === 0n;
  if (!whole || count === 0n || first + count > REFS_END)
    throw new ErrnoError('EINVAL', `granted pages at 0x${guestAddr.toString(16)} of ${size} bytes`);
  return { first: Number(first), count: Number(count) };
}

/**
 * The references of all regions of a connection, in their order; undefined: none of them is granted pages. Throws EINVAL where
 * regions are of both kinds, or of several domains: a guest's memory is one domain's, and of one kind.
 */
export function grantRangesOf(regions: readonly MemoryRegionBody[]): GrantRange[] | undefined {
  const isGranted = ({ guestAddr, xen }: MemoryRegionBody): boolean =>
    guestAddr >= GRANT_DMA_BASE || xen?.kind === 'grant';
  if (!regions.some(isGranted)) return undefined;
  if (!regions.every(isGranted)) throw new ErrnoError('EINVAL', 'granted pages and other memory in one table');
  if (new Set(regions.map(({ xen }) => xen?.domid)).size > 1)
    throw new ErrnoError('EINVAL', 'granted pages of several domains');
  return regions.map(grantRangeOf);
}
