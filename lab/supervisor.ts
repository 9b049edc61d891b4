// The processes of a lab under one supervisor: started together, watched, started again by policy.ts or not, ended in
// order. Without restarts the first unexpected end is the lab's failure, put down to the process that caused it. The
// hypervisor is never started again here: its end is the host's, whose other processes end with it (host.ts).

import { join } from 'node:path';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { type DeviceServerProcess, deviceServerProcess } from '../lib/core/device-server.js';
import type { NotifyMode } from '../lib/core/notify.js';
import { listProcesses, type ProcessEntry, runPaths } from '../lib/node/process/run-dir.js';
import { retryOnChange } from '../lib/node/process/wait.js';
import { type Exit, howItEnded, LabProcess, type Program } from './child.js';
import { afterDeath, type DeathRecord, NO_DEATHS } from './policy.js';

/** In the order in which they are ended: users before what they use. */
export type LabService = 'vhost-frontend' | DeviceServerProcess | 'xenstored' | 'hypervisor';
const endingOrder = (servers: readonly DeviceServerProcess[]): LabService[] => [
  'vhost-frontend',
  ...servers,
  'xenstored',
  'hypervisor',
];

export interface LabSettings {
  readonly runDir: string;
  readonly notify: NotifyMode;
  readonly logLevel: string;
  /** Of every process (lib/node/process/service.ts); left out: its default. */
  readonly pollUs?: number;
  /** A program of others in vhost-frontend's place: what a shell runs (bin/backend.ts). */
  readonly backendCommand?: string;
  /** Debian's C xenstored in the place of ours (bin/store.ts); guests must use their ring pages. */
  readonly foreignStore?: boolean;
  /** Names of device servers beside the one without a name. */
  readonly serverNames?: readonly string[];
  /** What else the processes of a program are told. */
  readonly extraArguments?: (program: Program) => readonly string[];
  /** Services that die are started again, and guests' deaths are told instead of being the lab's failure. */
  readonly restart?: LabRestart;
  /** A process that answers nothing for so long counts as dead and is killed; left out: it may stand still. */
  readonly deadAfterMs?: number;
}

export interface LabRestart {
  /** A service died and is started again. */
  readonly onDied: (service: LabService, sentence: string) => void;
  /** Its next process is ready. `ms`: since the death. */
  readonly onReady: (service: LabService, process_: LabProcess, ms: number) => void;
  /** A guest's process ended, in order or not. */
  readonly onGuestEnded: (name: string, process_: LabProcess, exit: Exit) => void;
}

export class Lab {
  readonly services = new Map<LabService, LabProcess>();
  readonly guests = new Map<string, LabProcess>();
  /** Resolves with a sentence when the lab cannot go on: a process ended unasked, and is not started again. */
  readonly failed: Promise<string>;
  /** Resolves with a sentence when the hypervisor ended unasked; only with restarts, else that is a failure. */
  readonly hostLost: Promise<string>;
  readonly #settings: LabSettings;
  readonly #deaths = new Map<LabService, DeathRecord>();
  #fail!: (sentence: string) => void;
  #loseHost!: (sentence: string) => void;
  #onGuestEnd: (name: string) => void = () => {};
  /** From the end's beginning on nothing is started again. */
  #ending = false;
  readonly #heartbeat: NodeJS.Timeout | undefined;

