// A guest's memory into an ELF core file in the run directory, as dom0 sees it: held while it is copied.
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ramOfFile } from '../lib/core/guest-ram.js';
import { CORE_DATA_AT, coreHeader } from '../lib/layout/elf.js';
import { nextData } from '../lib/node/files/libc.js';
import { openHandle } from '../lib/node/files/shm.js';
import type { Guest } from '../toolstack/domain.js';
import type { Toolstack } from '../toolstack/toolstack.js';

const CHUNK_BYTES = 1 << 20;
const ZEROES = Buffer.alloc(CHUNK_BYTES);

/** Resolves with the path of the file. Pages of zeroes are holes in it. Rejects with what the system answers. */
export async function dumpGuest(toolstack: Toolstack, runDir: string, { name, domid }: Guest): Promise<string> {
  const path = join(runDir, 'dumps', `${name}-${domid}.core`);
  const { file } = await toolstack.hypervisor.privcmd_map_foreign({ domid });
  try {
    const memory = openHandle(runDir, file);
    try {
      writeCore(path, memory.fd, file.size);
    } finally {
      memory.close();
    }
  } finally {
    await toolstack.hypervisor.privcmd_unmap_foreign({ domid });
  }
  return path;
}

/** Reads and does not map: a page that was never backed would be, by looking at it. */
function writeCore(path: string, memory: number, memorySize: number): void {
  const fd = openSync(path, 'w', 0o600);
  const chunk = Buffer.alloc(CHUNK_BYTES);
  try {
    const ram = ramOfFile(memorySize);
    writeSync(fd, coreHeader(ram));
    for (const { offset, size } of ram) {
      const end = offset + size;
      let at = nextData(memory, offset) ?? end;
      while (at < end) {
        const read = readSync(memory, chunk, 0, Math.min(CHUNK_BYTES, end - at), at);
        if (!chunk.subarray(0, read).equals(ZEROES.subarray(0, read))) writeSync(fd, chunk, 0, read, CORE_DATA_AT + at);
        at = nextData(memory, at + read) ?? end;
      }
    }
    ftruncateSync(fd, CORE_DATA_AT + memorySize);
  } finally {
    closeSync(fd);
  }
}
