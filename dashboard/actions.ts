// What a person does to a process from the page: kill it, pause it, let it go, end it in order so that it starts again; at once, or
// when it next comes to a point. Each is told how it goes.
import { type Gate, GateError, ProcessGates } from '../lab/gates.js';
import { lookAtProcesses } from '../lab/standing.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { DeadlineError, errorMessage, UserError } from '../lib/core/errors.js';
import { parseInstance } from '../lib/trace/instances.js';

export const ACTIONS = ['kill', 'pause', 'go', 'restart'] as const;
export type Action = (typeof ACTIONS)[number];

/** Of those that are over, what is shown. */
const DONE_MAX = 10;

export interface Standing {
  readonly id: number;
  readonly process: string;
  readonly action: Action;
  readonly at: string;
  state: 'waits' | 'stands' | 'done' | 'failed';
  /** Why it failed. */
  reason?: string;
}

interface Armed {
  readonly shown: Standing;
  readonly gates: ProcessGates;
  readonly abort: AbortController;
  gate: Gate | undefined;
}

export class Actions {
  readonly #runDir: string;
  readonly #armed = new Map<number, Armed>();
  #over: Standing[] = [];
  #next = 1;

  constructor(runDir: string) {
    this.#runDir = runDir;
  }

  /** What was set and what has come of it, the newest first. */
  get standing(): readonly Standing[] {
    return [...[...this.#armed.values()].map(({ shown }) => shown), ...this.#over].sort(
      (one, other) => other.id - one.id,
    );
  }

  /**
   * Throws UserError, one sentence. `at`: a point of the process, as lib/trace/instances.ts writes it; without its number, the next time
   * that the process comes to it.
   */
  async act(name: string, action: Action, at?: string): Promise<void> {
    const entry = lookAtProcesses(this.#runDir).find((each) => each.name === name && each.condition !== 'dead');
    if (entry === undefined) throw new UserError(`${name} does not run`);
    if (at !== undefined && action !== 'go') return this.#arm(name, action, at);
    switch (action) {
      case 'kill':
        process.kill(entry.pid, 'SIGKILL');
        return;
      case 'pause':
        process.kill(entry.pid, 'SIGSTOP');
        return;
      case 'restart':
        process.kill(entry.pid, 'SIGTERM');
        // One that stands still sees it only then.
        process.kill(entry.pid, 'SIGCONT');
        return;
      case 'go':
        return this.#go(name, entry.pid);
    }
  }

  async #go(name: string, pid: number): Promise<void> {
    for (const armed of [...this.#armed.values()].filter(({ shown }) => shown.process === name)) {
      const { gate, gates, shown } = armed;
      if (shown.state === 'waits') armed.abort.abort();
      else if (gate !== undefined) await gates.letGo(gate, DEADLINE_MS.pageLetGo);
      this.#finish(armed, 'done');
    }
    process.kill(pid, 'SIGCONT');
  }

  async #arm(process_: string, action: Action, at: string): Promise<void> {
    const isNumbered = /#\d+$/.test(at);
    const { process: of, point, label, occurrence } = parseInstance(isNumbered ? at : `${at}#1`);
    if (of !== process_) throw new UserError(`${at} is no point of ${process_}`);
    let gates: ProcessGates;
    try {
      gates = await ProcessGates.open(this.#runDir, process_, DEADLINE_MS.pageOpen);
    } catch (error) {
      if (error instanceof DeadlineError || error instanceof GateError) throw new UserError(error.message);
      throw error;
    }
    const shown: Standing = { id: this.#next++, process: process_, action, at, state: 'waits' };
    const armed: Armed = { shown, gates, abort: new AbortController(), gate: undefined };
    const gate = gates.arm({ point, label, occurrence: isNumbered ? occurrence : 0 });
    this.#armed.set(shown.id, armed);
    void this.#await(armed, gate);
  }

  async #await(armed: Armed, gate: Gate): Promise<void> {
    const { gates, shown, abort } = armed;
    try {
      await gates.standing(DEADLINE_MS.pageGate, abort.signal);
      armed.gate = gate;
      shown.state = 'stands';
      if (shown.action === 'pause') return;
      process.kill(gates.pid, shown.action === 'kill' ? 'SIGKILL' : 'SIGTERM');
      if (shown.action === 'restart') await gates.letGo(gate, DEADLINE_MS.pageLetGo);
      this.#finish(armed, 'done');
    } catch (error) {
      if (abort.signal.aborted) return;
      if (!(error instanceof GateError || error instanceof DeadlineError)) throw error;
      this.#finish(armed, 'failed', errorMessage(error));
    }
  }

  #finish(armed: Armed, state: 'done' | 'failed', reason?: string): void {
    if (!this.#armed.delete(armed.shown.id)) return;
    Object.assign(armed.shown, { state, ...(reason === undefined ? {} : { reason }) });
    this.#over = [armed.shown, ...this.#over].slice(0, DONE_MAX);
    armed.gates.close();
  }

  /** Told what lives: a process that ended at its gate stands there no more. */
  look(living: ReadonlySet<number>): void {
    for (const armed of this.#armed.values())
      if (!living.has(armed.gates.pid))
        this.#finish(armed, armed.shown.state === 'stands' ? 'done' : 'failed', 'it has ended');
  }

  /** Everything that was set is taken back; what stands goes on. */
  close(): void {
    for (const armed of [...this.#armed.values()]) {
      armed.abort.abort();
      this.#finish(armed, 'done');
    }
  }
}
