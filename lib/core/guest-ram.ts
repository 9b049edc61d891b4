// Where a guest's RAM lies, and where in the file that is its RAM. As libxl lays out an HVM guest: RAM up to the hole for device
// registers, the rest from 4 GiB on. (libxl lets the RAM of a PVH guest go on to 0xfc000000, where no room would be left for the
// registers that guests here place themselves.) A byte of the file lies at its guest-physical address, so that a frame number is
// all that a mapping needs; the hole is a hole in the file, too.
//
// The pages of an ordinary guest are all backed from the start, since a full tmpfs answers a later store with SIGBUS. A guest that
// reaches beyond 4 GiB would take more than most machines have, so its kernel backs what it takes, and is refused then where there
// is no room: Xen calls it populate on demand.
import { HVM_BELOW_4G_RAM_END, HVM_HIGH_RAM_START } from '../layout/hvm-memory.js';
import { PAGE_SIZE } from '../layout/page.js';
import { type MappedPart, mapInWindows } from './memory-windows.js';
import type { FileHandle } from './proto-types.js';
import type { FileRange, SharedFiles } from './shared.js';

/** Bytes that are backed at once: Xen's superpage, in which populate-on-demand counts. */
export const RAM_CHUNK_BYTES = 2 ** 21;

/** Bytes of the file of a guest with `ramBytes` of RAM: its first address beyond. */
export function ramFileSize(ramBytes: number): number {
  const more = ramBytes - HVM_BELOW_4G_RAM_END;
  return more > 0 ? HVM_HIGH_RAM_START + more : ramBytes;
}

/** What of a file of that size is RAM, lowest first. */
export function ramOfFile(fileSize: number): FileRange[] {
  const ranges = [
    { offset: 0, size: Math.min(fileSize, HVM_BELOW_4G_RAM_END) },
    { offset: HVM_HIGH_RAM_START, size: fileSize - HVM_HIGH_RAM_START },
  ];
  return ranges.filter(({ size }) => size > 0);
}

/** Bytes of RAM from `addr` to the end of the range that it lies in; 0 where there is none. */
export function ramBytesFrom(fileSize: number, addr: number): number {
  const range = ramOfFile(fileSize).find(({ offset, size }) => addr >= offset && addr < offset + size);
  return range === undefined ? 0 : range.offset + range.size - addr;
}

/** Whether any byte of [base, base + size) is RAM. */
export function meetsRam(fileSize: number, base: number, size: number): boolean {
  return ramOfFile(fileSize).some((range) => base < range.offset + range.size && base + size > range.offset);
}

/** The frame of the page that guest and xenstored share: the last below 4 GiB. */
export function storeFrame(ramBytes: number): number {
  return Math.min(ramBytes, HVM_BELOW_4G_RAM_END) / PAGE_SIZE - 1;
}

/** Whether the kernel backs the pages that it takes. */
export function isBackedOnDemand(fileSize: number): boolean {
  return fileSize > HVM_HIGH_RAM_START;
}

/** What is backed when the domain is made: all, or where its kernel begins and the store's page is. */
export function ramBackedAtStart(fileSize: number): FileRange[] {
  if (!isBackedOnDemand(fileSize)) return ramOfFile(fileSize);
  return [0, HVM_BELOW_4G_RAM_END - RAM_CHUNK_BYTES].map((offset) => ({ offset, size: RAM_CHUNK_BYTES }));
}

/** Maps all of a guest's RAM, at its guest addresses. Throws as SharedFiles.map does, with nothing left mapped. */
export function mapRam(shared: Pick<SharedFiles, 'map'>, file: FileHandle): MappedPart {
  const parts: MappedPart[] = [];
  const close = (): void => {
    for (const part of parts.splice(0)) part.close();
  };
  try {
    for (const { offset, size } of ramOfFile(file.size))
      parts.push(
        mapInWindows({ base: offset, offset, size }, (from, length) =>
          shared.map(file, { offset: from, size: length }),
        ),
      );
  } catch (error) {
    close();
    throw error;
  }
  return { regions: parts.flatMap(({ regions }) => regions), close };
}
