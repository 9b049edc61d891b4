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

const IDLE = { type: 'read', key: 'state' } as const;
