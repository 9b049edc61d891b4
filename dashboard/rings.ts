// The virtqueues of a guest as they lie in its memory now: what they mean, and their bytes. Read from the file of the guest's
// memory while the guest goes on, so that two words of a ring may be of two moments. Addresses come from the driver: all are
// checked against the file.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import {
  VIRTQ_AVAIL,
  VIRTQ_DESC,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  VIRTQ_SIZE_MAX,
  VIRTQ_USED,
  VIRTQ_USED_ELEM,
  virtqAvailBytes,
  virtqAvailSlot,
  virtqDescBytes,
  virtqUsedBytes,
  virtqUsedSlot,
} from '../lib/layout/virtio-ring.js';
import type { Queue } from './registers.js';

/** What a person reads of a table. */
const ENTRIES_SHOWN = 8;
const HEX_BYTES_SHOWN = 256;
const HEX_ROW = 16;

export interface ShownRing {
  readonly index: number;
  readonly size: number;
  readonly ready: boolean;
  /** One line each: what the driver offers, what the device has used, and the newest entries. */
  readonly meaning: readonly string[];
  readonly hex: readonly { readonly name: string; readonly rows: readonly string[] }[];
}

/** Of a guest whose memory is gone: no rings. */
export function ringsOf(runDir: string, domid: number, queues: ReadonlyMap<number, Queue>): ShownRing[] {
  let fd: number;
  try {
    // The hypervisor's file of the domain's memory: services/hypervisor/domain/domain-run.ts.
    fd = openSync(join(runDir, 'shm', `dom${domid}.ram`), 'r');
  } catch {
    return [];
  }
  try {
    const ram = new Ram(fd);
    return [...queues].map(([index, queue]) => shown(ram, index, queue));
  } finally {
    closeSync(fd);
  }
}

class Ram {
  readonly #fd: number;
  readonly #size: number;

  constructor(fd: number) {
    this.#fd = fd;
    this.#size = fstatSync(fd).size;
  }

  /** undefined where the driver gave an address outside of the memory. */
  bytes(at: number, length: number): Uint8Array | undefined {
    if (!Number.isSafeInteger(at) || at < 0 || at + length > this.#size) return undefined;
    const bytes = new Uint8Array(length);
    return readSync(this.#fd, bytes, 0, length, at) === length ? bytes : undefined;
  }
}

function shown(ram: Ram, index: number, { size, desc, avail, used, ready }: Queue): ShownRing {
  const fits = size > 0 && size <= VIRTQ_SIZE_MAX;
  const table = fits ? ram.bytes(desc, virtqDescBytes(size)) : undefined;
  const offered = fits ? ram.bytes(avail, virtqAvailBytes(size)) : undefined;
  const done = fits ? ram.bytes(used, virtqUsedBytes(size)) : undefined;
  if (table === undefined || offered === undefined || done === undefined) {
    // Granted addresses have bit 63 set and lie in no plain memory.
    return { index, size, ready, meaning: ['its addresses are in no plain memory of the guest'], hex: [] };
  }
  const availIdx = VIRTQ_AVAIL.decode(offered).idx;
  const usedIdx = VIRTQ_USED.decode(done).idx;
  const waiting = (availIdx - usedIdx) & 0xffff;
  const view = new DataView(offered.buffer);
  const heads = Array.from({ length: Math.min(ENTRIES_SHOWN, size) }, (_, back) => {
    const at = (availIdx - 1 - back) & 0xffff;
    const head = view.getUint16(virtqAvailSlot(at % size), true);
    const state = back < waiting ? 'waits' : 'used';
    return `${state.padEnd(5)} entry ${at}: ${chainText(table, size, head)}`;
  });
  const last = VIRTQ_USED_ELEM.decode(done, virtqUsedSlot((usedIdx - 1) & (size - 1)));
  return {
    ...{ index, size, ready },
    meaning: [
      `available ${availIdx}, used ${usedIdx}: the device has ${waiting} of ${size} to do`,
      `used last: descriptor ${last.id}, ${last.len} bytes written`,
      ...heads,
    ],
    hex: [
      { name: `descriptors at 0x${desc.toString(16)}`, rows: hexRows(table, desc) },
      { name: `available ring at 0x${avail.toString(16)}`, rows: hexRows(offered, avail) },
      { name: `used ring at 0x${used.toString(16)}`, rows: hexRows(done, used) },
    ],
  };
}

function chainText(table: Uint8Array, size: number, head: number): string {
  const parts: string[] = [];
  let at = head;
  // A chain of a hostile driver may loop.
  for (let step = 0; step < size && at < size; step++) {
    const { addr, len, flags, next } = VIRTQ_DESC.decode(table, at * VIRTQ_DESC.size);
    const indirect = (flags & VIRTQ_DESC_F_INDIRECT) !== 0 ? ' indirect' : '';
    parts.push(`${at} ${(flags & VIRTQ_DESC_F_WRITE) !== 0 ? 'in' : 'out'} 0x${addr.toString(16)}+${len}${indirect}`);
    if ((flags & VIRTQ_DESC_F_NEXT) === 0) break;
    if (parts.length === ENTRIES_SHOWN) return `${parts.join(' > ')} > ..`;
    at = next;
  }
  return parts.length === 0 ? `descriptor ${head} is past the table` : parts.join(' > ');
}

function hexRows(bytes: Uint8Array, base: number): string[] {
  const rows: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, HEX_BYTES_SHOWN); at += HEX_ROW) {
    const row = [...bytes.subarray(at, at + HEX_ROW)].map((byte) => byte.toString(16).padStart(2, '0'));
    rows.push(`${(base + at).toString(16).padStart(8, '0')}  ${row.join(' ')}`);
  }
  if (bytes.length > HEX_BYTES_SHOWN) rows.push(`.. ${bytes.length - HEX_BYTES_SHOWN} bytes more`);
  return rows;
}
