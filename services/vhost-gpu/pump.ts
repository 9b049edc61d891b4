// Serves one queue in turns: takes chains, has each executed, gives it back, tells the driver; gives others a turn after a
// bounded number of commands or bytes. A command may keep its chain for a while (a question that the viewer answers):
// nothing more is taken meanwhile. Leaves what commands do to device.ts.
import { GPU_COMMANDS_PER_TURN, GPU_COPY_BYTES_PER_TURN } from '../../lib/core/limits.js';
import { type GuestMemory, GuestMemoryError } from '../../lib/core/memory.js';
import { Chain, VirtqError } from '../../lib/virtio/chain.js';
import type { DeviceRing, QueueLayout } from '../../lib/virtio/device-ring.js';
import { openDeviceRing } from '../../lib/virtio/open-ring.js';

/** The ends of a queue that lead to its front-end. */
export interface QueueEnds {
  /** Used buffers: the driver wants to know. */
  readonly call: () => void;
  /** The driver broke the ring; the queue has stopped. */
  readonly error: () => void;
}

/** What became of a request. */
export interface Served {
  /** Bytes written into the chain. */
  readonly written: number;
  /** Pixel bytes copied for it. */
  readonly copiedBytes: number;
}

/** What a queue is served by. */
export interface PumpWork {
  /**
   * Executes the request in `chain`; 'later' keeps the chain, until pump.complete() is called, perhaps before this
   * returns.
   */
  execute(chain: Chain): Served | 'later';
  /** The driver broke the ring, in the words of the error. */
  broken(error: VirtqError | GuestMemoryError): void;
  /** Runs an action later from the event loop. */
  defer(action: () => void): void;
}

type PumpState =
  | 'idle' // served when kicked
  | 'due' // a turn is to come from the event loop
  | 'waiting' // a chain is kept
  | 'ended'; // stopped, or broken by its driver

export class QueuePump {
  readonly #work: PumpWork;
  readonly #ring: DeviceRing;
  readonly #ends: QueueEnds;
  readonly #chain = new Chain();
  #state: PumpState = 'idle';

  /** Throws VirtqError when the queue does not lie in memory. What is in it already is served without a kick. */
  constructor(memory: GuestMemory, layout: QueueLayout, features: bigint, ends: QueueEnds, work: PumpWork) {
    this.#ring = openDeviceRing(memory, layout, features);
    this.#ends = ends;
    this.#work = work;
    // Kicks may have been lost before we listened.
    this.#serveLater();
  }

  /** The driver may have made chains available. */
  kick(): void {
    if (this.#state === 'idle') this.#serve();
  }

  /** The chain that was kept is done: `finish` writes its answer there and says how many bytes that were. */
  complete(finish: () => number): void {
    if (this.#state !== 'waiting') return;
    this.#guarded(() => {
      this.#giveBack(finish());
      this.#serveLater();
    });
  }

  /** The queue is not touched any more; answers where to go on. A chain that is kept is taken again. */
  stop(): number {
    const kept = this.#state === 'waiting';
    this.#state = 'ended';
    return this.#ring.base(kept);
  }

  #serveLater(): void {
    this.#state = 'due';
    this.#work.defer(() => {
      if (this.#state === 'due') this.#serve();
    });
  }

  /** One turn: until the queue is empty, a chain is kept, or the turn is over and the rest waits for the next. */
  #serve(): void {
    this.#state = 'idle';
    this.#guarded(() => this.#turn());
  }

  #turn(): void {
    const ring = this.#ring;
    let commands = 0;
    let copied = 0;
    do {
      ring.disableKicks();
      while (ring.pop(this.#chain)) {
        // Kept until proven otherwise: what is executed may call complete().
        this.#state = 'waiting';
        const served = this.#work.execute(this.#chain);
        if (served === 'later') return;
        this.#state = 'idle';
        this.#giveBack(served.written);
        commands++;
        copied += served.copiedBytes;
        if (commands >= GPU_COMMANDS_PER_TURN || copied >= GPU_COPY_BYTES_PER_TURN) {
          this.#serveLater();
          return;
        }
      }
    } while (ring.enableKicks());
  }

  /** Whatever the driver broke of the ring, its pages taken back under us included, ends this queue and nothing else. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof VirtqError || error instanceof GuestMemoryError)) throw error;
      this.#state = 'ended';
      this.#work.broken(error);
      this.#ends.error();
    }
  }

  #giveBack(written: number): void {
    this.#ring.pushUsed(this.#chain.head, written);
    if (this.#ring.needsCall()) this.#ends.call();
  }
}
