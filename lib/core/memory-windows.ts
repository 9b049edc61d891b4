// Memory in windows: one ArrayBuffer of Node 20 ends at 4 GiB, and V8 aborts the process past it, so a large region is mapped
// as several. Leaves mapping itself to the caller.

import { PAGE_SIZE } from '../layout/page.js';
import { ErrnoError } from './errors.js';
import type { MemoryRegion } from './memory.js';
import type { Mapping } from './shared.js';

/** Bytes of a window: few of them make up a guest, and each is far from the 4 GiB. */
export const WINDOW_BYTES = 2 ** 30;
/** Bytes that a window goes on into the next: more than any ring has (32768 descriptors of 16 bytes). */
export const WINDOW_OVERLAP_BYTES = 2 ** 20;

export interface FilePart {
  /** Guest address of the first byte. */
  readonly base: number;
  /** Where it lies in its file, in bytes; not always at a page's begin. */
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

export interface MappedPart {
  /** What RegionMemory takes. */
  readonly regions: readonly MemoryRegion[];
  close(): void;
}

/**
 * Maps a part of a file through `map`, which maps `size` bytes from `offset`, a multiple of the page size. All windows or
 * none: what `map` throws is passed on.
 */
export function mapInWindows(part: FilePart, map: (offset: number, size: number) => Mapping): MappedPart {
  // Sixteen-bit words are accessed where they are aligned in the guest, so they must be aligned here.
  if ((part.offset - part.base) % 2 !== 0) throw new ErrnoError('EINVAL', `memory at an odd offset ${part.offset}`);
  const mappings: Mapping[] = [];
  const close = (): void => {
    for (const mapping of mappings.splice(0)) mapping.close();
  };
  const regions: MemoryRegion[] = [];
  try {
    for (let done = 0; done < part.size; done += WINDOW_BYTES) {
      const size = Math.min(WINDOW_BYTES, part.size - done);
      const reach = Math.min(WINDOW_BYTES + WINDOW_OVERLAP_BYTES, part.size - done);
      const from = part.offset + done;
      const before = from % PAGE_SIZE;
      const mapping = map(from - before, before + reach);
      mappings.push(mapping);
      regions.push({ base: part.base + done, size, bytes: mapping.bytes.subarray(before, before + reach) });
    }
  } catch (error) {
    close();
    throw error;
  }
  return { regions, close };
}
