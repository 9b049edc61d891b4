// The whole of `xenwire latency`: floors before, each combination in a lab of its own, what is reported beside, floors after.
// Leaves one lab to lab.ts and one measurement to measure.ts.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../lib/core/errors.js';
import type { NotificationPath } from '../../lib/core/notification-path.js';
import type { NotifyMode } from '../../lib/core/notify.js';
import { createProbe } from '../../lib/node/files/probe.js';
import { HOP } from '../../lib/trace/hops.js';
import type { Load } from '../../lib/trace/latency-run.js';
import type { GuestConfig } from '../../toolstack/guest-config.js';
import { type Floors, measureFloors } from '../floor/floors.js';
import type { Column } from './histfile.js';
import { MeasuredLab } from './lab.js';
import { Neighbours, processorPercent } from './machine.js';
import { machineConditions } from './machine-facts.js';
import { type Exceeded, type MeasureChoice, type Measured, measure } from './measure.js';
import {
  type LatencyResult,
  type Mode,
  type PathCurves,
  type PathResult,
  type Reported,
  resultKey,
  type Tracing,
} from './result.js';

export interface Settings {
  readonly paths: readonly NotificationPath[];
  readonly notifies: readonly NotifyMode[];
  readonly modes: readonly Mode[];
  readonly loads: readonly Load[];
  /** Of each measurement. */
  readonly samples: number;
  /** Requests before the first that counts, so that code is compiled. */
  readonly warmUp: number;
  /** Requests a second of the open loop; left out: what suits the combination. */
  readonly rate?: number;
  /** After idle, neighbours, idle processor time, tracing. */
  readonly extras: boolean;
  readonly floorRounds: number;
  readonly thresholdUs?: number;
  /** Of each measurement; it ends with the samples that there are by then. */
  readonly durationMs?: number;
  /** CPUs that the lab's processes are held to, as taskset(1) takes them. */
  readonly affinity?: string;
  readonly config: GuestConfig;
  readonly image: string;
  readonly say: (line: string) => void;
  /** How far a measurement has come: a line for a terminal, drawn over the one before. */
  readonly progress?: (line: string) => void;
  /** Ends the run at the next lab; what runs is ended at once. */
  readonly signal: AbortSignal;
}

export type Outcome =
  | { readonly kind: 'measured'; readonly result: LatencyResult; readonly columns: readonly Column[] }
  | { readonly kind: 'exceeded'; readonly exceeded: Exceeded; readonly what: string };

/** Looks out of the poll window, so that every process blocks in between. */
const IDLE_GAP_US = 4000;
const IDLE_SAMPLES = 200;
const NEIGHBOUR_SAMPLES = 300;
const IDLE_PROCESSOR_MS = 2000;
/** A blocked lab is a few times slower, and its open loop must leave time to block between requests. */
const OPEN_RATE: Readonly<Record<NotifyMode, Readonly<Record<Mode, number>>>> = {
  doorbell: { hot: 2000, blocked: 200 },
  zmq: { hot: 500, blocked: 200 },
};
const OPEN_SAMPLES_BLOCKED_MAX = 600;
const TRACED_BY_TURNS = ['on', 'off', 'on', 'off', 'on', 'off'] as const;
const RECORDS_TIMED = 200_000;
/** The guest, the hypervisor, vhost-frontend, vhost-gpu. */
const RUNNABLE = 4;

/** `direct` is shared memory by its nature: there is nothing of it to send as a message. */
export function combinations(settings: Pick<Settings, 'paths' | 'notifies'>): [NotificationPath, NotifyMode][] {
  return settings.notifies.flatMap((notify) =>
    settings.paths
      .filter((path) => !(path === 'direct' && notify === 'zmq'))
      .map((path): [NotificationPath, NotifyMode] => [path, notify]),
  );
}

export async function runLatency(settings: Settings): Promise<Outcome> {
  const run = new Run(settings);
  return run.perform();
}

