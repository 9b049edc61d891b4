// The path `direct` from the two ends that use it: a vCPU that matches its own kicks, a device server that delivers its own
// calls, both on the table that the hypervisor publishes (lib/layout/ours/direct.ts). Neither can change the table.
// Leaves opening files and doorbells to lib/node.
//
// A sender that dies inside one of these must not leave an event that no receiver is woken for.
// A call: the sender's steps are pending, mask, selector, upcall (two-level.ts), then the ring (bell.ts). After any of them a
// later send stops at the first, finding the event pending already; so the repair cannot be a send. The process that
// hears that a device server has died (the front-end, by its connection) takes the call's entry back, and the hypervisor
// then does the remaining steps whatever those before had found, and insists on the ring (TwoLevel.redeliver). The same
// happens when the front-end dies, and at every orderly end: a spurious upcall is all that it costs.
// A kick: it has no steps but the ring. The hypervisor hears of a guest's death and insists on every kick that its vCPU
// matched by itself (Ioeventfds.guestEnded); a device server that is kicked for nothing looks at a ring and finds nothing.
// A sender that lives and has just seen an entry that is taken back meanwhile delivers once more, to a port that may be
// closed: one spurious event, which the port's next user finds or its next unmasking.
// What passes by the hypervisor it cannot act on: a vCPU that waits in SCHEDOP_poll is not woken, and a guest that goes over
// to the FIFO ABI, which a kernel does before it has devices, ends its entries.

import { latin1Text } from '../core/bytes.js';
import type { NotifyHandle } from '../core/notify.js';
import { SHARED_INFO, XEN_LEGACY_MAX_VCPUS } from '../layout/evtchn.js';
import { DIRECT_CALL, DIRECT_CALLS, DIRECT_KICK, DIRECT_KICKS, DIRECT_TABLE } from '../layout/ours/direct.js';
import { TwoLevelWords } from './two-level.js';

const KICKS = DIRECT_TABLE.offset.kicks >>> 2;
const CALLS = DIRECT_TABLE.offset.calls >>> 2;
const kickWord = (field: keyof typeof DIRECT_KICK.offset): number => DIRECT_KICK.offset[field] >>> 2;
const callWord = (field: keyof typeof DIRECT_CALL.offset): number => DIRECT_CALL.offset[field] >>> 2;

const valid = (seq: number): boolean => seq !== 0 && (seq & 1) === 0;

function bellName(field: Uint8Array): string {
  const end = field.indexOf(0);
  return latin1Text(end < 0 ? field : field.subarray(0, end));
}

/** The kicks of one guest, as its vCPU matches them. */
export class DirectKicks {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #ring: (handle: NotifyHandle) => void;
  /** Handle of each entry, made anew when the entry's sequence changed. */
  readonly #handles: ({ seq: number; handle: NotifyHandle } | undefined)[] = [];

  readonly #forget: (handle: NotifyHandle) => void;

  /** `ring` signals a handle; it gets the same object while the entry stays the same, and `forget` gets it afterwards. */
  constructor(
    table: Uint8Array,
    ring: (handle: NotifyHandle) => void,
    forget: (handle: NotifyHandle) => void = () => {},
  ) {
    this.#bytes = table;
    this.#words = new Uint32Array(table.buffer, table.byteOffset, DIRECT_TABLE.size >>> 2);
    this.#ring = ring;
    this.#forget = forget;
  }

  /** A write of a register: rings the kick that matches it, and tells whether one did. Nothing is rung on a torn entry. */
  write(addr: number, size: number, data: number): boolean {
    const low = addr >>> 0;
    const high = Math.floor(addr / 2 ** 32);
    for (let index = 0; index < DIRECT_KICKS; index++) {
      const at = KICKS + index * (DIRECT_KICK.size >>> 2);
      const seq = Atomics.load(this.#words, at);
      if (!valid(seq) || this.#words[at + kickWord('addr_low')] !== low) continue;
      if (this.#words[at + kickWord('addr_high')] !== high || this.#words[at + kickWord('size')] !== size) continue;
      if (this.#words[at + kickWord('vq')] !== (data & 0xffff)) continue;
      const handle = this.#handle(index, seq, at);
      if (Atomics.load(this.#words, at) !== seq) continue;
      this.#ring(handle);
      return true;
    }
    return false;
  }

  #handle(index: number, seq: number, at: number): NotifyHandle {
    const known = this.#handles[index];
    if (known?.seq === seq) return known.handle;
    if (known !== undefined) this.#forget(known.handle);
    const from = DIRECT_TABLE.offset.kicks + index * DIRECT_KICK.size + DIRECT_KICK.offset.bell;
    const bell = bellName(this.#bytes.subarray(from, from + DIRECT_KICK.size - DIRECT_KICK.offset.bell));
    const handle = { bell, bit: this.#words[at + kickWord('bit')]! };
    this.#handles[index] = { seq, handle };
    return handle;
  }
}

/** The calls of one guest, as the processes that hold their handles send them. */
export class DirectCalls {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #events: TwoLevelWords;
  readonly #ring: (handle: NotifyHandle) => void;
  #upcall: { seq: number; handle: NotifyHandle } | undefined;

  constructor(table: Uint8Array, sharedInfo: Uint8Array, ring: (handle: NotifyHandle) => void) {
    this.#bytes = table;
    this.#words = new Uint32Array(table.buffer, table.byteOffset, DIRECT_TABLE.size >>> 2);
    this.#events = new TwoLevelWords(sharedInfo);
    this.#ring = ring;
  }

  /** The generation of an entry now; a handle is opened for one generation. 0 while it stands for nothing. */
  generation(index: number): number {
    if (index < 0 || index >= DIRECT_CALLS) return 0;
    const seq = Atomics.load(this.#words, CALLS + index * (DIRECT_CALL.size >>> 2));
    return valid(seq) ? seq : 0;
  }

  /** Delivers the event, unless the entry is of another generation by now. One spurious event after its end may happen. */
  send(index: number, generation: number): void {
    const at = CALLS + index * (DIRECT_CALL.size >>> 2);
    if (generation === 0 || Atomics.load(this.#words, at) !== generation) return;
    const port = this.#words[at + callWord('port')]!;
    const vcpu = this.#words[at + callWord('vcpu')]!;
    if (Atomics.load(this.#words, at) !== generation) return;
    if (
      port >= (SHARED_INFO.offset.evtchn_mask - SHARED_INFO.offset.evtchn_pending) * 8 ||
      vcpu >= XEN_LEGACY_MAX_VCPUS
    )
      return;
    if (this.#events.deliver(port, vcpu)) this.#ringUpcall();
  }

  /** Interrupts the guest's process. While none runs the guest the ring goes nowhere; the next one looks when it attaches. */
  #ringUpcall(): void {
    const seq = Atomics.load(this.#words, DIRECT_TABLE.offset.upcall_seq >>> 2);
    if (!valid(seq)) return;
    if (this.#upcall?.seq !== seq) {
      const from = DIRECT_TABLE.offset.upcall_bell;
      const bell = bellName(this.#bytes.subarray(from, DIRECT_TABLE.offset.kicks));
      this.#upcall = { seq, handle: { bell, bit: this.#words[DIRECT_TABLE.offset.upcall_bit >>> 2]! } };
      if (Atomics.load(this.#words, DIRECT_TABLE.offset.upcall_seq >>> 2) !== seq) return;
    }
    this.#ring(this.#upcall.handle);
  }
}
