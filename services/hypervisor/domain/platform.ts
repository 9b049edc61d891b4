// The x86 platform of a guest as far as device models can touch it: interrupt lines, a queued event a vCPU, cache
// attributes. A PVH guest here listens to event channels only, so these are kept, checked and recorded, and interrupt
// no vCPU. Leaves argument checks to dm-ops-x86.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { XEN_DMOP_MEM_CACHEATTR_DELETE } from '../../../lib/layout/dm-op.js';

const { EBUSY, ENOENT, ENOSPC } = ERRNO;
/** Xen's bound on pinned ranges of a domain. */
const PINNED_RANGES_MAX = 64;

export class Platform {
  /** Asserted lines: PCI INTx by device and pin, ISA by number. */
  readonly asserted = new Set<string>();
  /** ISA interrupt of each PCI link; 0 is off. */
  readonly links = new Uint8Array(4);
  /** vCPUs with an event queued for their next entry. */
  readonly #queued = new Set<number>();
  readonly #pinned: { start: bigint; end: bigint; type: number }[] = [];

  setLine(line: string, level: number): void {
    if (level === 0) this.asserted.delete(line);
    else this.asserted.add(line);
  }

  /** One event waits a vCPU. 0 or -errno. */
  queueEvent(vcpu: number): number {
    if (this.#queued.has(vcpu)) return -EBUSY;
    this.#queued.add(vcpu);
    return 0;
  }

  /** The vCPU enters the guest: its event is taken. */
  entered(vcpu: number): void {
    if (this.#queued.size > 0) this.#queued.delete(vcpu);
  }

  /** Frames start to end get a cache attribute, or lose it. 0 or -errno. */
  pin(start: bigint, end: bigint, type: number): number {
    const same = this.#pinned.findIndex((range) => range.start === start && range.end === end);
    if (type === XEN_DMOP_MEM_CACHEATTR_DELETE) {
      if (same < 0) return -ENOENT;
      this.#pinned.splice(same, 1);
      return 0;
    }
    if (same >= 0) {
      this.#pinned[same]!.type = type;
      return 0;
    }
    if (this.#pinned.some((range) => range.start <= end && start <= range.end)) return -EBUSY;
    if (this.#pinned.length >= PINNED_RANGES_MAX) return -ENOSPC;
    this.#pinned.push({ start, end, type });
    return 0;
  }
}
