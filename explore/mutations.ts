// Wrong tables, made mechanically: each cell of the rows at rest sent elsewhere, each rule of work robbed of its effect. A search
// that does not notice one is too weak, or the change makes no difference. Cells and rules that the unchanged search never comes
// to are left out: it can say nothing of them.
import { XenbusState } from '../lib/layout/xenbus.js';
import { BACK_REVIEW, type BackTables } from '../lib/xenbus/backend.js';
import { FRONT_REVIEW, type FrontTables } from '../lib/xenbus/frontend.js';
import { reviewBackend } from './back.js';
import { reviewDriver } from './front-review.js';
import { Model, type Options } from './model.js';
import { type Bounds, Search } from './search.js';
import type { World } from './world.js';

export interface Mutation {
  /** "front rest connected[5] releasing -> stay" */
  readonly name: string;
  readonly front: FrontTables;
  readonly back: BackTables;
}

type Cells = Readonly<Record<string, Readonly<Record<number, string>>>>;

/** A copy of a table that notes which cells are read. */
function watched<T extends Cells>(table: T, prefix: string, seen: Set<string>): T {
  const rows = Object.entries(table).map(([phase, row]) => [
    phase,
    new Proxy(row, {
      get(cells, state) {
        seen.add(`${prefix} ${phase}[${String(state)}]`);
        return cells[state as unknown as number];
      },
    }),
  ]);
  return Object.fromEntries(rows) as T;
}

function watchedRules<T extends object>(rules: T, prefix: string, seen: Set<string>): T {
  return new Proxy(rules, {
    get(all, name) {
      seen.add(`${prefix} ${String(name)}`);
      return all[name as keyof T];
    },
  });
}

/** What the unchanged search looks at. */
function reached(base: Options, bounds: Bounds): Set<string> {
  const seen = new Set<string>();
  const front: FrontTables = {
    ...FRONT_REVIEW,
    rest: watched(FRONT_REVIEW.rest, 'front rest', seen),
    work: watchedRules(FRONT_REVIEW.work, 'front work', seen),
  };
  const back: BackTables = {
    ...BACK_REVIEW,
    rest: watched(BACK_REVIEW.rest, 'back rest', seen),
    own: watched(BACK_REVIEW.own, 'back own', seen),
    work: watchedRules(BACK_REVIEW.work, 'back work', seen),
  };
  caught(base, { name: '', front, back }, bounds);
  return seen;
}

/** Whether a search finds something wrong: a broken rule, or a machine that cannot go on for want of a value. */
export function caught(base: Options, { front, back }: Mutation, bounds: Bounds): boolean {
  const model = new Model({ ...base, driver: reviewDriver(front), backend: reviewBackend(back) });
  try {
    return new Search(model).run({ ...bounds, violationsMax: 1 }, () => 0).found.length > 0;
  } catch (error) {
    if (error instanceof TypeError) return true;
    throw error;
  }
}

/** A cell that does nothing lets go; one that does something does nothing. */
const otherwise = (move: string, instead: string): string => (move === 'stay' ? instead : 'stay');

function cellMutations<T extends Cells>(
  table: T,
  prefix: string,
  instead: string,
  make: (table: T) => Omit<Mutation, 'name'>,
): Mutation[] {
  return Object.entries(table).flatMap(([phase, row]) =>
    Object.values(XenbusState).map((state) => {
      const move = otherwise(row[state] as string, instead);
      const name = `${prefix} ${phase}[${state}] ${row[state]} -> ${move}`;
      return { name, ...make({ ...table, [phase]: { ...row, [state]: move } }) };
    }),
  );
}

