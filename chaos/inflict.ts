// The faults of one case: each has its gate armed while the process of the one before stands at its own, and is done when its own
// process stands there. Faults may overlap, as the second of them may fall into what the first one caused. Leaves what a fault
// does to faults/, what a guest does meanwhile to engine.ts.
import { type Gate, GateError, ProcessGates } from '../lab/gates.js';
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { assert } from '../lib/core/errors.js';
import { type FaultAt, GUEST_PROCESS } from './case.js';
import { faultNamed } from './faults/table.js';
import type { Rig } from './rig.js';
import { sceneOf } from './scene.js';
import { type LabSnapshot, takeSnapshot } from './snapshot.js';
import { Stops } from './stops.js';

export interface InflictParts {
  readonly tell: (line: string) => void;
  /** A process did not end as it should. */
  readonly violated: (what: string) => void;
  /** Removes the guest; a failure that is no bug of ours is told. */
  readonly remove: () => Promise<void>;
  /** Asks the lab what it holds as the first fault begins. */
  readonly snapshots: boolean;
}

/** When a fault happened, on CLOCK_MONOTONIC. */
export interface Moment {
  /** The process stands at the point. */
  readonly faultNs: bigint;
  /** The fault is over; undefined until then. */
  healedNs?: bigint;
}

/** A gate that is armed, in one life of a process. */
interface Armed {
  readonly gates: ProcessGates;
  readonly gate: Gate;
}

export class Infliction {
  readonly #rig: Rig;
  readonly #faults: readonly FaultAt[];
  readonly #parts: InflictParts;
  readonly #stops = new Stops();
  readonly #abort = new AbortController();
  readonly #opened = new Map<number, ProcessGates>();
  readonly #moments: Moment[] = [];
  /** Of those that have begun: each resolves when its fault is over. */
  readonly #over: Promise<void>[] = [];
  /** Of a gate that can not be hit any more: its process has ended, or had passed the point. */
  #tooLate: string | undefined;
  #failed!: (reason: unknown) => void;
  /** Rejects with what ended a fault before it was over, a DeadlineError for one. */
  readonly failed: Promise<never>;
  /** What the lab held as the first fault began, asked between `sinceNs` and the moment of that fault. */
  before: (LabSnapshot & { readonly sinceNs: bigint }) | undefined;

  constructor(rig: Rig, faults: readonly FaultAt[], parts: InflictParts) {
    this.#rig = rig;
    this.#faults = faults;
    this.#parts = parts;
    this.failed = new Promise((_, reject) => {
      this.#failed = reject;
    });
    this.failed.catch(() => {}); // looked at when the story has come that far
  }

  /** In the order of the case; as many as have begun. */
  get moments(): readonly Moment[] {
    return this.#moments;
  }

  /** Why not all faults have begun, one sentence; undefined: all have. */
  get unreached(): string | undefined {
    const missing = this.#faults[this.#moments.length];
    const why = this.#tooLate === undefined ? '' : `: ${this.#tooLate}`;
    return missing === undefined ? undefined : `${missing.at.process} did not come to the point of the case${why}`;
  }

  /** No fault is under way: those that have begun are over. */
  get isQuiet(): boolean {
    return this.#moments.every(({ healedNs }) => healedNs !== undefined);
  }

  /** The guest's process starts, held where it is to stand, so that everything that it does can be a point. */
  async begin(): Promise<void> {
    const first = this.#faults[0];
    const guestStands = first?.at.process === GUEST_PROCESS;
    this.#rig.start(GUEST_PROCESS, { hold: guestStands });
    if (first === undefined) return;
    const gates = await this.#open(first.at.process);
    this.#run(0, guestStands ? await this.#armHeld(gates, first) : this.#arm(gates, first));
  }

