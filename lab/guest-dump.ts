// A guest's memory into an ELF core file in the run directory, as dom0 sees it: mapped while the domain exists.
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { coreHeader } from '../lib/layout/elf.js';
import { sharedFiles } from '../lib/node/files/shm.js';
import type { Guest } from '../toolstack/domain.js';
import type { Toolstack } from '../toolstack/toolstack.js';

const CHUNK_BYTES = 1 << 20;

/** Resolves with the path of the file. Pages of zeroes are holes in it. Rejects with what the system answers. */
export async function dumpGuest(toolstack: Toolstack, runDir: string, { name, domid }: Guest): Promise<string> {
  const path = join(runDir, 'dumps', `${name}-${domid}.core`);
  const { file } = await toolstack.hypervisor.privcmd_map_foreign({ domid });
  try {
    const memory = sharedFiles(runDir).map(file);
    try {
      writeCore(path, memory.bytes);
    } finally {
      memory.close();
    }
  } finally {
    await toolstack.hypervisor.privcmd_unmap_foreign({ domid });
  }
  return path;
}

function writeCore(path: string, memory: Uint8Array): void {
  const fd = openSync(path, 'w', 0o600);
  try {
    const header = coreHeader(memory.length);
    writeSync(fd, header);
    for (let at = 0; at < memory.length; at += CHUNK_BYTES) {
      const chunk = memory.subarray(at, at + CHUNK_BYTES);
      if (chunk.some((byte) => byte !== 0)) writeSync(fd, chunk, 0, chunk.length, header.length + at);
    }
    ftruncateSync(fd, header.length + memory.length);
  } finally {
    closeSync(fd);
  }
}