/** Every mutation that a search of these options comes to. */
export function mutations(base: Options, bounds: Bounds): Mutation[] {
  const [front, back] = [FRONT_REVIEW, BACK_REVIEW];
  const all = [
    ...cellMutations(front.rest, 'front rest', 'releasing', (rest) => ({ front: { ...front, rest }, back })),
    ...cellMutations(back.rest, 'back rest', 'finish', (rest) => ({ front, back: { ...back, rest } })),
    ...cellMutations(back.own, 'back own', 'finish', (own) => ({ front, back: { ...back, own } })),
    ...Object.entries(front.work).map(([name, rule]) => {
      // A read that nothing depends on stands for the effect that is left out.
      const without = { ...rule, effect: (state: never) => (rule.effect(state) === undefined ? undefined : IDLE) };
      return {
        name: `front work ${name} without its effect`,
        front: { ...front, work: { ...front.work, [name]: without } },
        back,
      };
    }),
    ...Object.entries(back.work).map(([name, rule]) => ({
      name: `back work ${name} without its effect`,
      front,
      back: { ...back, work: { ...back.work, [name]: { ...rule, effect: () => undefined } } },
    })),
  ] as Mutation[];
  const seen = reached(base, bounds);
  const place = (name: string): string =>
    name.includes(' work ')
      ? name.replace(' without its effect', '')
      : name.split('] ')[0] + (name.includes('[') ? ']' : '');
  return all.filter(({ name }) => seen.has(place(name)));
}

/** Numbers of what others can see of worlds; one for all searches that are compared. */
export class Visible {
  readonly #texts = new WeakMap<object, string>();
  readonly #numbers = new Map<string, number>();

  /** Keys, Xen and its registers, the toolstack; not what an end keeps to itself. */
  readonly numberOf = ({ store, xen, tool }: World): number => {
    const nodes = this.#textOf(store, () => Object.entries(store.nodes).sort());
    const text = [nodes, this.#textOf(xen, () => xen), this.#textOf(tool, () => tool)].join('|');
    const known = this.#numbers.get(text) ?? this.#numbers.size;
    this.#numbers.set(text, known);
    return known;
  };

  #textOf(part: object, seen: () => unknown): string {
    const known = this.#texts.get(part) ?? JSON.stringify(seen());
    this.#texts.set(part, known);
    return known;
  }
}

/**
 * What others can see of a search's steps. Two tables that come to the same set differ in nothing that another process or the
 * guest's driver can tell; undefined: the search was cut short.
 */
export function visibleSteps(
  base: Options,
  { front, back }: Omit<Mutation, 'name'>,
  bounds: Bounds,
  visible: Visible,
): ReadonlySet<number> | undefined {
  const search = new Search(new Model({ ...base, driver: reviewDriver(front), backend: reviewBackend(back) }));
  if (!search.run(bounds, () => 0).whole) return undefined;
  return search.projected(visible.numberOf);
}

export const sameSteps = (one: ReadonlySet<number> | undefined, other: ReadonlySet<number> | undefined): boolean =>
  one !== undefined && other !== undefined && one.size === other.size && [...one].every((step) => other.has(step));

export interface Survivor {
  readonly name: string;
  /** `equivalent`: the same visible steps. `redundant`: with the change of the other end that is named, it is noticed. */
  readonly because: 'equivalent' | 'redundant' | 'unexplained';
  readonly other?: string;
}

/** Why each change that no search noticed was not. */
export function explained(base: Options, survivors: readonly Mutation[], bounds: Bounds): Survivor[] {
  const visible = new Visible();
  const unchanged = visibleSteps(base, { front: FRONT_REVIEW, back: BACK_REVIEW }, bounds, visible);
  const same = survivors.map((mutation) => sameSteps(unchanged, visibleSteps(base, mutation, bounds, visible)));
  const different = survivors.filter((_, index) => !same[index]);
  return survivors.map((mutation, index) => {
    const { name } = mutation;
    if (same[index]) return { name, because: 'equivalent' };
    const other = different.find((each) => {
      const pair = both(mutation, each);
      return pair !== undefined && caught(base, pair, bounds);
    });
    return other === undefined ? { name, because: 'unexplained' } : { name, because: 'redundant', other: other.name };
  });
}

/** Two changes at once, one at each end; undefined: both are at one end. */
function both(one: Mutation, other: Mutation): Mutation | undefined {
  const fronts = [one, other].filter(({ front }) => front !== FRONT_REVIEW);
  const backs = [one, other].filter(({ back }) => back !== BACK_REVIEW);
  if (fronts.length !== 1 || backs.length !== 1) return undefined;
  return { name: `${one.name}, and ${other.name}`, front: fronts[0]!.front, back: backs[0]!.back };
}

const IDLE = { type: 'read', key: 'state' } as const;
