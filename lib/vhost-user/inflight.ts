// Inflight tracking of one split ring (vhost-user.rst, "Inflight I/O tracking"): which chains a device server has taken and
// not given back, in a buffer that the front-end keeps while server after server dies. Every step is ordered so that a
// server killed between any two of them leaves a buffer from which the next one takes each such chain once more, in the
// order in which they came, and none that was given back. Leaves the ring to lib/virtio/device-queue.ts, and packed rings
// to inflight-packed.ts.
import {
  VHOST_INFLIGHT_SPLIT_DESC as DESC,
  VHOST_INFLIGHT_SPLIT_HDR as HDR,
  VHOST_INFLIGHT_ALIGN,
  VHOST_INFLIGHT_VERSION,
} from '../layout/vhost-user.js';
import type { InflightLog } from '../virtio/device-ring.js';
import { packedInflightBytes } from './inflight-packed.js';

/** Bytes of one queue's region, as of the layout that was negotiated. */
export function inflightBytes(queueSize: number, packed = false): number {
  if (packed) return packedInflightBytes(queueSize);
  return Math.ceil((HDR.size + queueSize * DESC.size) / VHOST_INFLIGHT_ALIGN) * VHOST_INFLIGHT_ALIGN;
}

export class SplitInflight implements InflightLog {
  readonly #view: DataView;
  readonly #entries: number;
  #counter = 0n;

  /** `region`: inflightBytes(queueSize) bytes of the buffer; zeroed when it is fresh. Its contents are not trusted. */
  constructor(region: Uint8Array, queueSize: number) {
    this.#view = new DataView(region.buffer, region.byteOffset, region.byteLength);
    this.#entries = queueSize;
  }

  begin(usedIdx: number): readonly number[] | undefined {
    const { version, last_batch_head, used_idx } = HDR.get(this.#view, 0);
    this.#view.setUint16(HDR.offset.desc_num, this.#entries, true);
    if (version !== VHOST_INFLIGHT_VERSION) {
      this.#setUsedIdx(usedIdx);
      this.#view.setUint16(HDR.offset.version, VHOST_INFLIGHT_VERSION, true);
      return undefined;
    }
    // The last batch was published, and its server died before it said so here.
    const published = Math.min((usedIdx - used_idx) & 0xffff, this.#entries);
    let head = last_batch_head;
    for (let count = 0; count < published && head < this.#entries; count++) {
      this.#setInflight(head, 0);
      head = this.#view.getUint16(this.#at(head) + DESC.offset.next, true);
    }
    this.#setUsedIdx(usedIdx);
    const left: { readonly head: number; readonly counter: bigint }[] = [];
    for (let index = 0; index < this.#entries; index++) {
      const { inflight, counter } = DESC.get(this.#view, this.#at(index));
      if (inflight === 1) left.push({ head: index, counter });
      if (inflight === 1 && counter >= this.#counter) this.#counter = counter + 1n;
    }
    left.sort((a, b) => (a.counter < b.counter ? -1 : 1));
    return left.map((entry) => entry.head);
  }

  taken(head: number): void {
    if (head >= this.#entries) return;
    this.#view.setBigUint64(this.#at(head) + DESC.offset.counter, BigInt.asUintN(64, this.#counter++), true);
    this.#setInflight(head, 1);
  }

  givingBack(head: number): void {
    if (head >= this.#entries) return;
    this.#view.setUint16(
      this.#at(head) + DESC.offset.next,
      this.#view.getUint16(HDR.offset.last_batch_head, true),
      true,
    );
    this.#view.setUint16(HDR.offset.last_batch_head, head, true);
  }

  gaveBack(head: number, usedIdx: number): void {
    if (head < this.#entries) this.#setInflight(head, 0);
    this.#setUsedIdx(usedIdx);
  }

  #at(index: number): number {
    return HDR.size + index * DESC.size;
  }

  #setInflight(index: number, value: 0 | 1): void {
    this.#view.setUint8(this.#at(index) + DESC.offset.inflight, value);
  }

  #setUsedIdx(usedIdx: number): void {
    this.#view.setUint16(HDR.offset.used_idx, usedIdx, true);
  }
}
