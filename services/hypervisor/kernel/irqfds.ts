// privcmd IRQFD (drivers/xen/privcmd.c): a signal makes the dom0 kernel issue a stored dm_op. Leaves what the operation is to
// dm-op-bytes.ts, running it to kernel-half.ts.

import { ErrnoError } from '../../../lib/core/errors.js';
import type { DomId } from '../../../lib/core/ids.js';
import type { BoundBell, Doorbell, NotifyHandle } from '../../../lib/core/notify.js';
import type { Probe } from '../../../lib/core/probe.js';
import { HOP } from '../../../lib/trace/hops.js';
import { POINT } from '../../../lib/trace/points.js';

/** An eventfd of a program. */
export interface EventFd {
  readonly identity: string;
  listen(onSignal: () => void): void;
  close(): void;
}

/** A name for an eventfd where others have doorbells; no doorbell begins so. */
export const eventFdHandle = ({ identity }: { readonly identity: string }): NotifyHandle => ({
  bell: `eventfd:${identity}`,
  bit: 0,
});

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
    return this.#assign(owner, domid, issue, (ring) => this.#doorbell.bind(ring));
  }

  /** The same for a program's eventfd, which becomes ours unless this throws: EBUSY when it is assigned already, by whichever process. */
  assignEventFd(owner: object, domid: DomId, issue: () => void, fd: EventFd): void {
    const handle = eventFdHandle(fd);
    if (this.#bound.some(({ bell }) => bell.handle.bell === handle.bell))
      throw new ErrnoError('EBUSY', 'that event descriptor is assigned already');
    this.#assign(owner, domid, issue, (ring) => {
      fd.listen(ring);
      return { handle, release: () => fd.close() };
    });
  }

  #assign(owner: object, domid: DomId, issue: () => void, bind: (ring: () => void) => BoundBell): NotifyHandle {
    const bell: BoundBell = bind(() => {
      this.#probe.at(HOP.hypervisorCall.point, '', bell.handle.bit, 0, domid);
      issue();
    });
    this.#bound.push({ owner, domid, bell });
    this.#probe.at(POINT['irqfd.take'], '', bell.handle.bit, 0, domid);
    return bell.handle;
  }

  /** An unknown event descriptor is no error, as on Linux. */
  deassign(owner: object, handle: NotifyHandle): void {
    this.#remove(
      (each) => each.owner === owner && each.bell.handle.bell === handle.bell && each.bell.handle.bit === handle.bit,
    );
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
