// privcmd IRQFD (drivers/xen/privcmd.c): a signal makes the dom0 kernel issue a stored dm_op. Leaves what the operation is to
// dm-op-bytes.ts, running it to kernel-half.ts.

import type { DomId } from '../../../lib/core/ids.js';
import type { BoundBell, Doorbell, NotifyHandle } from '../../../lib/core/notify.js';
import type { Probe } from '../../../lib/core/probe.js';
import { HOP } from '../../../lib/trace/hops.js';
import { POINT } from '../../../lib/trace/points.js';

export class Irqfds {
  readonly #doorbell: Doorbell;
  readonly #probe: Probe;
  readonly #bound: { owner: object; domid: DomId; bell: BoundBell }[] = [];

  constructor(doorbell: Doorbell, probe: Probe) {
    this.#doorbell = doorbell;
    this.#probe = probe;
  }

  /** Answers what to signal. `issue` runs the stored operation; it logs its errors, and the sender of the signal does not hear of them. */
  assign(owner: object, domid: DomId, issue: () => void): NotifyHandle {
    const bell: BoundBell = this.#doorbell.bind(() => {
      this.#probe.at(HOP.hypervisorCall.point, '', bell.handle.bit, 0, domid);
      issue();
    });
    this.#bound.push({ owner, domid, bell });
    this.#probe.at(POINT['irqfd.take'], '', bell.handle.bit, 0, domid);
    return bell.handle;
  }

  /** An unknown event descriptor is no error, as on Linux. */
  deassign(owner: object, handle: NotifyHandle): void {
    this.#remove((each) => each.owner === owner && each.bell.handle.bit === handle.bit);
  }

  release(owner: object): void {
    this.#remove((each) => each.owner === owner);
  }

  *held(): Iterable<string> {
    for (const { domid, bell } of this.#bound) yield `domain ${domid} bit ${bell.handle.bit}`;
  }

  #remove(which: (each: { owner: object; bell: BoundBell }) => boolean): void {
    for (let at = this.#bound.length - 1; at >= 0; at--) {
      const each = this.#bound[at]!;
      if (!which(each)) continue;
      this.#bound.splice(at, 1);
      each.bell.release();
      this.#probe.at(POINT['irqfd.give'], '', each.bell.handle.bit, 0, each.domid);
    }
  }
}
