// What a process that dies in the middle of a store to shared memory leaves behind: part of what it was about to publish, without the
// word that publishes it, or, of a guest, which may write anything, with that word. docs/chaos.md says which words of which process.
// Leaves the death itself to faults/tear.ts.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  IOREQ,
  IOREQ_DIR_READ,
  IOREQ_STATE_MASK,
  IOREQS_PER_PAGE,
  STATE_IOREQ_INPROCESS,
  STATE_IOREQ_READY,
} from '../lib/layout/ioreq.js';
import { VCPU_EXIT, VCPU_STATE } from '../lib/layout/ours/vcpu-exit.js';
import { PAGE_SIZE } from '../lib/layout/page.js';
import {
  VIRTIO_MMIO_DRIVER_FEATURES,
  VIRTIO_MMIO_DRIVER_FEATURES_SEL,
  VIRTIO_MMIO_QUEUE_NUM,
  VIRTIO_MMIO_QUEUE_SEL,
  VIRTIO_MMIO_QUEUE_USED_HIGH,
  VIRTIO_MMIO_QUEUE_USED_LOW,
} from '../lib/layout/virtio-mmio.js';
import {
  hasFeature,
  VIRTIO_F_RING_PACKED,
  VIRTQ_USED,
  VIRTQ_USED_ELEM,
  virtqUsedSlot,
} from '../lib/layout/virtio-ring.js';
import { mapPath } from '../lib/node/files/shm.js';
import { runPaths } from '../lib/node/process/run-dir.js';
import { POINT } from '../lib/trace/points.js';
import type { TraceRecord } from '../lib/trace/record.js';

/** Half of a word as it was to be, half as it was. */
const TORN = 0xdeadn;

/** What was torn, a sentence each; [] where nothing was under way that could be. */
export function tear(runDir: string, victim: string, records: readonly TraceRecord[]): string[] {
  if (victim === 'xenstored') return tearJournal(runDir);
  if (victim === 'vhost-frontend') return tearSlots(runDir);
  if (victim === 'vhost-gpu') return tearUsedRings(runDir, records);
  return victim.startsWith('guest-') ? tearExit(runDir) : [];
}

/** Maps each file of the living domains that a pattern names. */
function eachPage(runDir: string, pattern: RegExp, size: number, change: (bytes: Uint8Array) => string[]): string[] {
  const folder = join(runDir, 'shm');
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => pattern.test(name)) : [];
  return names.flatMap((name) => {
    const mapping = mapPath(join(folder, name), size, true);
    try {
      return change(mapping.bytes).map((what) => `${name}: ${what}`);
    } finally {
      mapping.close();
    }
  });
}

/** A guest leaves for something that there is not; the caller rings for it. */
function tearExit(runDir: string): string[] {
  return eachPage(runDir, /^dom[0-9]+\.vcpu0$/, PAGE_SIZE, (bytes) => {
    const { count } = VCPU_EXIT.decode(bytes);
    const request = { addr: TORN << 40n, data: TORN, size: 3, dir: 7, rc: 0, reason: 0xdead, count: count + 1 };
    VCPU_EXIT.encode({ ...request, state: VCPU_STATE.EXIT }, bytes);
    return ['an exit of no kind'];
  });
}

/** A device model took requests and has half written an answer; the state that publishes it is not written. */
function tearSlots(runDir: string): string[] {
  return eachPage(runDir, /^dom[0-9]+\.ioreq[0-9]+$/, PAGE_SIZE, (bytes) =>
    Array.from({ length: IOREQS_PER_PAGE }, (_, slot) => slot * IOREQ.size).flatMap((at) => {
      const slot = IOREQ.decode(bytes, at);
      const state = slot.flags & IOREQ_STATE_MASK;
      if (state !== STATE_IOREQ_READY && state !== STATE_IOREQ_INPROCESS) return [];
      // A write's data is the guest's, and no answer is put in its place.
      const data = isRead(slot.flags) ? (slot.data & ~0xffffn) | TORN : slot.data;
      IOREQ.encode({ ...slot, data, flags: (slot.flags & ~IOREQ_STATE_MASK) | STATE_IOREQ_INPROCESS }, bytes, at);
      return [`slot ${at / IOREQ.size} is INPROCESS for ever`];
    }),
  );
}
const isRead = (flags: number): boolean => (flags & IOREQ_DIR_READ) !== 0;

interface UsedRing {
  size: number;
  address: bigint;
}

/** Where a guest's driver has put its used rings, as its register accesses say; packed ones have none. */
function usedRings(records: readonly TraceRecord[], domid: number): UsedRing[] {
  const rings = new Map<number, UsedRing>();
  let [queue, bank, packed] = [0, 0, false];
  for (const { point, a, b, domid: of } of records) {
    if (point !== POINT['ioreq.write'] || of !== domid) continue;
    const ring = rings.get(queue) ?? { size: 0, address: 0n };
    rings.set(queue, ring);
    const value = BigInt(b);
    const register = a % PAGE_SIZE;
    if (register === VIRTIO_MMIO_QUEUE_SEL) queue = b;
    else if (register === VIRTIO_MMIO_DRIVER_FEATURES_SEL) bank = b;
    else if (register === VIRTIO_MMIO_DRIVER_FEATURES && bank === 1)
      packed = hasFeature(value << 32n, VIRTIO_F_RING_PACKED);
    else if (register === VIRTIO_MMIO_QUEUE_NUM) ring.size = b;
    else if (register === VIRTIO_MMIO_QUEUE_USED_LOW) ring.address = ((ring.address >> 32n) << 32n) | value;
    else if (register === VIRTIO_MMIO_QUEUE_USED_HIGH) ring.address = (ring.address & 0xffff_ffffn) | (value << 32n);
  }
  return packed ? [] : [...rings.values()].filter(({ size, address }) => size > 0 && address > 0n);
}

/** A device has written an element of the used ring, and not the index. */
function tearUsedRings(runDir: string, records: readonly TraceRecord[]): string[] {
  return [...new Set(records.map(({ domid }) => domid))].flatMap((domid) => {
    const path = join(runDir, 'shm', `dom${domid}.ram`);
    if (domid === undefined || !existsSync(path)) return [];
    return usedRings(records, domid).map(({ size, address }) => {
      const at = Number(address);
      const mapping = mapPath(path, PAGE_SIZE * 2, true, at - (at % PAGE_SIZE));
      try {
        const { idx } = VIRTQ_USED.decode(mapping.bytes, at % PAGE_SIZE);
        const element = { id: Number(TORN), len: 0xffff_ffff };
        VIRTQ_USED_ELEM.encode(element, mapping.bytes, (at % PAGE_SIZE) + virtqUsedSlot(idx % size));
        return `dom${domid}.ram: element ${idx % size} of a used ring of ${size}`;
      } finally {
        mapping.close();
      }
    });
  });
}

/** xenstored has put down a frame without its length, which goes last (services/xenstored/node/journal-frames.ts). */
function tearJournal(runDir: string): string[] {
  const path = runPaths.journal(runDir);
  if (!existsSync(path)) return [];
  const bytes = readFileSync(path);
  const used = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const fd = openSync(path, 'r+');
  try {
    // Behind the padding of the last frame, where its successor's length would stand.
    writeSync(fd, Uint8Array.of(1, 2, 3, 4), 0, 4, Math.ceil(used / 4) * 4 + 8);
  } finally {
    closeSync(fd);
  }
  return ['a frame of the journal without its length'];
}
