// The load that `xenwire latency` measures: cheap commands on the cursor queue, one after the other (closed loop) or each at
// its own time (open loop), asked for and answered through the store. Every request leaves a record before it is published
// and one when its used buffer is seen; everything between is recorded by the processes that the notification passes.
//
// In the open loop a request that starts late, because the guest was outside or its processor busy, keeps its intended time:
// its delay counts as latency (no coordinated omission). Leaves the queue to cursor-queue.ts.

import type { Clock } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { ErrnoError } from '../../lib/core/errors.js';
import type { Probe } from '../../lib/core/probe.js';
import {
  formatAnswer,
  type GuestFigures,
  LATENCY_KEY,
  type LatencyAnswer,
  type LatencyRun,
  LOAD_RECORD,
  parseRun,
} from '../../lib/trace/latency-run.js';
import type { CursorQueue } from './cursor-queue.js';
import type { GuestStore } from './guest-store.js';
import type { Vcpu } from './vcpu.js';
import { Completion } from './wait.js';

/** Timers are whole milliseconds, and late: the rest of a wait is spent looking at the clock. */
const SPIN_MS = 2;

export interface LoadParts {
  readonly vcpu: Vcpu;
  readonly clock: Clock;
  readonly probe: Probe;
  readonly store: GuestStore;
  /** The device's queue as it is now; undefined while there is none. */
  readonly cursor: () => CursorQueue | undefined;
}

/** When request `index` of an open loop is meant to start, in nanoseconds after the first. */
export function intendedNs(index: number, rate: number): number {
  return Math.round((index * 1e9) / rate);
}

/** Watches for runs and performs them, one at a time. Runs on the vCPU. */
export class LatencyLoad {
  readonly #parts: LoadParts;
  #lastId: number | undefined;
  #running = false;

  constructor(parts: LoadParts) {
    this.#parts = parts;
  }

  /** `token` of the watch. Resolves when runs can be asked for. */
  async start(token: string): Promise<void> {
    const { store } = this.#parts;
    await store.watch(LATENCY_KEY.run, token, () => void this.#asked());
    await store.write(LATENCY_KEY.done, '');
  }

  async #asked(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      const run = await this.#read();
      if (run === undefined || run.id === this.#lastId) return;
      this.#lastId = run.id;
      await this.#parts.store.write(LATENCY_KEY.done, formatAnswer(await this.#perform(run)));
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error; // the store refused: the measuring process is gone
    } finally {
      this.#running = false;
    }
  }

  async #read(): Promise<LatencyRun | undefined> {
    try {
      return parseRun(await this.#parts.store.read(LATENCY_KEY.run));
    } catch (error) {
      if (error instanceof ErrnoError && error.code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #perform(run: LatencyRun): Promise<LatencyAnswer> {
    const cursor = this.#parts.cursor();
    if (cursor === undefined) return { id: run.id, ok: false, reason: 'there is no device' };
    const attempt = new Attempt(this.#parts, cursor, run);
    try {
      return { id: run.id, ok: true, figures: await attempt.perform(), kicks: attempt.kicks };
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      return { id: run.id, ok: false, reason: error.message };
    }
  }
}

class Attempt {
  readonly #parts: LoadParts;
  readonly #cursor: CursorQueue;
  readonly #run: LatencyRun;
  readonly #startedNs: Float64Array;
  readonly #tookNs: Float64Array;
  readonly #epochNs: bigint;
  #done = 0;
  #waiter: Completion | undefined;
  #failure: ErrnoError | undefined;
  kicks = 0;

  constructor(parts: LoadParts, cursor: CursorQueue, run: LatencyRun) {
    this.#parts = parts;
    this.#cursor = cursor;
    this.#run = run;
    this.#startedNs = new Float64Array(run.count);
    this.#tookNs = new Float64Array(run.count).fill(-1);
    this.#epochNs = parts.clock.nowNs();
  }

  async perform(): Promise<GuestFigures> {
    const { count, load } = this.#run;
    const watchdog = this.#guard();
    this.#cursor.use(
      (sequence) => this.#used(sequence),
      () => this.#fail('the device was reset or removed'),
    );
    try {
      if (load === 'closed') await this.#closed();
      else await this.#open();
      await this.#until(() => this.#done === count);
    } finally {
      watchdog.cancel();
      this.#cursor.use(
        () => {},
        () => {},
      );
    }
    return figures(this.#tookNs);
  }

  async #closed(): Promise<void> {
    const { count, gapUs } = this.#run;
    for (let index = 0; index < count; index++) {
      if (gapUs > 0) await this.#sleep(gapUs / 1000);
      await this.#request(index, 0);
      await this.#until(() => this.#done === index + 1);
    }
  }

  async #open(): Promise<void> {
    const { count, rate } = this.#run;
    const start = this.#now() + SPIN_MS * 1e6;
    for (let index = 0; index < count; index++) {
      const intended = start + intendedNs(index, rate);
      await this.#reach(intended);
      await this.#until(() => this.#cursor.room > 0);
      await this.#request(index, Math.max(0, this.#now() - intended));
    }
  }

