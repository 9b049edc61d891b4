// The lists of faults of a guided search: those that led to a behaviour not seen before are kept, and the next ones are made from
// them by a small change. Pure: what is proposed follows from the seed and from what was taken. Leaves running to search.ts, what
// a behaviour is to coverage.ts.
import type { PointInstance } from '../../lib/trace/instances.js';
import { areConnected, type ChaosCase, caseOf, type FaultAt, faultsOf, formatCase } from '../case.js';
import type { Choice } from '../enumerate.js';
import { faultNamed } from '../faults/table.js';

export interface CorpusSettings extends Pick<Choice, 'faults' | 'victims' | 'restarts'> {
  /** The most faults of a list. */
  readonly bound: number;
  /** From 0 to below `below`. */
  readonly draw: (below: number) => number;
}

/** What a run of a list showed. */
export interface Taken {
  readonly behaviours: readonly string[];
  /** Points at which the fault after each fault of the list could happen, in the order of the run. */
  readonly after: readonly (readonly PointInstance[])[];
}

/** A list that led to something new, with the points that each of its faults could have had, and those for one more. */
interface Entry {
  readonly faults: readonly FaultAt[];
  readonly points: readonly (readonly PointInstance[])[];
  proposed: number;
}

/** One proposal in so many is a first fault of its own, not made from a list. */
const FRESH_ONE_IN = 5;
/** Changes tried before the search says that it knows no list that it has not proposed. */
const TRIES_MAX = 200;

export class Corpus {
  readonly #settings: CorpusSettings;
  readonly #first: readonly PointInstance[];
  readonly #entries: Entry[] = [];
  readonly #seen = new Set<string>();
  readonly #proposed = new Set<string>();

  /** `first`: the points at which a first fault can happen, in the order of a run. */
  constructor(first: readonly PointInstance[], settings: CorpusSettings) {
    this.#first = first;
    this.#settings = settings;
  }

  /** How many behaviours were seen. */
  get behaviourCount(): number {
    return this.#seen.size;
  }

  /** Returns how many behaviours are new; a list that led to one is kept. */
  take(chaosCase: ChaosCase, { behaviours, after }: Taken): number {
    const fresh = new Set(behaviours.filter((key) => !this.#seen.has(key)));
    for (const key of fresh) this.#seen.add(key);
    if (fresh.size > 0) {
      this.#entries.push({ faults: faultsOf(chaosCase), points: [this.#first, ...after], proposed: 0 });
    }
    return fresh.size;
  }

  /** A list not proposed before; undefined when none is found. */
  propose(): ChaosCase | undefined {
    for (let tried = 0; tried < TRIES_MAX; tried++) {
      const faults = this.#one();
      if (faults?.every(isPossible) !== true) continue;
      const chaosCase = caseOf(faults);
      const text = formatCase(chaosCase);
      if (this.#proposed.has(text)) continue;
      this.#proposed.add(text);
      return chaosCase;
    }
    return undefined;
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list.length === 0 ? undefined : list[this.#settings.draw(list.length)];
  }

  #one(): FaultAt[] | undefined {
    const { draw } = this.#settings;
    const entry = draw(FRESH_ONE_IN) === 0 ? undefined : this.#kept();
    if (entry === undefined) {
      const fault = this.#faultAt(this.#first);
      return fault === undefined ? undefined : [fault];
    }
    entry.proposed++;
    const change = this.#pick(CHANGES)!;
    return change === 'add' ? this.#add(entry) : this.#change(entry, change);
  }

  /** Of two kept lists the one from which fewer were made: what is new is looked at first, nothing is forgotten. */
  #kept(): Entry | undefined {
    const [one, other] = [this.#pick(this.#entries), this.#pick(this.#entries)];
    return one !== undefined && other !== undefined && other.proposed < one.proposed ? other : one;
  }

  /** A fault at one of the points: first a process, then a kind of point, so that rare ones are not lost among the many. */
  #faultAt(points: readonly PointInstance[]): FaultAt | undefined {
    const process = this.#pick([...new Set(points.map((each) => each.process))]);
    const ofProcess = points.filter((each) => each.process === process);
    const point = this.#pick([...new Set(ofProcess.map((each) => each.point))]);
    const at = this.#pick(ofProcess.filter((each) => each.point === point));
    return at === undefined ? undefined : { at, ...this.#harm() };
  }

  #harm(): Omit<FaultAt, 'at'> {
    const { faults, victims, restarts } = this.#settings;
    return this.#withRestart(this.#pick(faults)!, this.#pick(victims)!, this.#pick(restarts)!);
  }

  /** Only a process that ends is replaced: for other faults one word stands. */
  #withRestart(fault: string, victim: FaultAt['victim'], restart: FaultAt['restart']): Omit<FaultAt, 'at'> {
    const replaces = faultNamed(fault)?.fault.replaces === true;
    return { fault, victim, restart: replaces ? restart : this.#settings.restarts[0]! };
  }

  #add({ faults, points }: Entry): FaultAt[] | undefined {
    if (faults.length >= this.#settings.bound) return undefined;
    const fault = this.#faultAt(points[faults.length] ?? []);
    return fault === undefined ? undefined : [...faults, fault];
  }

  #change({ faults, points }: Entry, change: Exclude<Change, 'add'>): FaultAt[] | undefined {
    const index = this.#settings.draw(faults.length);
    const { at, fault, victim, restart } = faults[index]!;
    let changed: FaultAt | undefined;
    if (change === 'move') {
      const moved = this.#moved(at, points[index] ?? []);
      if (moved !== undefined) changed = { at: moved, fault, victim, restart };
    } else if (change === 'fault') {
      const other = this.#pick(this.#settings.faults.filter((each) => each !== fault));
      if (other !== undefined) changed = { at, ...this.#withRestart(other, victim, restart) };
    } else {
      const other = this.#pick(this.#settings.victims.filter((each) => each !== victim));
      if (other !== undefined) changed = { at, ...this.#withRestart(fault, other, restart) };
    }
    // Faults behind the changed one were found after the old one: they may not come about any more, which the run tells.
    return changed === undefined ? undefined : faults.map((each, place) => (place === index ? changed : each));
  }

  /** One point later or earlier of the same process. */
  #moved(at: PointInstance, points: readonly PointInstance[]): PointInstance | undefined {
    const ofProcess = points.filter(({ process }) => process === at.process);
    const place = ofProcess.findIndex(
      ({ point, label, occurrence }) => point === at.point && label === at.label && occurrence === at.occurrence,
    );
    return place < 0 ? undefined : ofProcess[place + (this.#settings.draw(2) === 0 ? 1 : -1)];
  }
}

const isPossible = ({ at, fault, victim }: FaultAt): boolean =>
  faultNamed(fault)?.fault.ofConnections !== true || areConnected(at.process, victim);

const CHANGES = ['add', 'add', 'move', 'fault', 'victim'] as const;
type Change = (typeof CHANGES)[number];
