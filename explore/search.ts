// The search: every state reachable in every order of steps, each visited once, shortest paths first. A state is kept as the
// numbers of its parts' values (there are few values and many combinations), so that it is compared exactly, in a few words.
// Leaves what the steps are to model.ts and how a path is told to path.ts.
import { assert } from '../lib/core/errors.js';
import type { Model } from './model.js';
import type { StoreState } from './store.js';
import { isWedged } from './stuck.js';
import { type Actor, type Move, PARTS, type Violation, type World } from './world.js';

export interface Bounds {
  readonly statesMax: number;
  /** Violations of different kinds after which it ends. */
  readonly violationsMax: number;
}

export interface Path {
  /** The states on the way, from the first. */
  readonly path: readonly number[];
  /** Which actor takes each step, by its place in the model. */
  readonly choices: readonly number[];
}

/** The violation is in the last step, or in the last state. */
export interface Found extends Path {
  readonly violation: Violation;
}

export interface Result {
  readonly states: number;
  readonly edges: number;
  readonly rests: number;
  /** Of them, those in which a guest waits for ever because Linux's dom0 leaves what a dead backend had. */
  readonly wedged: number;
  readonly depth: number;
  /** Every reachable state was visited; false: a bound was hit, nothing is proved. */
  readonly whole: boolean;
  readonly bound?: string;
  readonly found: readonly Found[];
  readonly ms: number;
}

export interface Progressing {
  readonly states: number;
  readonly waiting: number;
  readonly depth: number;
  readonly ms: number;
}

const WIDTH = PARTS.length;
const DOINGS = PARTS.indexOf('doings');

/** Numbers for the values of one part, in the order they were met. */
class Values {
  readonly #byKey = new Map<string, number>();
  readonly #known = new WeakMap<object, number>();
  readonly list: object[] = [];

  numberOf(value: object): number {
    let number = this.#known.get(value);
    if (number !== undefined) return number;
    const key = keyOf(value);
    number = this.#byKey.get(key);
    if (number === undefined) {
      number = this.list.length;
      this.list.push(value);
      this.#byKey.set(key, number);
    }
    this.#known.set(value, number);
    return number;
  }
}

/** The order in which nodes were made, or watches set, is no difference: no two watches of a client tell of the same path. */
function keyOf(value: object): string {
  if (!('nodes' in value)) return JSON.stringify(value);
  const { nodes, watches, ...rest } = value as StoreState;
  const sorted = Object.keys(nodes).sort();
  const set = watches.map((watch) => `${watch.client} ${watch.path} ${watch.token}`).sort();
  return JSON.stringify([sorted, sorted.map((path) => nodes[path]), set, rest]);
}

/** States as rows of numbers, found by an open table of row numbers. */
class Rows {
  #cells = new Int32Array(WIDTH * 1024);
  #table = new Int32Array(4096).fill(-1);
  count = 0;