  constructor(settings: LabSettings) {
    this.#settings = settings;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.hostLost = new Promise((resolve) => {
      this.#loseHost = resolve;
    });
    // The hypervisor first: all others wait for it.
    for (const name of endingOrder(this.deviceServers).reverse()) this.#startService(name);
    const { deadAfterMs } = settings;
    if (deadAfterMs !== undefined) {
      this.#heartbeat = setInterval(() => this.#lookForAnswers(deadAfterMs), DEADLINE_MS.heartbeat);
    }
  }

  /** Their processes. */
  get deviceServers(): DeviceServerProcess[] {
    return [undefined, ...(this.#settings.serverNames ?? [])].map(deviceServerProcess);
  }

  #startService(name: LabService): LabProcess {
    const service = this.#makeService(name);
    this.services.set(name, service);
    void service.exited.then((exit) => this.#ended(service, exit, name));
    if (this.#settings.restart !== undefined) void this.#awaitReady(name, service);
    return service;
  }

  #makeService(name: LabService): LabProcess {
    const { backendCommand, foreignStore } = this.#settings;
    if (name === 'vhost-frontend' && backendCommand !== undefined)
      return new LabProcess('backend', name, [...this.#common, '--command', backendCommand]);
    if (name === 'xenstored' && foreignStore === true) return new LabProcess('store', name, this.#common);
    const server = this.#settings.serverNames?.find((each) => deviceServerProcess(each) === name);
    if (server !== undefined)
      return new LabProcess('vhost-gpu', name, [...this.#arguments('vhost-gpu'), '--name', server]);
    return new LabProcess(name as Program, name, this.#arguments(name as Program));
  }

  #arguments(program: Program): string[] {
    return [...this.#common, ...(this.#settings.extraArguments?.(program) ?? [])];
  }

  get #common(): string[] {
    const { runDir, notify, logLevel, pollUs } = this.#settings;
    const common = ['--run-dir', runDir, '--notify', notify, '--log-level', logLevel];
    return pollUs === undefined ? common : [...common, '--poll-us', String(pollUs)];
  }

  /** Runs when a guest's process ends in order: its domain was destroyed or has shut down. */
  onGuestEnd(action: (name: string) => void): void {
    this.#onGuestEnd = action;
  }

  /** Starts the process of a guest; it waits for its domain. */
  startGuest(name: string, image: string): LabProcess {
    const args = [...this.#arguments('guest'), '--name', name, '--image', image];
    const guest = new LabProcess('guest', `guest ${name}`, args);
    this.guests.set(name, guest);
    void guest.exited.then((exit) => {
      if (this.#settings.restart !== undefined) {
        if (!guest.stopping && !this.#ending) this.#settings.restart.onGuestEnded(name, guest, exit);
      } else if (exit.code !== 0) this.#ended(guest, exit);
      else if (!guest.stopping) this.#onGuestEnd(name);
    });
    return guest;
  }

  #ended(process_: LabProcess, exit: Exit, service?: LabService): void {
    if (process_.stopping || this.#ending) return;
    const diedNs = process.hrtime.bigint();
    void this.#cause(process_, exit).then(({ sentence, who }) => {
      if (this.#ending) return;
      const { restart } = this.#settings;
      if (restart === undefined || service === undefined) this.#fail(sentence);
      else if (who === this.services.get('hypervisor')) this.#loseHost(sentence);
      else this.#again(service, process_, exit, { sentence, diedNs, restart });
    });
  }

  #again(
    name: LabService,
    died: LabProcess,
    exit: Exit,
    { sentence, diedNs, restart }: { sentence: string; diedNs: bigint; restart: LabRestart },
  ): void {
    const before = this.#deaths.get(name) ?? NO_DEATHS;
    const { record, verdict } = afterDeath(before, { ns: diedNs, wasReady: died.wasReady });
    this.#deaths.set(name, record);
    // What it was told is wrong, by its own word: it would say the same again.
    if (exit.code === 2) this.#fail(sentence);
    else if (verdict.kind === 'give up') this.#fail(`${sentence}; it is not started again: ${verdict.why}`);
    else {
      restart.onDied(name, sentence);
      setTimeout(() => {
        if (this.#ending) return;
        const next = this.#startService(name);
        void next.ready.then(() => restart.onReady(name, next, Number(process.hrtime.bigint() - diedNs) / 1e6));
      }, verdict.delayMs);
    }
  }

  /** Notes that the process of that name says that it is ready, unless it ends before. */
  async #awaitReady(name: string, process_: LabProcess): Promise<void> {
    const { runDir } = this.#settings;
    const abort = new AbortController();
    void process_.exited.then(() => abort.abort());
    const isReady = (): true | undefined =>
      listProcesses(runDir).some(({ pid, state }) => pid === process_.pid && state !== 'starting' && state !== 'dead')
        ? true
        : undefined;
    if (await retryOnChange(runPaths.proc(runDir, name), isReady, abort.signal)) process_.nowReady();
  }

  /** Asks each process for an answer, and kills one that has owed its last for too long. */
  #lookForAnswers(deadAfterMs: number): void {
    for (const process_ of [...this.services.values(), ...this.guests.values()]) {
      // Counted in beats, not by the clock: a supervisor that stood still itself blames no process for it.
      const missed = process_.ask();
      if (missed * DEADLINE_MS.heartbeat > deadAfterMs) process_.declareDead(deadAfterMs);
    }
  }

  /** "xenstored ended: hypervisor ended" is put down to the hypervisor. */
  async #cause(process_: LabProcess, exit: Exit): Promise<{ sentence: string; who: LabProcess }> {
    const cause = /(\S+) ended$/.exec(exit.reason)?.[1] as LabService | undefined;
    const other = cause === undefined ? undefined : this.services.get(cause);
    if (exit.signal === null && other !== undefined && other !== process_) {
      const late = new Promise<undefined>((resolve) => setTimeout(resolve, DEADLINE_MS.causeOfEnd, undefined).unref());
      const otherExit = await Promise.race([other.exited, late]);
      if (otherExit !== undefined) return this.#cause(other, otherExit);
    }
    return { sentence: `${process_.label} (pid ${process_.pid}) ${howItEnded(exit)}`, who: process_ };
  }

  /** Ends one service in order; returns what went wrong with that. */
  async stopService(name: LabService): Promise<string[]> {
    return this.#stop(this.services.get(name)!, DEADLINE_MS.processStop);
  }

  /** From now on guests' processes end because their domains do, and no process is started again. */
  expectGuestsToEnd(): void {
    this.#end();
    for (const guest of this.guests.values()) guest.expectEnd();
  }

  #end(): void {
    this.#ending = true;
    clearInterval(this.#heartbeat);
  }

  /** Waits for the guests' processes, which end with their domains; returns those that did not. */
  async awaitGuests(): Promise<string[]> {
    const found = await Promise.all(
      [...this.guests.values()].map(async (guest) => {
        const late = new Promise<undefined>((resolve) =>
          setTimeout(resolve, DEADLINE_MS.processStop, undefined).unref(),
        );
        if ((await Promise.race([guest.exited, late])) !== undefined) return [];
        await guest.stop(DEADLINE_MS.failedProcessStop);
        return [`process ${guest.pid}: ${guest.label} outlived its domain`];
      }),
    );
    return [...found.flat(), ...(await this.#awaitOtherGuests())];
  }

  /** Guests that `xenwire create` started, and their monitors, are no children of ours: the registry tells when they have ended. */
  async #awaitOtherGuests(): Promise<string[]> {
    const living = (): ProcessEntry[] =>
      listProcesses(this.#settings.runDir).filter(
        ({ name, state }) => /^(guest|monitor)-/.test(name) && state !== 'dead',
      );
    const signal = AbortSignal.timeout(DEADLINE_MS.processStop);
    const anyFile = join(this.#settings.runDir, 'proc', '*');
    await retryOnChange(anyFile, () => (living().length === 0 ? true : undefined), signal);
    return living().map(({ pid, name }) => `process ${pid}: ${name} outlived its domain`);
  }

  /** Ends everything at once, by force where need be: for a lab that has failed. */
  async abandon(): Promise<void> {
    this.#end();
    const all = [...this.guests.values(), ...this.services.values()];
    await Promise.all(all.map((process_) => process_.stop(DEADLINE_MS.failedProcessStop)));
  }

  /** After the hypervisor's end: the others end by themselves within the deadline, or are killed. */
  async hostDown(): Promise<void> {
    this.#end();
    const all = [...this.guests.values(), ...this.services.values()];
    const late = new Promise<'late'>((resolve) => setTimeout(resolve, DEADLINE_MS.hostEnd, 'late').unref());
    if ((await Promise.race([Promise.all(all.map(({ exited }) => exited)), late])) !== 'late') return;
    for (const process_ of all) process_.kill();
    await Promise.all(all.map(({ exited }) => exited));
  }

  /** Ends everything by force, without waiting. */
  kill(): void {
    this.#end();
    for (const process_ of [...this.guests.values(), ...this.services.values()]) process_.kill();
  }

  async #stop(process_: LabProcess, deadlineMs: number): Promise<string[]> {
    this.#end();
    const inOrder = await process_.stop(deadlineMs);
    return inOrder
      ? []
      : [`process ${process_.pid}: ${process_.label} ${howItEnded(process_.exit!)} when asked to end`];
  }
}
