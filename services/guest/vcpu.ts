// The guest's one vCPU: the one way in for every piece of guest code, and the exits during which nothing comes in.
//
// On hardware nothing runs on a vCPU that has left the guest. Here guest code is asynchronous functions, so the same must be
// arranged: whatever comes from outside (store replies and events, timers, doorbells) enters by run() or enter(), one at a
// time, each with the microtasks that follow it; while an exit or a hypercall is outstanding nothing enters. When it is
// completed, a wanted upcall goes first, as an interrupt injected at entry, and runs to its end before the interrupted code.
// Upcall handlers therefore await nothing but exits and hypercalls.
// Leaves event-channel words to events.ts and what is mapped at an address to the hypervisor.

import { errnoName } from '../../lib/core/errno.js';
import { assert, ErrnoError, PeerDiedError } from '../../lib/core/errors.js';
import type { EvtchnPort } from '../../lib/core/ids.js';
import type { Probe } from '../../lib/core/probe.js';
import { EXIT_DIR, EXIT_REASON, VCPU_EXIT, VCPU_STATE } from '../../lib/layout/ours/vcpu-exit.js';
import { POINT } from '../../lib/trace/points.js';

export interface VcpuParts {
  /** The exit page, shared with the hypervisor. */
  readonly page: Uint8Array;
  /** Rings the hypervisor's exit bit. */
  readonly signalExit: () => void;
  /** A write that this vCPU is allowed to match by itself, as KVM's ioeventfds are: true when it did, and needs no exit. */
  readonly direct?: (addr: number, size: number, value: number) => boolean;
  /** Runs its argument after the microtasks of now: setImmediate. */
  readonly defer: (action: () => void) => void;
  readonly probe: Probe;
}

interface ExitRequest {
  readonly reason: number;
  readonly addr?: number;
  readonly data?: bigint;
  readonly size?: number;
  readonly dir?: number;
}
interface ExitAnswer {
  readonly data: bigint;
  /** 0 or the positive error number. */
  readonly errno: number;
}

/** What the vCPU left for: an exit and who gets its answer, or a hypercall. */
type Outside = ((answer: ExitAnswer) => void) | 'hypercall';

/** Width of a register access in bytes. */
export type AccessSize = 1 | 2 | 4 | 8;

export class Vcpu {
  readonly #parts: VcpuParts;
  readonly #words: Uint32Array;
  /** Threads of guest code that may go on, in the order they became ready. */
  readonly #ready: (() => void)[] = [];
  /** Continuations of completed exits, innermost last: interrupted code lies below its interrupt. */
  readonly #returns: (() => void)[] = [];
  #outstanding: Outside | undefined;
  #count = 0;
  #scheduled = false;
  #upcall: (() => Promise<void>) | undefined;
  #upcallWanted = false;
  #inUpcall = false;
  #stopped = false;

  constructor(parts: VcpuParts) {
    this.#parts = parts;
    this.#words = new Uint32Array(parts.page.buffer, parts.page.byteOffset, VCPU_EXIT.size >>> 2);
  }

  /** Has left the guest and not come back. */
  get outside(): boolean {
    return this.#outstanding !== undefined;
  }

