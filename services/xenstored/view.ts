// How commands see and change nodes: directly, or through a transaction (transaction.ts). One interface, so that a
// command is written once. Leaves permissions and quotas to the commands.
import type { StoreNode } from './node.js';
import { parentPath } from './path.js';
import type { Perm } from './perms.js';
import type { Tree } from './tree.js';
import type { Match, Watches } from './watch.js';

export interface View {
  read(path: string): StoreNode | undefined;
  /** Puts the next version of a node that was read through this view, whether it existed or not. */
  write(path: string, node: StoreNode): void;
  remove(path: string): void;
  /** Tells watches of a change, now or at commit. */
  fire(
    path: string,
    match: Match,
    node: StoreNode | undefined,
    parent: StoreNode | undefined,
    old?: readonly Perm[],
  ): void;
  /** Nodes owned by `domid` grew or shrank. */
  countNodes(domid: number, count: number): void;
  /** A change was begun that cannot be undone: a transaction must not commit any more. */
  spoil(): void;
}

/** Outside any transaction: changes are there at once. */
export class DirectView implements View {
  readonly #tree: Tree;
  readonly #watches: Watches;
  readonly #account: (domid: number, nodes: number, bytes: number) => void;

  constructor(tree: Tree, watches: Watches, account: (domid: number, nodes: number, bytes: number) => void) {
    this.#tree = tree;
    this.#watches = watches;
    this.#account = account;
  }

  read(path: string): StoreNode | undefined {
    return this.#tree.get(path);
  }

  write(path: string, node: StoreNode): void {
    const old = this.#tree.get(path);
    if (old !== undefined) this.#account(old.owner, 0, -old.size - path.length);
    this.#account(node.owner, 0, node.size + path.length);
    this.#tree.set(path, node);
  }

  remove(path: string): void {
    const old = this.#tree.get(path);
    if (old !== undefined) this.#account(old.owner, 0, -old.size - path.length);
    this.#tree.delete(path);
  }

  fire(
    path: string,
    match: Match,
    node: StoreNode | undefined,
    parent: StoreNode | undefined,
    oldPerms?: readonly Perm[],
  ): void {
    this.#watches.fire(path, match, { node, parent: parent ?? this.#tree.get(parentPath(path)), oldPerms });
  }

  countNodes(domid: number, count: number): void {
    this.#account(domid, count, 0);
  }

  spoil(): void {}
}
