// The hypervisor's end of the path `direct`: writes the table of one domain. Entries are taken, changed and given back
// here; users read them at any time, so each is marked as changing before, and as another generation after.
// Leaves who may ask for entries to kernel-half.ts, reading to lib/events/direct.ts.
import { latin1Bytes } from '../../../lib/core/bytes.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import type { EvtchnPort } from '../../../lib/core/ids.js';
import type { NotifyHandle } from '../../../lib/core/notify.js';
import {
  DIRECT_BELL_BYTES,
  DIRECT_CALL,
  DIRECT_CALLS,
  DIRECT_KICK,
  DIRECT_KICKS,
  DIRECT_MAGIC,
  DIRECT_TABLE,
} from '../../../lib/layout/ours/direct.js';

export interface DirectEntry {
  readonly index: number;
  release(): void;
}

export class DirectTable {
  #bytes: Uint8Array;
  #words: Uint32Array;
  readonly #kicks = new Set<number>();
  readonly #calls = new Set<number>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, DIRECT_TABLE.size >>> 2);
    this.#words[0] = DIRECT_MAGIC;
  }

  /** The mapping goes away: every entry ends, later changes go nowhere. */
  drop(): void {
    for (const index of this.#kicks) this.#end(kickAt(index));
    for (const index of this.#calls) this.#end(callAt(index));
    this.#bytes = new Uint8Array(DIRECT_TABLE.size);
    this.#words = new Uint32Array(this.#bytes.buffer);
  }

  /** Who is interrupted; undefined while no process runs the guest. */
  setUpcall(handle: NotifyHandle | undefined): void {
    const at = DIRECT_TABLE.offset.upcall_seq;
    this.#change(at, handle !== undefined, () => {
      this.#words[DIRECT_TABLE.offset.upcall_bit >>> 2] = handle!.bit;
      this.#name(DIRECT_TABLE.offset.upcall_bell, handle!.bell);
    });
  }

  /** Throws ENOSPC when all are taken, EINVAL for a doorbell name that does not fit. */
  addKick(addr: number, size: number, vq: number, handle: NotifyHandle): DirectEntry {
    if (handle.bell.length >= DIRECT_BELL_BYTES) throw new ErrnoError('EINVAL', 'doorbell name too long');
    const index = this.#take(this.#kicks, DIRECT_KICKS);
    const at = kickAt(index);
    this.#change(at, true, () => {
      this.#set(at + DIRECT_KICK.offset.addr_low, addr >>> 0);
      this.#set(at + DIRECT_KICK.offset.addr_high, Math.floor(addr / 2 ** 32));
      this.#set(at + DIRECT_KICK.offset.size, size);
      this.#set(at + DIRECT_KICK.offset.vq, vq);
      this.#set(at + DIRECT_KICK.offset.bit, handle.bit);
      this.#name(at + DIRECT_KICK.offset.bell, handle.bell);
    });
    return { index, release: this.#once(this.#kicks, index, at) };
  }

  addCall(port: EvtchnPort, vcpu: number): DirectEntry & { move(vcpu: number): void } {
    const index = this.#take(this.#calls, DIRECT_CALLS);
    const at = callAt(index);
    this.#change(at, true, () => {
      this.#set(at + DIRECT_CALL.offset.port, port);
      this.#set(at + DIRECT_CALL.offset.vcpu, vcpu);
    });
    return {
      index,
      // The same generation: handles stay good. A sender that read the old vCPU interrupts that one, as a send before would.
      move: (to) => this.#set(at + DIRECT_CALL.offset.vcpu, to),
      release: this.#once(this.#calls, index, at),
    };
  }

  /** Ends an entry the first time; a second call may come when the index is in use again. */
  #once(taken: Set<number>, index: number, at: number): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      taken.delete(index);
      this.#end(at);
    };
  }

  #take(taken: Set<number>, count: number): number {
    for (let index = 0; index < count; index++) {
      if (taken.has(index)) continue;
      taken.add(index);
      return index;
    }
    throw new ErrnoError('ENOSPC', `all ${count} direct entries are taken`);
  }

  /** A new generation, or, with `stays` false, no valid one. Even numbers that are not 0 are valid. */
  #change(at: number, stays: boolean, write: () => void): void {
    const seq = Atomics.load(this.#words, at >>> 2) | 1;
    Atomics.store(this.#words, at >>> 2, seq);
    if (!stays) return;
    write();
    Atomics.store(this.#words, at >>> 2, (seq + 1) >>> 0 === 0 ? 2 : seq + 1);
  }

  #end(at: number): void {
    this.#change(at, false, () => {});
  }

  #set(at: number, value: number): void {
    Atomics.store(this.#words, at >>> 2, value);
  }

  #name(at: number, bell: string): void {
    this.#bytes.fill(0, at, at + DIRECT_BELL_BYTES);
    this.#bytes.set(latin1Bytes(bell), at);
  }
}

const kickAt = (index: number): number => DIRECT_TABLE.offset.kicks + index * DIRECT_KICK.size;
const callAt = (index: number): number => DIRECT_TABLE.offset.calls + index * DIRECT_CALL.size;
