// The synchronous ioreq page as a device model works on it: take a slot that is READY, answer it, publish the answer.
// A slot is claimed by READY -> INPROCESS before its fields are read and given back by IORESP_READY after the data is
// stored, so that Xen never sees a state go down. Leaves what an address means to the guest's devices.
import {
  IOREQ,
  IOREQ_DATA_IS_PTR,
  IOREQ_DIR_READ,
  IOREQ_STATE_MASK,
  IOREQ_TYPE_COPY,
  IOREQS_PER_PAGE,
  STATE_IOREQ_INPROCESS,
  STATE_IOREQ_READY,
  STATE_IORESP_READY,
} from '../../lib/layout/ioreq.js';

/** A request of a vCPU that waits for its answer. */
export interface IoRequest {
  readonly vcpu: number;
  /** Guest-physical. */
  readonly addr: number;
  readonly size: number;
  readonly read: boolean;
  /** Low 32 bits of what is written. */
  readonly value: number;
  /** A plain register access; anything else is answered with all ones and does nothing. */
  readonly plain: boolean;
}

const ALL_ONES = 0xffffffffffffffffn;

export class IoreqSlots {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly vcpuCount: number;

  /** `bytes`: the page. Throws when it holds fewer slots than there are vCPUs. */
  constructor(bytes: Uint8Array, vcpuCount: number) {
    if (bytes.length < vcpuCount * IOREQ.size || vcpuCount > IOREQS_PER_PAGE)
      throw new RangeError(`${vcpuCount} vCPUs on a page of ${bytes.length} bytes`);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.vcpuCount = vcpuCount;
  }

  /** The port, in the guest's port space, that this vCPU's requests are signalled on; valid once the server is enabled. */
  port(vcpu: number): number {
    return this.#view.getUint32(vcpu * IOREQ.size + IOREQ.offset.vp_eport, true);
  }

  /**
   * Claims the vCPU's request; undefined when there is none to serve (an IOEVENTFD may have taken it). `again`: also one
   * that an emulator before us had claimed and did not live to answer; its state is not lowered.
   */
  take(vcpu: number, again = false): IoRequest | undefined {
    const at = vcpu * IOREQ.size;
    const flagsAt = at + IOREQ.offset.flags;
    const flags = Atomics.load(this.#bytes, flagsAt);
    const state = flags & IOREQ_STATE_MASK;
    if (state !== STATE_IOREQ_READY && !(again && state === STATE_IOREQ_INPROCESS)) return undefined;
    const claimed = (flags & ~IOREQ_STATE_MASK) | STATE_IOREQ_INPROCESS;
    if (Atomics.compareExchange(this.#bytes, flagsAt, flags, claimed) !== flags) return undefined;
    const request = IOREQ.decode(this.#bytes, at);
    const plain =
      request.type === IOREQ_TYPE_COPY &&
      request.count === 1 &&
      (flags & IOREQ_DATA_IS_PTR) === 0 &&
      request.addr <= BigInt(Number.MAX_SAFE_INTEGER);
    return {
      vcpu,
      addr: plain ? Number(request.addr) : 0,
      size: request.size,
      read: (flags & IOREQ_DIR_READ) !== 0,
      value: Number(request.data & 0xffffffffn),
      plain,
    };
  }

  /** An answer stands in the slot that Xen has not taken. */
  answered(vcpu: number): boolean {
    const flags = Atomics.load(this.#bytes, vcpu * IOREQ.size + IOREQ.offset.flags);
    return (flags & IOREQ_STATE_MASK) === STATE_IORESP_READY;
  }

  /** Answers a claimed request; `value` is what a read gives, undefined all ones. */
  answer(request: IoRequest, value: number | undefined): void {
    const at = request.vcpu * IOREQ.size;
    const flagsAt = at + IOREQ.offset.flags;
    if (request.read)
      this.#view.setBigUint64(at + IOREQ.offset.data, value === undefined ? ALL_ONES : BigInt(value), true);
    const flags = Atomics.load(this.#bytes, flagsAt);
    Atomics.store(this.#bytes, flagsAt, (flags & ~IOREQ_STATE_MASK) | STATE_IORESP_READY);
  }
}
