// Shared files of the run directory: made whole (every page backed), mapped, unmapped, removed.
import { closeSync, constants, fstatSync, ftruncateSync, mkdirSync, openSync, unlinkSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { ErrnoError, errorMessage } from '../../core/errors.js';
import type { FileHandle } from '../../core/proto-types.js';
import type { FileRange, Mapping, SharedFiles } from '../../core/shared.js';
import { allocateFile, mapFile } from './libc.js';
import { OwnedFd } from './owned-fd.js';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR } = constants;

/** The absolute path of a handle. A peer names it, so it must stay inside the run directory: EINVAL otherwise. */
function resolveInside(runDir: string, path: string): string {
  const clean = normalize(path);
  if (path === '' || clean.startsWith('/') || clean.startsWith('..'))
    throw new ErrnoError('EINVAL', `bad path ${path}`);
  return join(runDir, clean);
}

/** A descriptor of a shared file, for a process that knows no run directory. Throws ErrnoError ENOENT when the file is gone. */
export function openHandle(runDir: string, handle: FileHandle): OwnedFd {
  try {
    return new OwnedFd(openSync(resolveInside(runDir, handle.path), O_RDWR | O_NOFOLLOW));
  } catch (error) {
    throw new ErrnoError('ENOENT', `cannot open ${handle.path}`, { cause: error });
  }
}

function mapOpen(fd: number, size: number, writable: boolean, offset = 0): Mapping {
  const raw = mapFile(fd, size, writable, offset);
  return { bytes: new Uint8Array(raw.buffer), close: () => raw.unmap() };
}

/** Maps `size` bytes of an existing file by absolute path, from `offset` on. `size` 0 takes the whole file. */
export function mapPath(path: string, size: number, writable: boolean, offset = 0): Mapping {
  let fd: number;
  try {
    fd = openSync(path, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW);
  } catch (error) {
    throw new ErrnoError('ENOENT', `cannot open ${path}`, { cause: error });
  }
  try {
    const actual = fstatSync(fd).size;
    if (actual === 0 || actual < offset + size)
      throw new ErrnoError('EINVAL', `${path} has ${actual} bytes, ${offset + size} expected`);
    return mapOpen(fd, size === 0 ? actual : size, writable, offset);
  } finally {
    closeSync(fd);
  }
}

// ENOSPC, EDQUOT, EFBIG: the file system cannot hold it, however it says so.
const noRoom = (size: number, cause: unknown): ErrnoError =>
  new ErrnoError('ENOSPC', `no room for ${size} bytes: ${errorMessage(cause)}`, { cause });

/** Makes a zeroed file of which those parts are backed. Throws EEXIST, or ENOSPC when the space is not there. */
function makeFile(path: string, size: number, backed: readonly FileRange[]): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const fd = openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    ftruncateSync(fd, size);
    for (const part of backed) allocateFile(fd, part.size, part.offset);
  } catch (error) {
    unlinkSync(path);
    throw noRoom(size, error);
  } finally {
    closeSync(fd);
  }
}

/** Makes a zeroed file whose pages are all backed, and maps it. Throws EEXIST, or ENOSPC when the space is not there. */
export function createPath(path: string, size: number): Mapping {
  makeFile(path, size, [{ offset: 0, size }]);
  try {
    return mapPath(path, size, true);
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
}

export function sharedFiles(runDir: string): SharedFiles {
  return {
    create(path, size) {
      const absolute = resolveInside(runDir, path);
      const mapping = createPath(absolute, size);
      const handle: FileHandle = { path, size, offset: 0 };
      return {
        bytes: mapping.bytes,
        handle,
        close: () => mapping.close(),
        remove() {
          mapping.close();
          unlinkSync(absolute);
        },
      };
    },
    createSparse(path, size, backed) {
      const absolute = resolveInside(runDir, path);
      makeFile(absolute, size, backed);
      return { handle: { path, size, offset: 0 }, remove: () => unlinkSync(absolute) };
    },
    back(handle, { offset, size }) {
      if (handle.offset !== 0 || offset < 0 || offset + size > handle.size)
        throw new ErrnoError('EINVAL', `bad part of ${handle.path}`);
      const file = openHandle(runDir, handle);
      try {
        allocateFile(file.fd, size, offset);
      } catch (error) {
        throw noRoom(size, error);
      } finally {
        file.close();
      }
    },
    map: (handle, { offset, size } = { offset: 0, size: handle.size }) => {
      const inside = size > 0 && offset >= 0 && offset + size <= handle.size;
      if (handle.offset !== 0 || !inside) throw new ErrnoError('EINVAL', `bad file handle ${handle.path}`);
      return mapPath(resolveInside(runDir, handle.path), size, true, offset);
    },
  };
}