  async #request(index: number, lateNs: number): Promise<void> {
    const sequence = this.#run.first + index;
    this.#startedNs[index] = this.#now() - lateNs;
    this.#parts.probe.at(LOAD_RECORD.request.point, '', sequence, lateNs);
    this.#cursor.sendNumber(sequence);
    if (await this.#cursor.notify()) this.kicks++;
  }

  /** Interrupt context. */
  #used(sequence: number): void {
    this.#parts.probe.at(LOAD_RECORD.used.point, '', sequence);
    const index = sequence - this.#run.first;
    if (this.#tookNs[index] !== -1) this.#fail(`request ${sequence} was answered twice, or never made`);
    else this.#tookNs[index] = this.#now() - this.#startedNs[index]!;
    this.#done++;
    this.#waiter?.complete();
  }

  #fail(reason: string): void {
    this.#failure ??= new ErrnoError('EIO', reason);
    this.#waiter?.complete();
  }

  /** Waits for used buffers until the condition holds. */
  async #until(condition: () => boolean): Promise<void> {
    while (!condition() && this.#failure === undefined) {
      this.#waiter = new Completion(this.#parts.vcpu);
      await this.#waiter.wait();
      this.#waiter = undefined;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Nanoseconds since the run began. */
  #now(): number {
    return Number(this.#parts.clock.nowNs() - this.#epochNs);
  }

  /** Sleeps while there is time for it, then looks at the clock, letting interrupts in between looks. */
  async #reach(dueNs: number): Promise<void> {
    const coarseMs = Math.floor((dueNs - this.#now()) / 1e6) - SPIN_MS;
    if (coarseMs > 0) await this.#sleep(coarseMs);
    while (this.#now() < dueNs && this.#failure === undefined) {
      await new Promise<void>((resolve) => this.#parts.vcpu.run(resolve));
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #sleep(ms: number): Promise<void> {
    const { vcpu, clock } = this.#parts;
    return new Promise((resolve) => clock.after(ms, () => vcpu.run(resolve)));
  }

  /** Fails the run when nothing is answered any more. */
  #guard(): { cancel(): void } {
    const { clock } = this.#parts;
    let seen = -1;
    let timer = clock.after(DEADLINE_MS.latencyRequest, () => look());
    const look = (): void => {
      if (this.#done === seen) {
        this.#fail(
          `${this.#run.count - this.#done} requests were not answered within ${DEADLINE_MS.latencyRequest} ms`,
        );
        return;
      }
      seen = this.#done;
      timer = clock.after(DEADLINE_MS.latencyRequest, () => look());
    };
    return { cancel: () => timer.cancel() };
  }
}

function figures(samples: Float64Array): GuestFigures {
  const sorted = samples.slice().sort();
  const at = (quantile: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]!);
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: Math.round(sorted[sorted.length - 1]!) };
}
