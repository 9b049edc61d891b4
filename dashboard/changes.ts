// What a page has to be told after each look: of a section that is a list the items that are new or other than before, with the order
// of all; of another section all of it. A lab of 32 guests where one frame was drawn costs one device's text. Pure.

/** `items` by their keys, in the order of `order`; what is told of a list. */
export interface ListChange {
  readonly order: readonly string[];
  readonly changed: Readonly<Record<string, object>>;
}

/** Sections of the page by their names: a ListChange of each list, each other one as it is. */
export type Sections = Readonly<Record<string, object>>;

/** A section that is a list, its items by what tells one from another. */
export class Listed {
  readonly items: ReadonlyMap<string, object>;
  constructor(items: ReadonlyMap<string, object>) {
    this.items = items;
  }
}

export const listed = <T extends object>(items: readonly T[], key: (item: T) => string): Listed =>
  new Listed(new Map(items.map((item) => [key(item), item])));

interface Told {
  readonly text: string;
  readonly what: object;
}

const told = (what: object): Told => ({ what, text: JSON.stringify(what) });

export class Changes {
  readonly #lists = new Map<string, ReadonlyMap<string, Told>>();
  readonly #plain = new Map<string, Told>();

  /** Of these sections what is other than it was last told. */
  of(sections: Readonly<Record<string, Listed | object>>): Sections {
    const changed = Object.entries(sections).map(
      ([name, section]) =>
        [name, section instanceof Listed ? this.#list(name, section) : this.#one(name, section)] as const,
    );
    return Object.fromEntries(changed.flatMap(([name, change]) => (change === undefined ? [] : [[name, change]])));
  }

  #list(name: string, { items }: Listed): ListChange | undefined {
    const before = this.#lists.get(name);
    const after = new Map([...items].map(([key, item]) => [key, told(item)]));
    this.#lists.set(name, after);
    const order = [...after.keys()];
    const changed = order.filter((key) => before?.get(key)?.text !== after.get(key)!.text);
    const keys = before === undefined ? undefined : [...before.keys()];
    const isSame = keys?.length === order.length && keys.every((key, index) => key === order[index]);
    if (isSame && changed.length === 0) return undefined;
    return { order, changed: Object.fromEntries(changed.map((key) => [key, after.get(key)!.what])) };
  }

  #one(name: string, section: object): object | undefined {
    const before = this.#plain.get(name)?.text;
    const after = told(section);
    this.#plain.set(name, after);
    return before === after.text ? undefined : section;
  }

  /** Everything that was told, for a page that has just been opened. */
  whole(): Sections {
    const lists = [...this.#lists].map(([name, items]): [string, ListChange] => {
      const changed = Object.fromEntries([...items].map(([key, { what }]) => [key, what]));
      return [name, { order: [...items.keys()], changed }];
    });
    return Object.fromEntries([...lists, ...[...this.#plain].map(([name, { what }]) => [name, what])]);
  }
}
