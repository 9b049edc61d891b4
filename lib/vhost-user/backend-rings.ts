// The rings of one vhost-user connection at the device server's side: what the front-end set up, whether each runs, and the
// descriptors that belong to it. Keeps the device's view of a ring what its state says. Leaves messages to
// backend-session.ts.
import { ProtocolError } from '../core/errors.js';
import { type Machine, machine } from '../core/machine.js';
import type { Notifier } from '../core/notify.js';
import { VIRTQ_SIZE_MAX } from '../layout/virtio-ring.js';
import type { VhostUserDevice } from './device.js';
import { type MappedRegion, userToGuest } from './memory-map.js';
import { RING_MOVES, RING_RUNNING, type RingEvent, type RingState } from './ring-state.js';

/** As the front-end gave them, translated again whenever the memory changes. */
export interface RingAddresses {
  readonly desc: bigint;
  readonly avail: bigint;
  readonly used: bigint;
}

interface End<H> {
  readonly handle: H;
  readonly notifier: Notifier;
}
export type RingEnd = 'call' | 'error';

interface Ring<H> {
  readonly machine: Machine<RingState, RingEvent>;
  size: number;
  base: number;
  user: RingAddresses | undefined;
  kick: H | undefined;
  readonly ends: { [E in RingEnd]: End<H> | undefined };
  /** The device was told to run it. */
  active: boolean;
  /** Its driver broke it, and it was not started since. */
  broken: boolean;
}

export class BackendRings<H> {
  readonly #device: VhostUserDevice<H>;
  readonly #rings: readonly Ring<H>[];
  #regions: readonly MappedRegion<H>[] = [];