  /** Guest code that may run when the vCPU gets to it. */
  run(action: () => void): void {
    if (this.#stopped) return;
    this.#ready.push(action);
    this.#kick();
  }

  /**
   * The outcome of something outside, delivered when the vCPU gets to it. An answer that will never come, because its
   * server ended, is waited for for ever, as Linux waits for xenstored: this process ends on that loss by itself.
   */
  enter<T>(outside: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      outside.then(
        (value) => this.run(() => resolve(value)),
        (error) => {
          if (!(error instanceof PeerDiedError)) this.run(() => reject(error));
        },
      );
    });
  }

  /** What runs at an upcall; it must end by itself, awaiting exits and hypercalls only. */
  onUpcall(handler: () => Promise<void>): void {
    this.#upcall = handler;
  }

  /** The upcall doorbell rang. */
  wantUpcall(): void {
    if (this.#stopped) return;
    this.#upcallWanted = true;
    this.#kick();
  }

  async read(addr: number, size: AccessSize): Promise<number> {
    const { data } = await this.#exit({ reason: EXIT_REASON.MMIO, addr, size, dir: EXIT_DIR.READ });
    // Above the width the answer is whatever the device left there.
    return Number(BigInt.asUintN(size * 8, data));
  }

  async write(addr: number, size: AccessSize, value: number): Promise<void> {
    if (!this.#stopped && this.#parts.direct?.(addr, size, value)) return;
    await this.#exit({ reason: EXIT_REASON.MMIO, addr, size, dir: EXIT_DIR.WRITE, data: BigInt(value) });
  }

  /** EVTCHNOP_send as the hypercall that it is. Throws what Xen answers. */
  async send(port: EvtchnPort): Promise<void> {
    check(await this.#exit({ reason: EXIT_REASON.EVTCHN_SEND, data: BigInt(port) }), 'EVTCHNOP_send');
  }

  /** EVTCHNOP_unmask. */
  async unmask(port: EvtchnPort): Promise<void> {
    check(await this.#exit({ reason: EXIT_REASON.EVTCHN_UNMASK, data: BigInt(port) }), 'EVTCHNOP_unmask');
  }

  /** A hypercall that travels as a message: the vCPU is outside until it is answered. */
  async hypercall<T>(call: () => Promise<T>): Promise<T> {
    this.#leave('hypercall');
    return new Promise((resolve, reject) => {
      const back = (settle: () => void): void => {
        this.#outstanding = undefined;
        this.#returns.push(settle);
        this.#kick();
      };
      call().then(
        (value) => back(() => resolve(value)),
        (error) => {
          if (!(error instanceof PeerDiedError)) back(() => reject(error));
        },
      );
    });
  }

  /** The entry doorbell rang: takes the answer, if there is one. */
  entered(): void {
    const resolve = this.#outstanding;
    if (this.#stopped || typeof resolve !== 'function') return;
    if (Atomics.load(this.#words, VCPU_EXIT.offset.state >>> 2) !== VCPU_STATE.ENTRY) return;
    const { data, rc, addr } = VCPU_EXIT.decode(this.#parts.page);
    Atomics.store(this.#words, VCPU_EXIT.offset.state >>> 2, VCPU_STATE.IN_GUEST);
    this.#parts.probe.at(POINT['exit.enter'], '', Number(addr), Number(BigInt.asUintN(32, data)));
    this.#outstanding = undefined;
    this.#returns.push(() => resolve({ data, errno: -(rc | 0) }));
    this.#kick();
  }

  /** Nothing runs any more: the domain is gone. */
  stop(): void {
    this.#stopped = true;
    this.#ready.length = 0;
    this.#returns.length = 0;
  }

  #leave(how: Outside): void {
    assert(this.#outstanding === undefined, 'a vCPU leaves the guest once at a time');
    this.#outstanding = how;
  }

  #exit(request: ExitRequest): Promise<ExitAnswer> {
    if (this.#stopped) return new Promise(() => {});
    return new Promise((resolve) => {
      this.#leave(resolve);
      const { reason, addr = 0, data = 0n, size = 0, dir = 0 } = request;
      this.#count = (this.#count + 1) >>> 0;
      const fields = { reason, addr: BigInt(addr), data, size, dir, rc: 0, count: this.#count };
      VCPU_EXIT.encode({ ...fields, state: VCPU_STATE.IN_GUEST }, this.#parts.page);
      this.#parts.probe.at(POINT['exit.leave'], '', addr, Number(BigInt.asUintN(32, data)));
      // The state last: from here on the page is the hypervisor's.
      Atomics.store(this.#words, VCPU_EXIT.offset.state >>> 2, VCPU_STATE.EXIT);
      this.#parts.signalExit();
    });
  }

  /** Goes on now if nothing of ours is on the stack or in the microtask queue, else right after. */
  #kick(): void {
    if (!this.#scheduled && this.#outstanding === undefined) this.#turn();
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#outstanding !== undefined || this.#stopped) return;
    const next = this.#next();
    if (next === undefined) return;
    // Anything that becomes runnable meanwhile waits until the microtasks of this turn are done.
    this.#scheduled = true;
    this.#parts.defer(() => this.#turn());
    next();
  }

  #next(): (() => void) | undefined {
    if (this.#upcallWanted && !this.#inUpcall && this.#upcall !== undefined) return () => this.#runUpcall();
    const back = this.#returns.pop();
    if (back !== undefined) return back;
    return this.#inUpcall ? undefined : this.#ready.shift();
  }

  #runUpcall(): void {
    this.#upcallWanted = false;
    this.#inUpcall = true;
    void this.#upcall!().finally(() => {
      this.#inUpcall = false;
      this.#kick();
    });
  }
}

function check(answer: ExitAnswer, what: string): void {
  if (answer.errno !== 0) throw new ErrnoError(errnoName(answer.errno), `${what}: ${errnoName(answer.errno)}`);
}
