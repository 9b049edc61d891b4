// Doorbells (docs/doorbells.md): one page and one FIFO a process. Ringing is setting a bit; a wake-up is a byte in the FIFO, sent
// only when the receiver sleeps.
//
// Why no wake-up is lost. The sender does, in this order: (S1) set the bit in its pending word, (S2) set that word's bit
// in the summary, (S3) exchange `sleeping` with 0, and if it was the one who did, (S4) write a byte. The receiver, when
// it wants to block: (R1) store 1 into `sleeping`, (R2) load the summary, and block only if that was 0. All are
// sequentially consistent atomics, so they have one total order: either S2 comes before R2, and the receiver sees the
// summary and does not block; or R2 comes before S2, so R1 comes before S3, and the sender finds `sleeping` at 1 (or
// another sender has found it, and owes the byte). When it looks, the receiver (L1) exchanges the summary with 0, then
// (L2) each named word with 0: a bit set after L2 has its S2 after L1, so it is found by the next look. `sleeping`
// changes from 1 to 0 once a sleep, so there is one byte a sleep at most. A sender that is killed between S1 and S3 leaves
// a bit without a wake-up, which the next ring of any process repairs. One that is killed between S3 and S4 leaves a sleeper
// that seems awake, whom no ring wakes: a receiver that learns of a peer's death looks by itself (the closing connection
// wakes it, rescan() finds the bits), and where the receiver has no connection to the sender, the process that
// learns of the death in its place insists: it rings, and writes the byte without looking at `sleeping`. A byte too many is
// a look too many.
import { closeSync, constants, existsSync, openSync, unlinkSync } from 'node:fs';
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import { join } from 'node:path';
import { ErrnoError } from '../../core/errors.js';
import { BELL_BITS } from '../../core/limits.js';
import type { BellNotifier, BoundBell, Doorbell, NotifyHandle } from '../../core/notify.js';
import { NO_PROBE, type Probe } from '../../core/probe.js';
import type { Mapping } from '../../core/shared.js';
import { BELL_PAGE_SIZE, BELL_PENDING_WORDS, BELL_WORD } from '../../layout/ours/bell.js';
import { POINT } from '../../trace/points.js';
import { makeFifo, writeNow } from '../files/libc.js';
import { createPath, mapPath } from '../files/shm.js';
import { isDirect, openDirect } from './direct.js';
import type { Poller, PollSource } from './poller.js';

const { O_NONBLOCK, O_RDWR, O_WRONLY } = constants;
const WAKE_BYTE = Uint8Array.of(1);

/** CLOCK_MONOTONIC in microseconds modulo 2^32. */
const monotonicUs = (): number => Number((process.hrtime.bigint() / 1000n) & 0xffff_ffffn);

const BELL_NAME = /^[a-z0-9][a-z0-9.-]{0,63}$/;

/** The doorbell of a process: each of its lives has one of its own. */
export function bellName({ name, incarnation }: { name: string; incarnation: number }): string {
  return `${name}.${incarnation.toString(36)}`;
}

export function bellPaths(runDir: string, bell: string): { page: string; fifo: string; zmq: string } {
  if (!BELL_NAME.test(bell)) throw new ErrnoError('EINVAL', 'bad doorbell name');
  const base = join(runDir, 'bell', bell);
  return { page: `${base}.page`, fifo: `${base}.fifo`, zmq: `${base}.zmq` };
}

/** Bits of a doorbell and their actions: what a ring means, however it arrived. */
export class BellBits {
  readonly #actions: (((index: number) => void) | undefined)[] = new Array(BELL_BITS).fill(undefined);
  readonly #indexes = new Uint16Array(BELL_BITS);

  /** Takes `count` free consecutive bits; throws ENOSPC. */
  take(onRing: (index: number) => void, count: number): number {
    let run = 0;
    for (let bit = 0; bit < BELL_BITS; bit++) {
      run = this.#actions[bit] === undefined ? run + 1 : 0;
      if (run < count) continue;
      const first = bit - count + 1;
      for (let index = 0; index < count; index++) {
        this.#actions[first + index] = onRing;
        this.#indexes[first + index] = index;
      }
      return first;
    }
    throw new ErrnoError('ENOSPC', `all ${BELL_BITS} bits of the doorbell are taken`);
  }

