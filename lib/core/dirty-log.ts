// Guest memory whose writes are noted in a bitmap, a bit a page of 4096 bytes, as a front-end that migrates its guest wants them
// (vhost-user.rst, "Migration"). Leaves when that is so to the device.
import type { GuestMemory } from './memory.js';

const PAGE_SHIFT = 12;

/** The same memory; `log` has bit `page & 7` of byte `page >> 3` set for each page written to. Pages beyond it are not noted. */
export function loggingMemory(memory: GuestMemory, log: Uint8Array): GuestMemory {
  const wrote = (addr: number, length: number): void => {
    if (length === 0) return;
    const last = Math.floor((addr + length - 1) / 2 ** PAGE_SHIFT);
    for (let page = Math.floor(addr / 2 ** PAGE_SHIFT); page <= last; page++) {
      const at = Math.floor(page / 8);
      if (at >= log.length) return;
      // The front-end takes bits away at the same time.
      Atomics.or(log, at, 1 << (page % 8));
    }
  };
  const noting =
    <V>(length: number, write: (addr: number, value: V) => void) =>
    (addr: number, value: V): void => {
      write(addr, value);
      wrote(addr, length);
    };
  return {
    size: memory.size,
    ...(memory.revocable === undefined ? {} : { revocable: memory.revocable }),
    check: (addr, length) => memory.check(addr, length),
    contains: (addr, length, writable) => memory.contains(addr, length, writable),
    // Views are read from: what is written goes through write().
    views: (addr, length) => memory.views(addr, length),
    view: (addr, length) => memory.view(addr, length),
    read: (addr, target) => memory.read(addr, target),
    readU8: (addr) => memory.readU8(addr),
    readU16: (addr) => memory.readU16(addr),
    readU32: (addr) => memory.readU32(addr),
    readU64: (addr) => memory.readU64(addr),
    loadU16: (addr) => memory.loadU16(addr),
    write: (addr, source) => {
      memory.write(addr, source);
      wrote(addr, source.length);
    },
    writeU8: noting(1, (addr, value) => memory.writeU8(addr, value)),
    writeU16: noting(2, (addr, value) => memory.writeU16(addr, value)),
    writeU32: noting(4, (addr, value) => memory.writeU32(addr, value)),
    writeU64: noting(8, (addr, value) => memory.writeU64(addr, value)),
    storeU16: noting(2, (addr, value) => memory.storeU16(addr, value)),
  };
}