  /** The row of these numbers; `count` grew when it is new. */
  add(row: Int32Array): number {
    if ((this.count + 1) * 2 > this.#table.length) this.#grow();
    const mask = this.#table.length - 1;
    for (let slot = hash(row, 0) & mask; ; slot = (slot + 1) & mask) {
      const at = this.#table[slot] as number;
      if (at < 0) {
        this.#table[slot] = this.count;
        this.#store(row);
        return this.count++;
      }
      if (this.#same(at, row)) return at;
    }
  }
  read(index: number, into: Int32Array): void {
    for (let cell = 0; cell < WIDTH; cell++) into[cell] = this.#cells[index * WIDTH + cell] as number;
  }
  #same(index: number, row: Int32Array): boolean {
    for (let cell = 0; cell < WIDTH; cell++) if (this.#cells[index * WIDTH + cell] !== row[cell]) return false;
    return true;
  }
  #store(row: Int32Array): void {
    if ((this.count + 1) * WIDTH > this.#cells.length) {
      const cells = new Int32Array(this.#cells.length * 2);
      cells.set(this.#cells);
      this.#cells = cells;
    }
    this.#cells.set(row, this.count * WIDTH);
  }
  #grow(): void {
    const table = new Int32Array(this.#table.length * 2).fill(-1);
    const mask = table.length - 1;
    for (let index = 0; index < this.count; index++) {
      let slot = hash(this.#cells, index * WIDTH) & mask;
      while ((table[slot] as number) >= 0) slot = (slot + 1) & mask;
      table[slot] = index;
    }
    this.#table = table;
  }
}

function hash(cells: Int32Array, from: number): number {
  let mixed = 0x811c9dc5;
  for (let cell = 0; cell < WIDTH; cell++) {
    mixed = Math.imul(mixed ^ (cells[from + cell] as number), 0x85ebca6b);
    mixed ^= mixed >>> 15;
  }
  return mixed >>> 0;
}

/** A list of numbers that grows. */
class Numbers {
  #cells = new Int32Array(1024);
  set(index: number, value: number): void {
    if (index >= this.#cells.length) {
      const cells = new Int32Array(this.#cells.length * 2);
      cells.set(this.#cells);
      this.#cells = cells;
    }
    this.#cells[index] = value;
  }
  get(index: number): number {
    return this.#cells[index] as number;
  }
}

/** Steps between states. */
class Steps {
  readonly #from = new Numbers();
  readonly #to = new Numbers();
  #count = 0;

  push(from: number, to: number): void {
    this.#from.set(this.#count, from);
    this.#to.set(this.#count++, to);
  }

  forEach(visit: (from: number, to: number) => void): void {
    for (let step = 0; step < this.#count; step++) visit(this.#from.get(step), this.#to.get(step));
  }

  /** The first of `states` states from which no way leads to any of `ends`. */
  neverReaching(ends: readonly number[], states: number): number | undefined {
    // Steps by where they lead: `starts[state]` is where those into `state` begin in `sources`.
    const starts = new Int32Array(states + 1);
    for (let step = 0; step < this.#count; step++) starts[this.#to.get(step) + 1]!++;
    for (let state = 0; state < states; state++) starts[state + 1]! += starts[state]!;
    const sources = new Int32Array(this.#count);
    const next = starts.slice();
    for (let step = 0; step < this.#count; step++) sources[next[this.#to.get(step)]!++] = this.#from.get(step);
    const reaches = new Uint8Array(states);
    const waiting = [...new Set(ends)];
    for (const state of waiting) reaches[state] = 1;
    for (let state = waiting.pop(); state !== undefined; state = waiting.pop()) {
      for (let at = starts[state]!; at < starts[state + 1]!; at++) {
        const source = sources[at] as number;
        if (reaches[source]) continue;
        reaches[source] = 1;
        waiting.push(source);
      }
    }
    const lost = reaches.indexOf(0);
    return lost < 0 ? undefined : lost;
  }
}

/** What an actor's step comes to: new values of parts, or nothing. */
interface Known {
  readonly enabled: boolean;
  /** Part and number of its new value, one after the other. */
  readonly writes: readonly number[];
  readonly violations: readonly Violation[];
}
const NOT_NOW: Known = { enabled: false, writes: [], violations: [] };

/**
 * Steps that were taken before, as a tree: which part an actor looks at first, then by its value which it looks at next, and
 * at the end what its step comes to. A step is a function of the parts that it looked at, so it is worked out once for each
 * of their values, however many states have them.
 */
type Memo = { readonly part: number; readonly by: Map<number, Memo> } | Known;

/** A state as a world that writes down which of its parts are looked at. */
class Looked implements World {
  readonly order: number[] = [];
  readonly #part: (part: number) => object;
  constructor(part: (part: number) => object) {
    this.#part = part;
  }
  #look<T>(part: number): T {
    if (!this.order.includes(part)) this.order.push(part);
    return this.#part(part) as T;
  }
  get store(): World['store'] {
    return this.#look(0);
  }
  get guest(): World['guest'] {
    return this.#look(1);
  }
  get inbox(): World['inbox'] {
    return this.#look(2);
  }
  get back(): World['back'] {
    return this.#look(3);
  }
  get tool(): World['tool'] {
    return this.#look(4);
  }
  get xen(): World['xen'] {
    return this.#look(5);
  }
  get doings(): World['doings'] {
    return this.#look(6);
  }
}

export class Search {
  readonly model: Model;
  readonly #rows = new Rows();
  readonly #values = PARTS.map(() => new Values());
  readonly #parents = new Numbers();
  readonly #choices = new Numbers();
  /** Between states, faults apart. */
  readonly #steps = new Steps();
  readonly #memos: (Memo | undefined)[];

  constructor(model: Model) {
    this.model = model;
    this.#memos = model.actors.map(() => undefined);
  }

  /** Visits everything. `now` in milliseconds; `onProgress` about once a second. */
  run(bounds: Bounds, now: () => number, onProgress: (progress: Progressing) => void = () => {}): Result {
    const began = now();
    let told = began;
    const found: Found[] = [];
    const kinds = new Set<string>();
    const ends: number[] = [];
    let [edges, rests, wedged, depth, levelEnd] = [0, 0, 0, 0, 1];
    let bound: string | undefined;
    for (const [part, name] of PARTS.entries()) this.#from[part] = this.#values[part]!.numberOf(this.model.first[name]);
    this.#add(this.#from, [], -1, 0);
    let index = 0;
    const { actors } = this.model;
    const judge = (violations: readonly Violation[], choice: number | undefined): void => {
      for (const violation of violations) {
        const kind = `${violation.property}: ${violation.text}`;
        if (kinds.has(kind)) continue;
        kinds.add(kind);
        found.push({ violation, ...this.#pathTo(index, choice) });
      }
    };
    for (; index < this.#rows.count; index++) {
      if (index === levelEnd) {
        depth++;
        levelEnd = this.#rows.count;
      }
      if (found.length >= bounds.violationsMax) {
        bound = `${found.length} violations`;
        break;
      }
      if (this.#rows.count > bounds.statesMax) {
        bound = `${bounds.statesMax} states`;
        break;
      }
      if ((index & 0xfff) === 0 && now() - told > 1000) {
        told = now();
        onProgress({ states: this.#rows.count, waiting: this.#rows.count - index, depth, ms: told - began });
      }
      const row = this.#from;
      this.#rows.read(index, row);
      let free = false;
      const { left } = this.#values[DOINGS]!.list[row[DOINGS] as number] as World['doings'];
      for (let choice = 0; choice < actors.length; choice++) {
        const { kind } = actors[choice] as Actor;
        if ((kind === 'time' && free) || (kind === 'fault' && left === 0)) continue;
        const { enabled, writes, violations } = this.#step(choice, row);
        if (!enabled) continue;
        edges++;
        if (kind !== 'fault') free = true;
        if (violations.length > 0) {
          judge(violations, choice);
          // Where a broken step leads is not visited: it counts as an end.
          if (kind !== 'fault') ends.push(index);
          continue;
        }
        const next = this.#add(row, writes, index, choice);
        if (kind !== 'fault') this.#steps.push(index, next);
      }
      if (!free) {
        rests++;
        ends.push(index);
        const world = this.world(index);
        if (isWedged(world)) wedged++;
        judge(this.model.judgeRest(world), undefined);
      }
    }
    if (bound === undefined) {
      const lost = this.#steps.neverReaching(ends, this.#rows.count);
      if (lost !== undefined) {
        index = lost;
        judge([{ property: 'livelock', text: 'from here on nothing ever comes to rest' }], undefined);
      }
    }
    const ms = now() - began;
    const states = this.#rows.count;
    return {
      states,
      edges,
      rests,
      wedged,
      depth,
      whole: bound === undefined,
      ...(bound === undefined ? {} : { bound }),
      found,
      ms,
    };
  }

  /** The state that is visited, and one that is reached from it. */
  readonly #from = new Int32Array(WIDTH);
  readonly #to = new Int32Array(WIDTH);

  #step(choice: number, row: Int32Array): Known {
    let memo = this.#memos[choice];
    while (memo !== undefined && 'by' in memo) memo = memo.by.get(row[memo.part] as number);
    return memo ?? this.#workOut(choice, row);
  }

  #workOut(choice: number, row: Int32Array): Known {
    const looked = new Looked((part) => this.#values[part]!.list[row[part] as number] as object);
    const move = this.model.step(this.model.actors[choice] as Actor, looked);
    let known = NOT_NOW;
    if (move !== undefined) {
      const { changed, violations } = move;
      const writes = PARTS.flatMap((name, part) => {
        const value = changed[name];
        return value === undefined ? [] : [part, this.#values[part]!.numberOf(value)];
      });
      known = { enabled: true, writes, violations };
    }
    let at: Memo = known;
    for (const part of [...looked.order].reverse()) at = { part, by: new Map([[row[part] as number, at]]) };
    this.#memos[choice] = merged(this.#memos[choice], at);
    return known;
  }

  #add(from: Int32Array, writes: readonly number[], parent: number, choice: number): number {
    const row = this.#to;
    row.set(from);
    for (let at = 0; at < writes.length; at += 2) row[writes[at] as number] = writes[at + 1] as number;
    const before = this.#rows.count;
    const index = this.#rows.add(row);
    if (index < before) return index;
    this.#parents.set(index, parent);
    this.#choices.set(index, choice);
    return index;
  }

  /** A state, made from the values of its parts. */
  world(index: number): World {
    const row = new Int32Array(WIDTH);
    this.#rows.read(index, row);
    const entries = PARTS.map((name, part) => [name, this.#values[part]!.list[row[part] as number]] as const);
    return Object.fromEntries(entries) as unknown as World;
  }

  #pathTo(index: number, last: number | undefined): { path: number[]; choices: number[] } {
    const path = [index];
    const choices = last === undefined ? [] : [last];
    for (let at = index; this.#parents.get(at) >= 0; at = this.#parents.get(at)) {
      path.unshift(this.#parents.get(at));
      choices.unshift(this.#choices.get(at));
    }
    return { path, choices };
  }

  /** The shortest way to each state in which this actor has a step, with that step; after run(). */
  *pathsTo(name: string): Generator<Path> {
    const choice = this.model.actors.findIndex((actor) => actor.name === name);
    assert(choice >= 0, `nothing is called ${name}`);
    const row = new Int32Array(WIDTH);
    for (let index = 0; index < this.#rows.count; index++) {
      this.#rows.read(index, row);
      if (this.#step(choice, row).enabled) yield this.#pathTo(index, choice);
    }
  }

  /** Steps between states, faults apart, as `see` numbers these (below 2^26), where it tells them apart; after run(). */
  projected(see: (world: World) => number): ReadonlySet<number> {
    const seen = new Int32Array(this.#rows.count);
    for (let index = 0; index < seen.length; index++) seen[index] = see(this.world(index));
    const steps = new Set<number>();
    this.#steps.forEach((from, to) => {
      if (seen[from] !== seen[to]) steps.add(seen[from]! * 2 ** 26 + seen[to]!);
    });
    return steps;
  }

  /** The moves along a path, with what happened in each. */
  explain({ path, choices }: Path): Move[] {
    return choices.map((choice, step) => {
      const actor = this.model.actors[choice] as Actor;
      return this.model.step(actor, this.world(path[step] as number), true) as Move;
    });
  }

  /** How many values each part took. */
  sizes(): Readonly<Record<string, number>> {
    return Object.fromEntries(PARTS.map((name, part) => [name, (this.#values[part] as Values).list.length]));
  }
}

/** A path of looks joined to those known before; both begin with the same part, an actor's first look. */
function merged(known: Memo | undefined, added: Memo): Memo {
  if (known === undefined) return added;
  if (!('by' in known) || !('by' in added)) return added;
  assert(known.part === added.part, 'a step looks at the same part after the same values');
  for (const [value, below] of added.by) known.by.set(value, merged(known.by.get(value), below));
  return known;
}
