// A Linux root file system of a few files for a test guest: a shell, the driver's modules, and what to run. Written as the
// "newc" cpio archive that kernels unpack (Documentation/driver-api/early-userspace/buffer-format.rst).
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
}

/** Gathers directories and files, then archives them. */
export class Initramfs {
  readonly #entries: Entry[] = [];

  directory(path: string): this {
    this.#entries.push({ path, mode: S_IFDIR | 0o755, data: new Uint8Array(0) });
    return this;
  }

  file(path: string, data: Uint8Array | string, mode = 0o755): this {
    this.#entries.push({ path, mode: S_IFREG | mode, data: typeof data === 'string' ? Buffer.from(data) : data });
    return this;
  }

  gzipped(): Buffer {
    const parts = this.#entries.flatMap((entry, index) => record(entry, index + 1));
    return gzipSync(Buffer.concat([...parts, ...record({ path: 'TRAILER!!!', mode: 0, data: new Uint8Array(0) }, 0)]), {
      level: 1,
    });
  }
}

/** Magic and thirteen fields of eight hexadecimal digits, the name, the data; name and data padded to four bytes. */
function record({ path, mode, data }: Entry, inode: number): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return [header, name, padding(header.length + name.length), Buffer.from(data), padding(data.length)];
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}

/** Kernel modules below `root`, each after those that it depends on (its own .modinfo says which). Built-in ones are left out. */
export function modulesFor(root: string, wanted: readonly string[]): { name: string; data: Buffer }[] {
  const files = new Map<string, string>();
  for (const path of readdirSync(root, { recursive: true }) as string[]) {
    const name = /([^/]+)\.ko$/.exec(path)?.[1];
    if (name !== undefined) files.set(name.replaceAll('-', '_'), join(root, path));
  }
  const ordered = new Map<string, Buffer>();
  const add = (name: string): void => {
    const key = name.replaceAll('-', '_');
    const path = files.get(key);
    if (path === undefined || ordered.has(key)) return;
    const data = readFileSync(path);
    const depends = /\0depends=([^\0]*)\0/.exec(data.toString('latin1'))?.[1] ?? '';
    for (const other of depends.split(',').filter((text) => text !== '')) add(other);
    ordered.set(key, data);
  };
  for (const name of wanted) add(name);
  return [...ordered].map(([name, data]) => ({ name, data }));
}