  /** Resolves once no fault is under way; rejects as `failed` does. */
  async settled(): Promise<void> {
    while (!this.isQuiet) await Promise.race([Promise.all(this.#over), this.failed]);
  }

  close(): void {
    this.#abort.abort();
    for (const gates of this.#opened.values()) gates.close();
    this.#opened.clear();
  }

  async #open(name: string, pid?: number): Promise<ProcessGates> {
    const gates = await ProcessGates.open(this.#rig.runDir, name, DEADLINE_MS.chaosStart, pid);
    const known = this.#opened.get(gates.incarnation);
    if (known === undefined && !this.#abort.signal.aborted) {
      this.#opened.set(gates.incarnation, gates);
      return gates;
    }
    gates.close();
    if (known === undefined) throw new GateError('the case is over');
    return known;
  }

  #arm(gates: ProcessGates, { at }: FaultAt): Armed {
    const before = this.#rig.histories.countBefore({ ...at, incarnation: gates.incarnation });
    return { gates, gate: gates.arm({ ...at, occurrence: before + at.occurrence }) };
  }

  /** Arms a process that stands at its start, and lets it go. */
  async #armHeld(gates: ProcessGates, fault: FaultAt): Promise<Armed> {
    const held = await gates.standing(DEADLINE_MS.chaosStart);
    const armed = this.#arm(gates, fault);
    await gates.letGo(held, DEADLINE_MS.chaosStart);
    return armed;
  }

  /** Waits for fault `index` of the case, and does it. `stood`: the process stood elsewhere before, until that resolves. */
  #run(index: number, armed: Armed, stood: Promise<void> = Promise.resolve()): void {
    this.#inflict(index, armed, stood).catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    if (error instanceof GateError) this.#tooLate = error.message;
    else this.#failed(error);
  }

  async #inflict(index: number, armed: Armed, stood: Promise<void>): Promise<void> {
    const { gates, gate } = armed;
    const { fault, victim, restart, at } = this.#faults[index]!;
    await stood;
    await gates.standing(DEADLINE_MS.chaosCase, this.#abort.signal);
    this.#stops.hold(gates.pid, gate);
    this.#rig.reusesDomid ||= restart === 'same';
    const moment: Moment = { faultNs: await this.#begun(index, at.process) };
    const [over, isOver] = promise();
    const [gone, goesOn] = promise();
    this.#moments.push(moment);
    this.#over.push(over);
    try {
      await this.#armNext(index, armed, gone).catch((error: unknown) => this.#fail(error));
      const scene = sceneOf(this.#rig, {
        ...{ victim, standing: at.process, restart, stops: this.#stops },
        letGo: () => this.#letGo(armed).finally(goesOn),
        remove: this.#parts.remove,
        // What another fault did meanwhile may be why.
        violated: (what) => this.#overlaps(moment) || this.#parts.violated(what),
        tell: this.#parts.tell,
      });
      const named = faultNamed(fault);
      assert(named !== undefined, `${fault} is a fault`);
      await named.fault.run(scene, named.ms);
    } finally {
      goesOn();
    }
    moment.healedNs = process.hrtime.bigint();
    isOver();
    this.#parts.tell(`${fault} ${victim} is over`);
  }

  async #begun(index: number, standing: string): Promise<bigint> {
    const now = process.hrtime.bigint();
    this.#parts.tell(`${standing} stands at the point`);
    if (index > 0 || !this.#parts.snapshots) return now;
    // What the snapshot made the servers record is no part of the story.
    this.before = { ...(await takeSnapshot(this.#rig, standing)), sinceNs: now };
    return process.hrtime.bigint();
  }

  /** Another fault began while this one was under way, or was under way as this one began. */
  #overlaps(moment: Moment): boolean {
    return this.#moments.some(
      (other) =>
        other !== moment &&
        (other.healedNs === undefined || other.healedNs > moment.faultNs) &&
        (moment.healedNs === undefined || other.faultNs < moment.healedNs),
    );
  }

  /** While the process of fault `index` stands: the next fault has its gate armed now, or as the replacement of its process starts. */
  async #armNext(index: number, { gates: standing }: Armed, gone: Promise<void>): Promise<void> {
    const next = this.#faults[index + 1];
    if (next === undefined) return;
    const { fault, victim } = this.#faults[index]!;
    const name = next.at.process;
    if (faultNamed(fault)?.fault.replaces === true && (victim === name || victim === 'hypervisor')) {
      const replaced = this.#rig.holdNext(name).then(async (pid) => this.#armHeld(await this.#open(name, pid), next));
      replaced.then(
        (armed) => this.#run(index + 1, armed),
        (error: unknown) => this.#fail(error),
      );
    } else if (standing.process === name) {
      this.#run(index + 1, this.#arm(standing, next), gone);
    } else {
      this.#run(index + 1, this.#arm(await this.#open(name), next));
    }
  }

  async #letGo({ gates, gate }: Armed): Promise<void> {
    if (!this.#rig.isAlive(gates.process)) return;
    await this.#stops.alone(gates.pid, gate);
    this.#stops.release(gates.pid, gate);
    try {
      await gates.letGo(gate, DEADLINE_MS.chaosStart);
    } catch (error) {
      // It ended as it went on: whether it should have is judged by its exit.
      if (!(error instanceof GateError)) throw error;
    }
  }
}

function promise(): [Promise<void>, () => void] {
  let resolve!: () => void;
  const waiting = new Promise<void>((resolving) => {
    resolve = resolving;
  });
  return [waiting, resolve];
}
