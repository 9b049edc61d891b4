// What becomes of a domain's nodes and permissions when it ends. Leaves who is told of it to domain-life.ts.

import { DOM0 } from '../../lib/core/ids.js';
import { XS_INTRODUCE_DOMAIN, XS_RELEASE_DOMAIN } from '../../lib/layout/xs-wire.js';
import type { StoreNode } from './node.js';
import { removeTree } from './node-commands.js';
import { childPath } from './path.js';
import type { Perm } from './perms.js';
import type { StoreState } from './state.js';

/**
 * Removes every node that the domain owns, with what others made below, and its entries in other nodes' permissions, so
 * that a later domain of the same number inherits nothing. Walks the whole store, as the daemon does.
 */
export function dropNodesOf(store: StoreState, domid: number): void {
  const visit = (path: string): void => {
    const node = store.view.read(path) as StoreNode;
    if (node.owner === domid && path !== '/') {
      removeTree(store, store.view, path);
      return;
    }
    dropEntries(store, path, node, domid);
    for (const name of [...node.children]) visit(childPath(path, name));
  };
  visit('/');
  for (const path of ['/', XS_RELEASE_DOMAIN, XS_INTRODUCE_DOMAIN]) giveToDom0(store, path, domid);
}

/** The nodes that are always there: with their owner gone they are dom0's again. */
function giveToDom0(store: StoreState, path: string, domid: number): void {
  const node = store.view.read(path);
  if (node === undefined) return;
  if (node.owner === domid) {
    const [owner, ...others] = node.perms as [Perm, ...Perm[]];
    store.view.write(path, node.withPerms([{ ...owner, domid: DOM0 }, ...others], node.generation));
    store.view.countNodes(DOM0, 1);
  }
  const now = store.view.read(path);
  if (now !== undefined && path !== '/') dropEntries(store, path, now, domid);
}

function dropEntries(store: StoreState, path: string, node: StoreNode, domid: number): void {
  if (!store.compat.deadLosePermissions) return;
  const kept = node.perms.filter((perm, index) => index === 0 || perm.domid !== domid);
  if (kept.length < node.perms.length) store.view.write(path, node.withPerms(kept, node.generation));
}
