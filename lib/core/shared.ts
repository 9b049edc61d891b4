// Files of the run directory mapped into memory: guest RAM, ring pages, exit pages. Interface only; the mapping is
// lib/node/files/shm.ts.
import type { FileHandle } from './proto-types.js';

/** A shared mapping, owned by the code that made it. `bytes` must not be touched after close(): that would be a SIGSEGV. */
export interface Mapping {
  readonly bytes: Uint8Array;
  close(): void;
}

/** Bytes of a file. */
export interface FileRange {
  readonly offset: number;
  readonly size: number;
}

/** A file that this process made. */
export interface MadeFile {
  readonly handle: FileHandle;
  /** Unlinks it. */
  remove(): void;
}

export interface SharedFiles {
  /** Makes a zeroed file of `size` bytes with every page backed (ENOSPC instead of a later SIGBUS), and maps it. */
  create(
    path: string,
    size: number,
  ): Mapping & { readonly handle: FileHandle /** unmaps and unlinks */; remove(): void };
  /** Makes a zeroed file of `size` bytes, of which `backed` have pages from the start (ENOSPC), and maps nothing. */
  createSparse(path: string, size: number, backed: readonly FileRange[]): MadeFile;
  /** Gives a part of a file pages where it has none: ENOSPC instead of a SIGBUS at the first store to it. */
  back(handle: FileHandle, part: FileRange): void;
  /**
   * Maps a file that another process made, or `part` of it, in bytes from a page's begin on; throws EINVAL when the file is
   * smaller than the handle says, or the part lies outside.
   */
  map(handle: FileHandle, part?: FileRange): Mapping;
}
