// Inflight tracking of one packed ring (vhost-user.rst, "Inflight I/O tracking"): a copy of each chain's descriptors, since the
// ring's own are overwritten by used ones, in a buffer that the front-end keeps while server after server dies. A server that
// is killed between any two stores leaves a buffer from which the next one takes each chain that was not given back once more,
// in the order in which they came. Leaves the ring to lib/virtio/packed-queue.ts.
//
// What is under way is told from what is done by pairs of words, new and old. Taking a chain fills entries from free_head on;
// they count once old_free_head says so too. Giving one back moves free_head and used_idx; that counts once the ring shows the
// used descriptor, whose flags are the publication, and is finished by moving the old words. The next server looks at the ring
// where old_used_idx points: still available there means that nothing was published, and the new words are taken back.
// used_idx, old_used_idx and the two wrap counters are one aligned 64-bit word and are stored as one, so that no death leaves
// an index without its counter.
import {
  VHOST_INFLIGHT_PACKED_DESC as DESC,
  VHOST_INFLIGHT_PACKED_HDR as HDR,
  VHOST_INFLIGHT_ALIGN,
  VHOST_INFLIGHT_VERSION,
} from '../layout/vhost-user.js';
import { VIRTQ_PACKED_DESC, VIRTQ_PACKED_WRAP } from '../layout/virtio-ring.js';
import { VirtqError } from '../virtio/chain.js';
import type { PackedInflightLog, RecordedChain } from '../virtio/device-ring.js';

/** Bytes of one queue's region. */
export function packedInflightBytes(queueSize: number): number {
  return Math.ceil((HDR.size + queueSize * DESC.size) / VHOST_INFLIGHT_ALIGN) * VHOST_INFLIGHT_ALIGN;
}

/** The word of four: index and wrap counter of the used position, and as they were when the last giving back was finished. */
const POSITIONS = HDR.offset.used_idx;

export class PackedInflight implements PackedInflightLog {
  readonly #view: DataView;
  readonly #positions: BigUint64Array;
  readonly #entries: number;
  #counter = 0n;

  /** `region`: packedInflightBytes(queueSize) bytes of the buffer, aligned to 8; zeroed when it is fresh. It is not trusted. */
  constructor(region: Uint8Array, queueSize: number) {
    this.#view = new DataView(region.buffer, region.byteOffset, region.byteLength);
    this.#positions = new BigUint64Array(region.buffer, region.byteOffset + POSITIONS, 1);
    this.#entries = queueSize;
  }