  give(first: number, count: number): void {
    this.#actions.fill(undefined, first, first + count);
  }

  /** A ring on a bit that was given back is dropped: its sender had not heard of the release yet. */
  run(bit: number): void {
    this.#actions[bit]?.(this.#indexes[bit]!);
  }
}

/** The receiving end over shared memory. */
export class SharedBell implements PollSource {
  readonly name: string;
  /** Bytes that woke us: at most one for each time that we said we sleep. */
  wakeCount = 0;
  sleepCount = 0;
  readonly #paths: { page: string; fifo: string };
  readonly #mapping: Mapping;
  readonly #words: Uint32Array;
  readonly #socket: Socket;
  readonly #bits: BellBits;
  #open = true;

  constructor(runDir: string, name: string, bits: BellBits, poller: Poller, probe: Probe = NO_PROBE) {
    this.name = name;
    this.#bits = bits;
    this.#paths = bellPaths(runDir, name);
    this.#mapping = createPath(this.#paths.page, BELL_PAGE_SIZE);
    this.#words = new Uint32Array(this.#mapping.bytes.buffer, 0, BELL_PAGE_SIZE / 4);
    makeFifo(this.#paths.fifo, 0o600);
    // Opened for writing too, so that the last sender's end closing is no end of file.
    const fd = openSync(this.#paths.fifo, O_RDWR | O_NONBLOCK);
    const onread: OnReadOpts = {
      buffer: Buffer.alloc(4096),
      callback: (count) => {
        this.wakeCount += count;
        probe.at(POINT['bell.woken'], '', count);
        poller.wake(((monotonicUs() - Atomics.load(this.#words, BELL_WORD.RUNG_US)) >>> 0) / 1000);
        return true;
      },
    };
    // The types know `onread` for connections only; the constructor takes it for any descriptor.
    this.#socket = new Socket({ fd, readable: true, writable: false, onread } as SocketConstructorOpts);
    this.#socket.resume();
    poller.add(this);
  }

  poll(): boolean {
    if (!this.#open || Atomics.load(this.#words, BELL_WORD.SUMMARY) === 0) return false;
    let summary = Atomics.exchange(this.#words, BELL_WORD.SUMMARY, 0); // L1
    while (summary !== 0 && this.#open) {
      const word = 31 - Math.clz32(summary);
      summary &= ~(1 << word);
      this.#runWord(word);
    }
    return true;
  }

  #runWord(word: number): void {
    let pending = Atomics.exchange(this.#words, BELL_WORD.PENDING + word, 0); // L2
    while (pending !== 0) {
      const bit = 31 - Math.clz32(pending);
      pending &= ~(1 << bit);
      this.#bits.run(word * 32 + bit);
      if (!this.#open) return;
    }
  }

  sleep(): boolean {
    if (!this.#open) return true;
    this.sleepCount++;
    Atomics.store(this.#words, BELL_WORD.SLEEPING, 1); // R1
    if (Atomics.load(this.#words, BELL_WORD.SUMMARY) === 0) return true; // R2
    // Awake again without a byte, unless a sender was quicker: then its byte comes and only makes us look once more.
    Atomics.compareExchange(this.#words, BELL_WORD.SLEEPING, 1, 0);
    return false;
  }

  /** Looks at every word, also at those that the summary does not name: a sender may have died between the two. */
  rescan(): void {
    if (!this.#open) return;
    for (let word = 0; word < BELL_PENDING_WORDS; word++) this.#runWord(word);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#socket.destroy();
    this.#mapping.close();
    unlinkSync(this.#paths.page);
    unlinkSync(this.#paths.fifo);
  }
}

/** The sending end of one process's bell, shared by all handles to it. */
export class BellSender {
  readonly #mapping: Mapping;
  readonly #words: Uint32Array;
  readonly #fifo: number;
  readonly #probe: Probe;
  #open = true;

  constructor(runDir: string, bell: string, probe: Probe = NO_PROBE) {
    this.#probe = probe;
    const { page, fifo } = bellPaths(runDir, bell);
    if (!existsSync(page)) throw new ErrnoError('ENOENT', `no doorbell ${bell}`);
    this.#mapping = mapPath(page, BELL_PAGE_SIZE, true);
    this.#words = new Uint32Array(this.#mapping.bytes.buffer, 0, BELL_PAGE_SIZE / 4);
    try {
      // ENXIO when no process reads it: the receiver died. What stands in the page proves nothing: any process may have written it.
      this.#fifo = openSync(fifo, O_WRONLY | O_NONBLOCK);
    } catch (error) {
      this.#mapping.close();
      throw new ErrnoError('ENOENT', `no process listens to doorbell ${bell}`, { cause: error });
    }
  }

  ring(bit: number): void {
    if (!this.#open) return;
    const word = bit >>> 5;
    Atomics.or(this.#words, BELL_WORD.PENDING + word, 1 << (bit & 31)); // S1
    Atomics.or(this.#words, BELL_WORD.SUMMARY, 1 << word); // S2
    if (Atomics.load(this.#words, BELL_WORD.SLEEPING) === 0) return;
    if (Atomics.exchange(this.#words, BELL_WORD.SLEEPING, 0) === 0) return; // S3
    this.#wake(bit); // S4
  }

  /** A ring that writes the wake-up byte without looking at `sleeping`. */
  insist(bit: number): void {
    if (!this.#open) return;
    this.ring(bit);
    this.#wake(bit);
  }

  #wake(bit: number): void {
    this.#probe.at(POINT['bell.wake'], '', bit, 1);
    // What a wake-up costs, by the receiver's clock, which is the same one.
    Atomics.store(this.#words, BELL_WORD.RUNG_US, monotonicUs());
    // False: the receiver died, or its FIFO is full of unread bytes, so that it is about to wake.
    writeNow(this.#fifo, WAKE_BYTE);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#fifo);
    this.#mapping.close();
  }
}

/** A process's doorbell under `notify = doorbell`. */
export function sharedDoorbell(
  runDir: string,
  name: string,
  poller: Poller,
  probe: Probe = NO_PROBE,
): Doorbell & { bell: SharedBell; close(): void } {
  const bits = new BellBits();
  const bell = new SharedBell(runDir, name, bits, poller, probe);
  const senders = new Senders((target) => new BellSender(runDir, target, probe));
  return {
    bell,
    bind: (onRing, count = 1) => bindBits(bits, name, onRing, count),
    open: (handle) =>
      isDirect(handle) ? openDirect(runDir, handle, (upcall) => senders.open(upcall)) : senders.open(handle),
    close() {
      senders.closeAll();
      bell.close();
    },
  };
}

export function bindBits(bits: BellBits, bell: string, onRing: (index: number) => void, count: number): BoundBell {
  const bit = bits.take(onRing, count);
  let held = true;
  return {
    handle: { bell, bit },
    release() {
      if (!held) return;
      held = false;
      bits.give(bit, count);
    },
  };
}

interface Sender {
  ring(bit: number): void;
  insist(bit: number): void;
  close(): void;
}

/** Counts the users of each sending end: opened with the first handle to a bell, closed with the last. */
export class Senders {
  readonly #make: (bell: string) => Sender;
  readonly #open = new Map<string, { sender: Sender; users: number }>();

  constructor(make: (bell: string) => Sender) {
    this.#make = make;
  }

  open(handle: NotifyHandle): BellNotifier {
    const { bell, bit } = handle;
    if (!Number.isInteger(bit) || bit < 0 || bit >= BELL_BITS)
      throw new ErrnoError('EINVAL', `bad doorbell bit ${bit}`);
    let entry = this.#open.get(bell);
    if (entry === undefined) {
      entry = { sender: this.#make(bell), users: 0 };
      this.#open.set(bell, entry);
    }
    const held = entry;
    held.users++;
    let open = true;
    return {
      signal: () => {
        if (open) held.sender.ring(bit);
      },
      insist: () => {
        if (open) held.sender.insist(bit);
      },
      close: () => {
        if (!open) return;
        open = false;
        held.users--;
        if (held.users > 0) return;
        held.sender.close();
        this.#open.delete(bell);
      },
    };
  }

  closeAll(): void {
    for (const { sender } of this.#open.values()) sender.close();
    this.#open.clear();
  }
}
