// The nodes of the store by path, each in its newest version, and the counter that numbers versions. Versions are
// immutable, so a transaction freezes a node by keeping it. Leaves permissions, quotas and watches to others; tells
// `onChange` of every change, for the log that survives the process.

import { assert } from '../../lib/core/errors.js';
import { DOM0, DOMID_ANY } from '../../lib/core/ids.js';
import { XS_INTRODUCE_DOMAIN, XS_RELEASE_DOMAIN } from '../../lib/layout/xs-wire.js';
import { StoreNode } from './node.js';
import { baseName, parentPath } from './path.js';
import { PERM_READ, type Perm } from './perms.js';

export type OnChange = (path: string, node: StoreNode | undefined) => void;

/** True when an entry of a permission list written at `generation` means the domain that has its number today. */
export type PermIsCurrent = (perm: Perm, generation: number) => boolean;

export class Tree {
  readonly #nodes = new Map<string, StoreNode>();
  readonly #permIsCurrent: PermIsCurrent;
  onChange: OnChange = () => {};
  #generation = 0;
  #order = 0;

  constructor(permIsCurrent: PermIsCurrent) {
    this.#permIsCurrent = permIsCurrent;
  }

  get generation(): number {
    return this.#generation;
  }
  nextGeneration(): number {
    return ++this.#generation;
  }
  nextOrder(): number {
    return ++this.#order;
  }
  get size(): number {
    return this.#nodes.size;
  }
  entries(): IterableIterator<[string, StoreNode]> {
    return this.#nodes.entries();
  }

  /** The newest version; permission entries that outlived their domain come marked as ignored. */
  get(path: string): StoreNode | undefined {
    const node = this.#nodes.get(path);
    return node === undefined || node.perms.length === 1 ? node : this.#markStale(path, node);
  }

  /** Once stale, always stale: the mark goes into the newest version itself, which keeps its generation. */
  #markStale(path: string, node: StoreNode): StoreNode {
    const isStale = (perm: Perm, index: number): boolean =>
      index > 0 && !perm.ignored && perm.domid !== DOMID_ANY && !this.#permIsCurrent(perm, node.generation);
    if (!node.perms.some(isStale)) return node;
    const perms = node.perms.map((perm, index) => (isStale(perm, index) ? { ...perm, ignored: true } : perm));
    const marked = node.withPerms(perms, node.generation);
    this.#nodes.set(path, marked);
    return marked;
  }

  set(path: string, node: StoreNode): void {
    this.#nodes.set(path, node);
    this.onChange(path, node);
  }

  delete(path: string): void {
    assert(path !== '/', 'the root is never removed');
    this.#nodes.delete(path);
    this.onChange(path, undefined);
  }

  /** The nodes of an empty store: what xenstored itself makes at its start. */
  plant(releaseDomainReadable: boolean): void {
    const owner: Perm = { domid: DOM0, access: 0, ignored: false };
    const everybody: Perm = { domid: DOMID_ANY, access: PERM_READ, ignored: false };
    const make = (path: string, perms: readonly Perm[]): void => {
      this.set(path, new StoreNode({ value: '', perms, generation: this.nextGeneration(), order: this.nextOrder() }));
    };
    for (const path of ['/', '/tool', '/tool/xenstored']) {
      make(path, [owner]);
      const parent = this.#nodes.get(parentPath(path)) as StoreNode;
      if (path !== '/') this.set(parentPath(path), parent.withChild(baseName(path), parent.generation));
    }
    make(XS_RELEASE_DOMAIN, releaseDomainReadable ? [owner, everybody] : [owner]);
    make(XS_INTRODUCE_DOMAIN, [owner]);
  }

  /** Puts back a node as a log has it; children are added by attachChildren once all nodes are there. */
  restore(path: string, fields: { value: string; perms: readonly Perm[]; order: number }): void {
    this.#order = Math.max(this.#order, fields.order);
    this.#nodes.set(path, new StoreNode({ ...fields, generation: this.nextGeneration() }));
  }

  /** Makes the child lists of restored nodes; returns paths dropped because they have no parent. */
  attachChildren(): string[] {
    const dropped: string[] = [];
    const sorted = [...this.#nodes].filter(([path]) => path.startsWith('/') && path !== '/');
    sorted.sort(([, a], [, b]) => a.order - b.order);
    const reachable = (path: string): boolean => path === '/' || (this.#nodes.has(path) && reachable(parentPath(path)));
    for (const [path] of sorted) if (!reachable(parentPath(path))) dropped.push(path);
    for (const path of dropped) this.#nodes.delete(path);
    for (const [path] of sorted) {
      if (!this.#nodes.has(path)) continue;
      const parent = this.#nodes.get(parentPath(path)) as StoreNode;
      this.#nodes.set(parentPath(path), parent.withChild(baseName(path), parent.generation));
    }
    return dropped;
  }
}