class Run {
  readonly #settings: Settings;
  readonly #paths: PathResult[] = [];
  readonly #reported: Reported[] = [];
  readonly #idle: { notify: NotifyMode; percent: number }[] = [];
  readonly #tracing: Tracing[] = [];
  readonly #curves: Record<string, PathCurves> = {};
  readonly #warnings: string[] = [];
  readonly #columns: Column[] = [];
  readonly #startMs = performance.now();
  /** Of all measurements that have a row of their own. */
  #done = 0;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  async perform(): Promise<Outcome> {
    const { say, floorRounds, extras } = this.#settings;
    const cores = availableParallelism();
    if (cores < RUNNABLE) {
      this.#warn(`${cores} cores for ${RUNNABLE} processes that may run at once: they wait for each other`);
    }
    say('measuring the floors');
    const floorBefore = await measureFloors(floorRounds);
    for (const [path, notify] of combinations(this.#settings)) {
      for (const mode of this.#settings.modes) {
        this.#settings.signal.throwIfAborted();
        const exceeded = await this.#combination(path, notify, mode);
        if (exceeded !== undefined) return { kind: 'exceeded', exceeded, what: `${path} ${notify} ${mode}` };
      }
      if (extras && !this.#tracing.some((known) => known.notify === notify)) await this.#traceCost(path, notify);
    }
    say('measuring the floors again');
    const floorAfter = await measureFloors(floorRounds);
    const result: LatencyResult = {
      cores,
      node: process.version,
      floor: better(floorBefore, floorAfter),
      paths: this.#paths,
      beside: {
        floorBefore,
        floorAfter,
        reported: this.#reported,
        idlePercent: this.#idle,
        tracing: this.#tracing,
        recordNs: timeRecord(),
        curves: this.#curves,
        warnings: this.#warnings,
        machine: machineConditions(),
      },
    };
    return { kind: 'measured', result, columns: this.#columns };
  }

  #warn(sentence: string): void {
    this.#warnings.push(sentence);
  }

  async #inLab<T>(
    choice: { path: NotificationPath; notify: NotifyMode; mode: Mode; history?: 'on' | 'off' },
    work: (lab: MeasuredLab) => Promise<T>,
  ): Promise<T> {
    const { config, image, signal } = this.#settings;
    const { path, notify, mode, history = 'on' } = choice;
    const poll = mode === 'hot' ? {} : { pollUs: 0 };
    const lab = await MeasuredLab.start({ path, notify, ...poll, history, config, image });
    try {
      if (this.#settings.affinity !== undefined) pin(lab.pids, this.#settings.affinity);
    } catch (error) {
      await lab.abandon();
      throw error;
    }
    let onAbort = (): void => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    aborted.catch(() => {}); // the work may be done first
    try {
      const value = await Promise.race([work(lab), aborted]);
      await lab.stop();
      return value;
    } catch (error) {
      await lab.abandon();
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #combination(path: NotificationPath, notify: NotifyMode, mode: Mode): Promise<Exceeded | undefined> {
    const { loads, samples, extras, thresholdUs, warmUp, say } = this.#settings;
    return this.#inLab({ path, notify, mode }, async (lab) => {
      if (extras && mode === 'hot' && !this.#idle.some((idle) => idle.notify === notify)) {
        this.#idle.push({ notify, percent: await processorPercent(lab.pids, IDLE_PROCESSOR_MS) });
      }
      for (const load of loads) {
        const rate = load === 'open' ? (this.#settings.rate ?? OPEN_RATE[notify][mode]) : 0;
        const count = load === 'open' && mode === 'blocked' ? Math.min(samples, OPEN_SAMPLES_BLOCKED_MAX) : samples;
        const title = `${path} ${notify} ${mode} ${load}`;
        say(`${this.#place()}: ${title}, ${this.#wanted(count)}`);
        const threshold = thresholdUs === undefined ? {} : { thresholdNs: thresholdUs * 1000 };
        const { durationMs, progress } = this.#settings;
        const startMs = performance.now();
        const share = (done: number): number =>
          durationMs === undefined ? done / count : (performance.now() - startMs) / durationMs;
        const choice = {
          ...{ load, rate, samples: count, gapUs: 0, warmUp, ...threshold },
          ...(durationMs === undefined ? {} : { durationMs }),
          onProgress: (done: number) =>
            progress?.(`${this.#place()}: ${title}, ${done} samples${this.#left(share(done))}`),
        };
        const measured = await measure(lab, choice);
        this.#done++;
        if (measured.exceeded !== undefined) return measured.exceeded;
        this.#columns.push(...measured.tally.columns(title));
        this.#paths.push(this.#result({ path, notify, mode, load }, rate, measured));
      }
      if (extras && thresholdUs === undefined) await this.#conditions(lab, { path, notify, mode });
      return undefined;
    });
  }

  get #total(): number {
    const { modes, loads } = this.#settings;
    return combinations(this.#settings).length * modes.length * loads.length;
  }

  #place(): string {
    return `${this.#done + 1} of ${this.#total}`;
  }