  begin(used: number, availableAt: (position: number) => boolean): readonly RecordedChain[] | undefined {
    if (this.#header('version') !== VHOST_INFLIGHT_VERSION) {
      this.#format(used);
      return undefined;
    }
    const finished = this.#old;
    if (finished !== this.used && !availableAt(finished)) this.#finish();
    else {
      this.#setHeader('free_head', this.#header('old_free_head'));
      this.#storePositions(finished, finished);
    }
    for (const entry of this.#list(this.#header('free_head'), this.#entries)) this.#setInflight(entry, 0);
    const left: { readonly entry: number; readonly counter: bigint }[] = [];
    for (let entry = 0; entry < this.#entries; entry++) {
      const { inflight, counter } = DESC.get(this.#view, this.#at(entry));
      if (inflight === 1) left.push({ entry, counter });
      if (inflight === 1 && counter >= this.#counter) this.#counter = counter + 1n;
    }
    left.sort((a, b) => (a.counter < b.counter ? -1 : 1));
    const chains = left.map(({ entry }) => this.#chain(entry));
    const slots = chains.reduce((sum, chain) => sum + chain.slots, 0);
    if (slots > this.#entries)
      throw new VirtqError('QUEUE_LAYOUT', `${slots} descriptors are recorded of a ring of ${this.#entries}`);
    return chains;
  }

  get used(): number {
    return this.#header('used_idx') | (this.#view.getUint8(HDR.offset.used_wrap_counter) === 0 ? 0 : VIRTQ_PACKED_WRAP);
  }

  get #old(): number {
    const wrap = this.#view.getUint8(HDR.offset.old_used_wrap_counter);
    return this.#header('old_used_idx') | (wrap === 0 ? 0 : VIRTQ_PACKED_WRAP);
  }

  taken(descriptors: readonly Uint8Array[]): number {
    const first = this.#header('old_free_head');
    const head = this.#at(first);
    let entry = first;
    let last = first;
    for (const descriptor of descriptors) {
      const { addr, len, id, flags } = VIRTQ_PACKED_DESC.decode(descriptor);
      const at = this.#at(entry);
      this.#view.setBigUint64(at + DESC.offset.addr, addr, true);
      this.#view.setUint32(at + DESC.offset.len, len, true);
      this.#view.setUint16(at + DESC.offset.id, id, true);
      this.#view.setUint16(at + DESC.offset.flags, flags, true);
      last = entry;
      entry = this.#view.getUint16(at + DESC.offset.next, true);
    }
    this.#view.setUint16(head + DESC.offset.last, last, true);
    this.#view.setUint16(head + DESC.offset.num, descriptors.length, true);
    this.#view.setBigUint64(head + DESC.offset.counter, BigInt.asUintN(64, this.#counter++), true);
    this.#setInflight(first, 1);
    this.#setHeader('free_head', entry);
    this.#setHeader('old_free_head', entry);
    return first;
  }

  givingBack(entry: number, used: number): void {
    const last = this.#view.getUint16(this.#at(entry) + DESC.offset.last, true);
    this.#view.setUint16(this.#at(last) + DESC.offset.next, this.#header('free_head'), true);
    this.#setHeader('free_head', entry);
    this.#storePositions(used, this.#old);
  }

  gaveBack(entry: number): void {
    this.#setInflight(entry, 0);
    this.#finish();
  }

  /** A fresh record: every entry free, in order. The version is stored last. */
  #format(used: number): void {
    for (let entry = 0; entry < this.#entries; entry++) {
      this.#setInflight(entry, 0);
      this.#view.setUint16(this.#at(entry) + DESC.offset.next, entry + 1, true);
    }
    this.#setHeader('desc_num', this.#entries);
    this.#setHeader('free_head', 0);
    this.#setHeader('old_free_head', 0);
    this.#storePositions(used, used);
    this.#setHeader('version', VHOST_INFLIGHT_VERSION);
  }

  /** The new words count. */
  #finish(): void {
    this.#setHeader('old_free_head', this.#header('free_head'));
    this.#storePositions(this.used, this.used);
  }

  #chain(first: number): RecordedChain {
    const num = this.#view.getUint16(this.#at(first) + DESC.offset.num, true);
    const entries = this.#list(first, num);
    if (num === 0 || entries.length < num)
      throw new VirtqError('QUEUE_LAYOUT', `a recorded chain of ${num} descriptors has ${entries.length}`);
    const bytes = new Uint8Array(num * VIRTQ_PACKED_DESC.size);
    for (const [index, entry] of entries.entries()) {
      const { addr, len, id, flags } = DESC.get(this.#view, this.#at(entry));
      bytes.set(VIRTQ_PACKED_DESC.bytes({ addr, len, id, flags }), index * VIRTQ_PACKED_DESC.size);
    }
    return { entry: first, slots: num, descriptors: bytes };
  }

  /** Entries that follow one another, at most `count`, none twice. */
  #list(first: number, count: number): number[] {
    const seen = new Set<number>();
    for (let entry = first; entry < this.#entries && seen.size < count && !seen.has(entry); ) {
      seen.add(entry);
      entry = this.#view.getUint16(this.#at(entry) + DESC.offset.next, true);
    }
    return [...seen];
  }

  /** Throws VirtqError where a front-end's nonsense leads out of the record. */
  #at(entry: number): number {
    if (entry >= this.#entries)
      throw new VirtqError('QUEUE_LAYOUT', `entry ${entry} of a record of ${this.#entries} inflight descriptors`);
    return HDR.size + entry * DESC.size;
  }

  #setInflight(entry: number, value: 0 | 1): void {
    this.#view.setUint8(this.#at(entry) + DESC.offset.inflight, value);
  }

  #header(field: 'version' | 'free_head' | 'old_free_head' | 'used_idx' | 'old_used_idx'): number {
    return this.#view.getUint16(HDR.offset[field], true);
  }

  #setHeader(field: 'version' | 'desc_num' | 'free_head' | 'old_free_head', value: number): void {
    this.#view.setUint16(HDR.offset[field], value, true);
  }

  #storePositions(used: number, old: number): void {
    const index = (word: number): bigint => BigInt(word & ~VIRTQ_PACKED_WRAP);
    const wrap = (word: number): bigint => ((word & VIRTQ_PACKED_WRAP) === 0 ? 0n : 1n);
    Atomics.store(this.#positions, 0, index(used) | (index(old) << 16n) | (wrap(used) << 32n) | (wrap(old) << 40n));
  }
}
