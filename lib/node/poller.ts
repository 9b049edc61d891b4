// Adaptive polling of the event loop (design 4): after each activity the process looks at its shared pages from
// setImmediate for a while, so that timers, sockets and ZeroMQ do not starve; then it says that it sleeps, looks once
// more, and blocks. Leaves what is polled, and the wake-up, to its sources (bell.ts).
import { schedYield } from './libc.js';

export interface PollSource {
  /** Looks, acts on what is there, and says whether there was anything. */
  poll(): boolean;
  /** Announces that this process is about to block. False: something came meanwhile, poll on. */
  sleep(): boolean;
}

/** How long to look after the last activity: 50 us costs the tail, more wastes the core (measured, design 4). */
export const POLL_US_DEFAULT = 150;
/** With a free core a few microseconds without giving it away are better than a yield. */
const EAGER_NS = 4_000n;
/** A yield that took longer had somebody else running: they need the core more than we do. */
const YIELD_LONG_NS = 50_000n;
/** How long to block without polling after such a yield. */
const BACK_OFF_NS = 5_000_000n;

export class Poller {
  readonly #windowNs: bigint;
  readonly #sources: PollSource[] = [];
  #lastActivityNs = 0n;
  #backOffUntilNs = 0n;
  #running = false;
  #stopped = false;
  readonly #turn = () => this.#pollTurn();

  /** `windowUs`: how long to look after the last activity; 0 blocks as soon as nothing is there. */
  constructor(windowUs = POLL_US_DEFAULT) {
    this.#windowNs = BigInt(windowUs) * 1000n;
  }

  add(source: PollSource): void {
    this.#sources.push(source);
    this.activity();
  }

  /** Something happened (a message, a wake-up): look at the pages for a while. */
  activity(): void {
    if (this.#stopped) return;
    this.#lastActivityNs = process.hrtime.bigint();
    if (this.#running) return;
    this.#running = true;
    setImmediate(this.#turn);
  }

  stop(): void {
    this.#stopped = true;
  }

  #pollTurn(): void {
    if (this.#stopped) {
      this.#running = false;
      return;
    }
    let busy = false;
    for (const source of this.#sources) if (source.poll()) busy = true;
    const now = process.hrtime.bigint();
    if (busy) {
      this.#lastActivityNs = now;
      setImmediate(this.#turn);
      return;
    }
    const idle = now - this.#lastActivityNs;
    if (idle < this.#windowNs && now >= this.#backOffUntilNs) {
      if (idle > EAGER_NS) {
        schedYield();
        if (process.hrtime.bigint() - now > YIELD_LONG_NS) this.#backOffUntilNs = now + BACK_OFF_NS;
      }
      setImmediate(this.#turn);
      return;
    }
    let asleep = true;
    for (const source of this.#sources) if (!source.sleep()) asleep = false;
    if (!asleep) {
      setImmediate(this.#turn);
      return;
    }
    this.#running = false;
  }
}
