// Adaptive polling of the event loop (docs/doorbells.md): after each activity the process looks at its shared pages for a
// while, a few times a turn of the event loop, so that timers, sockets and ZeroMQ do not starve; then it says that it
// sleeps, looks once more, and blocks. Leaves how long to lib/events/poll-window.ts, and what is polled, and the wake-up, to its
// sources (bell.ts).
//
// Each empty look gives the core away: with more processes polling than there are cores, one that has something to do gets
// it, and alone on a core a yield costs 0.2 us, less than a turn of the event loop (0.8 us).
import { PollWindow } from '../../events/poll-window.js';
import { schedYield } from '../files/libc.js';

/** Its `idleTime`: how long this event loop has waited in the kernel (uv_metrics_idle_time), ms. */
const { nodeTiming } = performance;

export interface PollSource {
  /** Looks, acts on what is there, and says whether there was anything. */
  poll(): boolean;
  /** Announces that this process is about to block. False: something came meanwhile, poll on. */
  sleep(): boolean;
}

/** Looks between two turns of the event loop. */
const LOOKS = 8;
/**
 * In a yield that took longer a process ran that does not yield, as those of a lab do, and that needs the core more than
 * this one. Processes of a lab run for up to some 100 us before they look again, longer where everything takes longer: a
 * shorter bound takes them for strangers, and all of a lab ends up blocking (measured: round trips twice as long).
 */
const YIELD_LONG_MS = 0.5;
const YIELD_LONG_WAKES = 8;
/** How long to block without polling after such a yield. */
const BACK_OFF_MS = 5;

export class Poller {
  readonly #window: PollWindow;
  readonly #sources: PollSource[] = [];
  #lastActivityMs = 0;
  #backOffUntilMs = 0;
  #sleptSinceMs = 0;
  #idleBeforeMs = 0;
  #running = false;
  #stopped = false;
  readonly #turn = () => this.#pollTurn();

  /** `windowUs`: how long to look after the last activity; 0 blocks as soon as nothing is there. Without, it is learnt. */
  constructor(windowUs?: number) {
    this.#window = new PollWindow(windowUs);
  }

  add(source: PollSource): void {
    this.#sources.push(source);
    this.activity();
  }

  /** Something happened (a message): look at the pages for a while, from the next turn of the event loop. */
  activity(): void {
    if (this.#stopped) return;
    this.#lastActivityMs = performance.now();
    if (this.#running) return;
    this.#running = true;
    setImmediate(this.#turn);
  }

  /** A source woke us, from the event loop, `costMs` after its sender rang: looks at once. */
  wake(costMs: number): void {
    if (this.#stopped || this.#running) return;
    const now = performance.now();
    this.#window.woken(now - costMs - this.#sleptSinceMs, costMs, nodeTiming.idleTime - this.#idleBeforeMs);
    this.#lastActivityMs = now;
    this.#running = true;
    this.#pollTurn();
  }

  stop(): void {
    this.#stopped = true;
  }

  #pollTurn(): void {
    for (let look = 0; look < LOOKS; look++) {
      if (this.#stopped) {
        this.#running = false;
        return;
      }
      let busy = false;
      for (const source of this.#sources) if (source.poll()) busy = true;
      const now = performance.now();
      if (busy) {
        // What it led to goes on in microtasks: they come before the next look.
        this.#lastActivityMs = now;
        break;
      }
      if (now - this.#lastActivityMs >= this.#window.windowMs || now < this.#backOffUntilMs) {
        if (this.#sleep()) return;
        break;
      }
      schedYield();
      const after = performance.now();
      if (after - now > Math.max(YIELD_LONG_MS, YIELD_LONG_WAKES * this.#window.costMs))
        this.#backOffUntilMs = after + BACK_OFF_MS;
    }
    setImmediate(this.#turn);
  }

  /** False when something came meanwhile. */
  #sleep(): boolean {
    let asleep = true;
    for (const source of this.#sources) if (!source.sleep()) asleep = false;
    if (asleep) {
      this.#running = false;
      this.#sleptSinceMs = performance.now();
      this.#idleBeforeMs = nodeTiming.idleTime;
    }
    return asleep;
  }
}
