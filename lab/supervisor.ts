// The processes of a lab under one supervisor: started together, watched, ended in order. The first unexpected end is
// the lab's failure, put down to the process that caused it. Leaves what runs on them to up.ts.

import { join } from 'node:path';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import type { NotifyMode } from '../lib/core/notify.js';
import { listProcesses, type ProcessEntry } from '../lib/node/process/run-dir.js';
import { retryOnChange } from '../lib/node/process/wait.js';
import { type Exit, howItEnded, LabProcess, type Program } from './child.js';

/** In the order in which they are ended: users before what they use. */
const ENDING_ORDER = ['vhost-frontend', 'vhost-gpu', 'xenstored', 'hypervisor'] as const;
export type LabService = (typeof ENDING_ORDER)[number];

export interface LabSettings {
  readonly runDir: string;
  readonly notify: NotifyMode;
  readonly logLevel: string;
  /** Of every process (lib/node/process/service.ts); left out: its default. */
  readonly pollUs?: number;
  /** What else the processes of a program are told. */
  readonly extraArguments?: (program: Program) => readonly string[];
}

export class Lab {
  readonly services = new Map<LabService, LabProcess>();
  readonly guests = new Map<string, LabProcess>();
  /** Resolves with a sentence when a process ends that nobody asked to. */
  readonly failed: Promise<string>;
  readonly #settings: LabSettings;
  #fail!: (sentence: string) => void;
  #onGuestEnd: (name: string) => void = () => {};

  constructor(settings: LabSettings) {
    this.#settings = settings;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    // The hypervisor first: everybody waits for it.
    for (const name of [...ENDING_ORDER].reverse()) {
      const service = new LabProcess(name, name, this.#arguments(name));
      this.services.set(name, service);
      void service.exited.then((exit) => this.#ended(service, exit));
    }
  }

  #arguments(program: Program): string[] {
    const { runDir, notify, logLevel, pollUs, extraArguments } = this.#settings;
    const common = ['--run-dir', runDir, '--notify', notify, '--log-level', logLevel];
    const poll = pollUs === undefined ? [] : ['--poll-us', String(pollUs)];
    return [...common, ...poll, ...(extraArguments?.(program) ?? [])];
  }

  /** Runs when a guest's process ends in order: its domain was destroyed or has shut down. */
  onGuestEnd(action: (name: string) => void): void {
    this.#onGuestEnd = action;
  }

  /** Starts the process of a guest; it waits for its domain. */
  startGuest(name: string, image: string): void {
    const args = [...this.#arguments('guest'), '--name', name, '--image', image];
    const guest = new LabProcess('guest', `guest ${name}`, args);
    this.guests.set(name, guest);
    void guest.exited.then((exit) => {
      if (exit.code !== 0) this.#ended(guest, exit);
      else if (!guest.stopping) this.#onGuestEnd(name);
    });
  }

  #ended(process_: LabProcess, exit: Exit): void {
    if (process_.stopping) return;
    void this.#cause(process_, exit).then((sentence) => this.#fail(sentence));
  }

  /** "xenstored ended: hypervisor ended" is put down to the hypervisor. */
  async #cause(process_: LabProcess, exit: Exit): Promise<string> {
    const cause = /(\S+) ended$/.exec(exit.reason)?.[1] as LabService | undefined;
    const other = cause === undefined ? undefined : this.services.get(cause);
    if (exit.signal === null && other !== undefined && other !== process_) {
      const late = new Promise<undefined>((resolve) => setTimeout(resolve, DEADLINE_MS.causeOfEnd, undefined).unref());
      const otherExit = await Promise.race([other.exited, late]);
      if (otherExit !== undefined) return this.#cause(other, otherExit);
    }
    return `${process_.label} (pid ${process_.pid}) ${howItEnded(exit)}`;
  }

  /** Ends one service in order; returns what went wrong with that. */
  async stopService(name: LabService): Promise<string[]> {
    return this.#stop(this.services.get(name)!, DEADLINE_MS.processStop);
  }

  /** From now on guests' processes end because their domains do. */
  expectGuestsToEnd(): void {
    for (const guest of this.guests.values()) guest.expectEnd();
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

  /** Guests that `xenwire create` started are no children of ours: the registry tells when they have ended. */
  async #awaitOtherGuests(): Promise<string[]> {
    const living = (): ProcessEntry[] =>
      listProcesses(this.#settings.runDir).filter(({ name, state }) => name.startsWith('guest-') && state !== 'dead');
    const signal = AbortSignal.timeout(DEADLINE_MS.processStop);
    const anyFile = join(this.#settings.runDir, 'proc', '*');
    await retryOnChange(anyFile, () => (living().length === 0 ? true : undefined), signal);
    return living().map(({ pid, name }) => `process ${pid}: ${name} outlived its domain`);
  }

  /** Ends everything at once, by force where need be: for a lab that has failed. */
  async abandon(): Promise<void> {
    const all = [...this.guests.values(), ...this.services.values()];
    await Promise.all(all.map((process_) => process_.stop(DEADLINE_MS.failedProcessStop)));
  }

  /** Ends everything by force, without waiting. */
  kill(): void {
    for (const process_ of [...this.guests.values(), ...this.services.values()]) process_.kill();
  }

  async #stop(process_: LabProcess, deadlineMs: number): Promise<string[]> {
    const inOrder = await process_.stop(deadlineMs);
    return inOrder
      ? []
      : [`process ${process_.pid}: ${process_.label} ${howItEnded(process_.exit!)} when asked to end`];
  }
}