  #wanted(count: number): string {
    const { durationMs } = this.#settings;
    return durationMs === undefined ? `${count} samples` : `at most ${durationMs / 1000} s`;
  }

  /** By what the measurements so far took; `share`: of the present one. Empty while that says nothing. */
  #left(share: number): string {
    const done = (this.#done + Math.min(1, share)) / this.#total;
    if (done < LEFT_FROM) return '';
    const seconds = ((performance.now() - this.#startMs) / 1000) * (1 / done - 1);
    return `, about ${seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`} left`;
  }

  /** After idle, and with neighbours that keep one or two cores busy. */
  async #conditions(lab: MeasuredLab, of: Pick<PathResult, 'path' | 'notify' | 'mode'>): Promise<void> {
    const closed = { load: 'closed', rate: 0, warmUp: 0 } as const;
    const report = async (condition: string, choice: MeasureChoice): Promise<void> => {
      this.#settings.say(`${of.path} ${of.notify} ${of.mode}, ${condition}: ${choice.samples} samples`);
      const { hops, ...result } = this.#result({ ...of, load: 'closed' }, 0, await measure(lab, choice));
      this.#reported.push({ ...result, hops, condition });
    };
    await report(`after ${IDLE_GAP_US / 1000} ms of nothing`, { ...closed, samples: IDLE_SAMPLES, gapUs: IDLE_GAP_US });
    if (of.mode !== 'hot' || of.notify !== 'doorbell') return;
    for (const count of [1, 2]) {
      const neighbours = await Neighbours.start(count);
      try {
        const condition = `${count} busy neighbour${count === 1 ? '' : 's'}`;
        await report(condition, { ...closed, samples: NEIGHBOUR_SAMPLES, gapUs: 0 });
      } finally {
        await neighbours.stop();
      }
    }
  }

  /** Round trips as the guest sees them, in labs that record and in labs that do not, by turns; the best of each. */
  async #traceCost(path: NotificationPath, notify: NotifyMode): Promise<void> {
    const { say, samples } = this.#settings;
    const count = Math.min(2000, samples);
    say(`${path} ${notify}: with history and without`);
    const round = (history: 'on' | 'off'): Promise<number> =>
      this.#inLab({ path, notify, mode: 'hot', history }, async (lab) => {
        await lab.load({ count }); // code gets warm
        return (await lab.load({ count })).figures.p50;
      });
    const figures = { on: [] as number[], off: [] as number[] };
    for (const history of TRACED_BY_TURNS) figures[history].push(await round(history));
    this.#tracing.push({ path, notify, onP50Ns: Math.min(...figures.on), offP50Ns: Math.min(...figures.off) });
  }

  #result(of: Pick<PathResult, 'path' | 'notify' | 'mode' | 'load'>, rate: number, { tally }: Measured): PathResult {
    const { curves, ...figures } = tally.figures();
    this.#curves[resultKey(of)] ??= curves;
    const missed = tally.unkicked + tally.uncalled;
    if (missed > tally.samples / 2) {
      this.#warn(`${resultKey(of)}: ${missed} of ${2 * tally.samples} times no notification was needed`);
    }
    return { ...of, ...(of.load === 'open' ? { ratePerSecond: rate } : {}), ...figures };
  }
}

/** What must be done before the time that is left can be told. */
const LEFT_FROM = 0.02;

/** Every thread of the processes; throws UserError where this machine has no such CPUs or no taskset(1). */
function pin(pids: readonly number[], cpus: string): void {
  for (const pid of pids) {
    try {
      execFileSync('taskset', ['-a', '-c', '-p', cpus, String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: Buffer };
      throw new UserError(`cannot hold the processes to CPUs ${cpus}: ${stderr?.toString().trim() || message}`);
    }
  }
}

/** By p50, floor by floor: a floor is what the machine can do at best. */
function better(a: Floors, b: Floors): Floors {
  const one = <T extends { oneWayNs: { p50: number } }>(x: T, y: T): T => (x.oneWayNs.p50 <= y.oneWayNs.p50 ? x : y);
  const c = a.eventfdC && b.eventfdC && one(a.eventfdC, b.eventfdC);
  const zmq = a.libzmqC && b.libzmqC && one(a.libzmqC, b.libzmqC);
  return {
    ...(c && { eventfdC: c }),
    zeromqJs: one(a.zeromqJs, b.zeromqJs),
    zeromqJsCalls: one(a.zeromqJsCalls, b.zeromqJsCalls),
    ...(zmq && { libzmqC: zmq }),
    sharedMemorySpin: one(a.sharedMemorySpin, b.sharedMemorySpin),
  };
}

/** Nanoseconds of one history record. */
function timeRecord(): number {
  const dir = mkdtempSync(join(tmpdir(), 'xw-record-'));
  const gates = join(dir, 'gates');
  const probe = createProbe({ process: 'bench', incarnation: 1, history: join(dir, 'ring'), gates });
  try {
    const time = (count: number): number => {
      const start = process.hrtime.bigint();
      for (let index = 0; index < count; index++) probe.at(HOP.guestKick.point, '', index, index, 1);
      return Number(process.hrtime.bigint() - start) / count;
    };
    time(RECORDS_TIMED / 10);
    return Math.round(time(RECORDS_TIMED));
  } finally {
    probe.close();
    rmSync(dir, { recursive: true, force: true });
  }
}
