// A transaction: its own version of every node it touched, frozen at the first touch, and the commit.
//
// Nothing is copied at the start. The first time the transaction reads or writes a path, it keeps the version it found
// (or that there was none) and from then on sees and changes its own. Other nodes go on changing under its eyes. At the
// commit every kept version must still be the newest; one that is not, even if rewritten with the same value, is a
// conflict (EAGAIN). A parent's child list is part of the parent's version, so making a child outside conflicts with
// having read the parent. Commands read before they write, so blind writes conflict as well.
//
// Watches fire at the commit: one event a node, in the order of first touch.
import type { StoreNode } from './node.js';
import { parentPath } from './path.js';
import type { Perm } from './perms.js';
import type { Tree } from './tree.js';
import type { View } from './view.js';
import type { Match, Watches } from './watch.js';

interface Touched {
  /** The newest version when first touched; undefined: there was none. */
  readonly before: StoreNode | undefined;
  now: StoreNode | undefined;
  modified: boolean;
  fires: Match | undefined;
}

export interface TransactionHost {
  readonly tree: Tree;
  readonly watches: Watches;
  /** Throws ENOSPC when the owner may not touch one more node. */
  checkTouch(count: number): void;
  /** Charges the owner for its private versions. */
  charge(bytes: number): void;
  account(domid: number, nodes: number, bytes: number): void;
}

export class Transaction implements View {
  readonly id: number;
  /** Made a node: its owner's node quota is checked at the commit. */
  nodeCreated = false;
  #failed = false;
  #outdated = false;
  readonly #host: TransactionHost;
  readonly #touched = new Map<string, Touched>();
  readonly #nodeCounts = new Map<number, number>();
  #charged = 0;

  constructor(id: number, host: TransactionHost) {
    this.id = id;
    this.#host = host;
  }

  /** Something failed half-way: the commit answers ENOMEM. */
  get failed(): boolean {
    return this.#failed;
  }
  get touchedCount(): number {
    return this.#touched.size;
  }
  /** Change in number of owned nodes by domain. */
  get nodeCounts(): ReadonlyMap<number, number> {
    return this.#nodeCounts;
  }

  read(path: string): StoreNode | undefined {
    const known = this.#touched.get(path);
    if (known !== undefined) return known.now;
    try {
      this.#host.checkTouch(this.#touched.size + 1);
    } catch (failure) {
      this.#failed = true;
      throw failure;
    }
    const node = this.#host.tree.get(path);
    if (node !== undefined) {
      node.childSet.holds++;
      this.#charge(node.size + path.length);
    }
    this.#touched.set(path, { before: node, now: node, modified: false, fires: undefined });
    return node;
  }

  #put(path: string, node: StoreNode | undefined): void {
    this.read(path);
    const touched = this.#touched.get(path) as Touched;
    const size = (version: StoreNode | undefined): number => (version === undefined ? 0 : version.size + path.length);
    this.#charge(size(node) - size(touched.now));
    touched.now = node;
    touched.modified = true;
  }

  write(path: string, node: StoreNode): void {
    this.#put(path, node);
  }
  remove(path: string): void {
    this.#put(path, undefined);
  }

  fire(path: string, match: Match): void {
    const touched = this.#touched.get(path);
    if (touched === undefined) this.#failed = true;
    else if (touched.fires === undefined || match === 'subtree') touched.fires = match;
  }

  countNodes(domid: number, count: number): void {
    this.#nodeCounts.set(domid, (this.#nodeCounts.get(domid) ?? 0) + count);
  }

  spoil(): void {
    this.#failed = true;
  }

  /** A domain is gone: versions made here that give it rights would give them to the next of its number. */
  domainEnded(domid: number): void {
    for (const { now, modified } of this.#touched.values()) {
      if (modified && now?.perms.some((perm) => perm.domid === domid)) this.#outdated = true;
    }
  }

  /** What it kept is not known any more: its requests are answered as ever, its commit is a conflict. */
  loseTrack(): void {
    this.#outdated = true;
  }

  #charge(bytes: number): void {
    this.#charged += bytes;
    this.#host.charge(bytes);
  }

  /** True when a version that it kept is not the newest any more. */
  conflicts(): boolean {
    if (this.#outdated) return true;
    for (const [path, touched] of this.#touched) {
      if (this.#host.tree.get(path)?.generation !== touched.before?.generation) return true;
    }
    return false;
  }

  /** Puts its changes into the tree. Only after `conflicts()` said no; close() comes after it in any case. */
  commit(): void {
    const { tree, watches, account } = this.#host;
    for (const [path, { before, now, modified, fires }] of this.#touched) {
      if (!modified) continue;
      if (before !== undefined) account(before.owner, 0, -before.size - path.length);
      if (now !== undefined) {
        account(now.owner, 0, now.size + path.length);
        tree.set(path, now.withValue(now.value, tree.nextGeneration()));
      } else if (before !== undefined) tree.delete(path);
      if (fires !== undefined) this.#fire(watches, path, fires, before?.perms);
    }
    for (const [domid, count] of this.#nodeCounts) account(domid, count, 0);
  }

  #fire(watches: Watches, path: string, match: Match, oldPerms: readonly Perm[] | undefined): void {
    const { tree } = this.#host;
    watches.fire(path, match, { node: tree.get(path), parent: tree.get(parentPath(path)), oldPerms });
  }

  /** Lets go of everything; the end of every transaction, committed or not. */
  close(): void {
    for (const { before } of this.#touched.values()) if (before !== undefined) before.childSet.holds--;
    this.#touched.clear();
    this.#host.charge(-this.#charged);
    this.#charged = 0;
  }
}