  constructor(device: VhostUserDevice<H>) {
    this.#device = device;
    this.#rings = Array.from({ length: device.queueCount }, () => ({
      machine: machine(RING_MOVES, 'stopped-disabled'),
      size: 0,
      base: 0,
      user: undefined,
      kick: undefined,
      ends: { call: undefined, error: undefined },
      active: false,
      broken: false,
    }));
  }

  /** Throws ProtocolError when there is no such ring, as do all that take an index. */
  state(index: number): RingState {
    return this.#ring(index).machine.state;
  }

  /** Any of them. */
  get started(): boolean {
    return this.#rings.some(({ machine }) => machine.state.startsWith('started'));
  }

  /** Any of them, by its driver. */
  get broken(): boolean {
    return this.#rings.some(({ broken }) => broken);
  }

  /** Handles that belong to rings. */
  *handles(): Iterable<H> {
    for (const { kick, ends } of this.#rings)
      for (const handle of [kick, ends.call?.handle, ends.error?.handle]) if (handle !== undefined) yield handle;
  }

  /** `packed`: which layout was negotiated. */
  setSize(index: number, size: number, packed: boolean): void {
    const ring = this.#stopped(index, 'SET_VRING_NUM');
    const max = Math.min(this.#device.queueSizeMax, VIRTQ_SIZE_MAX);
    if (size === 0 || size > max || (!packed && (size & (size - 1)) !== 0))
      throw new ProtocolError('ring', `ring of ${size} entries`);
    ring.size = size;
  }

  /** Of a packed ring two positions (QueueLayout). */
  setBase(index: number, base: number, packed: boolean): void {
    if (base > 0xffff && !packed) throw new ProtocolError('ring', `ring base ${base}`);
    this.#stopped(index, 'SET_VRING_BASE').base = base;
  }

  /** Of a running ring too: QEMU says them again when it switches dirty logging. */
  setAddresses(index: number, user: RingAddresses): void {
    const ring = this.#ring(index);
    for (const address of [user.desc, user.avail, user.used]) userToGuest(this.#regions, address);
    this.#pause(index);
    ring.user = user;
    this.#sync(index);
  }

  /** Starts the ring. Undefined: it is to be polled. */
  setKick(index: number, kick: H | undefined): void {
    const ring = this.#ring(index);
    if (ring.size === 0 || ring.user === undefined) throw new ProtocolError('ring', `ring ${index} is not set up`);
    if (kick !== undefined) this.#device.check('kick', kick);
    this.#pause(index);
    this.#takeKick(ring, kick);
    this.move(index, 'kick');
  }

  /**
   * Undefined: the front-end is not told. A new call of a started ring is signalled once: what the ring used before the call
   * came was told to no call, or to one that its receiver has put away.
   */
  setEnd(index: number, which: RingEnd, handle: H | undefined): void {
    const ring = this.#ring(index);
    const end = handle === undefined ? undefined : { handle, notifier: this.#device.openNotifier(handle) };
    this.#takeEnd(ring, which, end);
    if (which === 'call' && ring.machine.state.startsWith('started')) end?.notifier.signal();
  }

  /** Stops the ring, which gives its handles back; answers the next entry of the available ring to look at. */
  stop(index: number): number {
    const ring = this.#ring(index);
    this.move(index, 'stop');
    this.#drop(ring);
    return ring.base;
  }

  move(index: number, event: RingEvent): void {
    this.#ring(index).machine.fire(event);
    this.#sync(index);
  }

  moveAll(event: RingEvent): void {
    for (let index = 0; index < this.#rings.length; index++) this.move(index, event);
  }

  /** As at the connection's begin, but for calls and errors, which are the front-end's and no part of the device. */
  reset(): void {
    for (const [index, ring] of this.#rings.entries()) {
      this.move(index, 'stop');
      this.#takeKick(ring, undefined);
      Object.assign(ring, { size: 0, base: 0, user: undefined });
    }
  }

  /** The connection ended. */
  close(): void {
    for (let index = 0; index < this.#rings.length; index++) this.stop(index);
  }

  /**
   * Runs `change` while no ring runs, then those that ran again, in the memory that `regions` gives once it is done. Throws
   * the first thing that failed, after everything else was done; a ring that cannot be started again has stopped.
   */
  whilePaused(change: () => void, regions: () => readonly MappedRegion<H>[]): void {
    for (let index = 0; index < this.#rings.length; index++) this.#pause(index);
    let failure: { readonly error: unknown } | undefined;
    const attempt = (action: () => void): void => {
      try {
        action();
      } catch (error) {
        failure ??= { error };
      }
    };
    attempt(change);
    this.#regions = regions();
    for (let index = 0; index < this.#rings.length; index++) attempt(() => this.#sync(index));
    if (failure !== undefined) throw failure.error;
  }

  #ring(index: number): Ring<H> {
    const ring = this.#rings[index];
    if (ring === undefined) throw new ProtocolError('ring', `ring ${index} of ${this.#rings.length}`);
    return ring;
  }

  #stopped(index: number, what: string): Ring<H> {
    const ring = this.#ring(index);
    if (ring.machine.state.startsWith('started')) throw new ProtocolError('ring', `${what} on started ring ${index}`);
    return ring;
  }

  /** Makes the device's view of a ring what its state says. */
  #sync(index: number): void {
    const ring = this.#rings[index]!;
    if (ring.machine.state !== RING_RUNNING) {
      this.#pause(index);
      return;
    }
    if (ring.active) return;
    ring.broken = false;
    try {
      const { desc, avail, used } = ring.user!;
      this.#device.startRing(index, {
        size: ring.size,
        desc: userToGuest(this.#regions, desc),
        avail: userToGuest(this.#regions, avail),
        used: userToGuest(this.#regions, used),
        base: ring.base,
        kick: ring.kick,
        call: () => ring.ends.call?.notifier.signal(),
        error: () => {
          ring.broken = true;
          ring.ends.error?.notifier.signal();
        },
      });
    } catch (error) {
      ring.machine.fire('stop');
      throw error;
    }
    ring.active = true;
  }

  /** The device leaves the ring alone until the next #sync. */
  #pause(index: number): void {
    const ring = this.#rings[index]!;
    if (!ring.active) return;
    ring.active = false;
    ring.base = this.#device.stopRing(index);
  }

  #takeKick(ring: Ring<H>, handle: H | undefined): void {
    const old = ring.kick;
    ring.kick = handle;
    if (old !== undefined) this.#device.release(old);
  }

  #takeEnd(ring: Ring<H>, which: RingEnd, end: End<H> | undefined): void {
    const old = ring.ends[which];
    ring.ends[which] = end;
    if (old === undefined) return;
    old.notifier.close();
    this.#device.release(old.handle);
  }

  #drop(ring: Ring<H>): void {
    this.#takeKick(ring, undefined);
    this.#takeEnd(ring, 'call', undefined);
    this.#takeEnd(ring, 'error', undefined);
  }
}
