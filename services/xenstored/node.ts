// One version of one node. A version never changes: writing makes the next one, so that a transaction can hold on to
// what it saw. Only the set of child names may go over to the next version, when no transaction holds this one.
import type { Perm } from './perms.js';

/**
 * Child names in creation order. Versions of a node share one set as long as the names do not change; when they do, the
 * next version takes the set over, unless a transaction still holds a version that shows it.
 */
export class ChildSet {
  readonly names: Set<string>;
  /** Open transactions that hold a version with this set. */
  holds: number;
  #listing: string | undefined;

  constructor(names: Iterable<string> = [], holds = 0) {
    this.names = new Set(names);
    this.holds = holds;
  }

  /** The names as DIRECTORY sends them, made once between changes. */
  get listing(): string {
    this.#listing ??= this.names.size === 0 ? '' : `${[...this.names].join('\0')}\0`;
    return this.#listing;
  }

  /** The set to change for the next version: this one, or a copy of it when a transaction holds it. */
  forChange(): ChildSet {
    if (this.holds > 0) return new ChildSet(this.names);
    this.#listing = undefined;
    return this;
  }
}

/** Of every leaf; never changed, because it always counts as held. */
const NO_CHILDREN = new ChildSet([], Number.POSITIVE_INFINITY);

/** What xenstored counts a node as: a header of 16 bytes, 8 a permission (its core.c: calc_node_acc_size). */
const HEADER_SIZE = 16;
const PERM_SIZE = 8;

export class StoreNode {
  readonly value: string;
  readonly perms: readonly Perm[];
  /** Value of the store-wide counter when this version was written. */
  readonly generation: number;
  /** When the node was made, as a number that only grows: the order of a parent's children. */
  readonly order: number;
  readonly childSet: ChildSet;
  /** Bytes of the child names with a NUL each. */
  readonly childBytes: number;

  constructor(fields: {
    value: string;
    perms: readonly Perm[];
    generation: number;
    order: number;
    childSet?: ChildSet;
    childBytes?: number;
  }) {
    this.value = fields.value;
    this.perms = fields.perms;
    this.generation = fields.generation;
    this.order = fields.order;
    this.childSet = fields.childSet ?? NO_CHILDREN;
    this.childBytes = fields.childBytes ?? 0;
  }

  get size(): number {
    return nodeSize(this.perms.length, this.value.length, this.childBytes);
  }

  get owner(): number {
    return (this.perms[0] as Perm).domid;
  }

  get children(): ReadonlySet<string> {
    return this.childSet.names;
  }

  withValue(value: string, generation: number): StoreNode {
    return new StoreNode({ ...this.#fields(), value, generation });
  }

  withPerms(perms: readonly Perm[], generation: number): StoreNode {
    return new StoreNode({ ...this.#fields(), perms, generation });
  }

  /** A transaction that saw the child missing may find its parent listing it: the name stands there once. */
  withChild(name: string, generation: number): StoreNode {
    const bytes = this.children.has(name) ? 0 : name.length + 1;
    const childSet = this.childSet.forChange();
    childSet.names.add(name);
    return new StoreNode({ ...this.#fields(), generation, childSet, childBytes: this.childBytes + bytes });
  }

  withoutChild(name: string, generation: number): StoreNode {
    const childSet = this.childSet.forChange();
    childSet.names.delete(name);
    return new StoreNode({ ...this.#fields(), generation, childSet, childBytes: this.childBytes - name.length - 1 });
  }

  #fields(): ConstructorParameters<typeof StoreNode>[0] {
    const { value, perms, generation, order, childSet, childBytes } = this;
    return { value, perms, generation, order, childSet, childBytes };
  }
}

export function nodeSize(permCount: number, valueBytes: number, childBytes: number): number {
  return HEADER_SIZE + PERM_SIZE * permCount + valueBytes + childBytes;
}
