// Looks for what must never be: a child without a node, a node without a parent, counts that do not add up. Behind
// CONTROL check, and the tests'.
import type { StoreNode } from './node.js';
import { baseName, childPath, parentPath } from './path.js';
import type { StoreState } from './state.js';

/** One sentence for everything wrong; empty when the store is sound. Its cost is that of the whole store. */
export function checkStore(store: StoreState): string[] {
  const wrong: string[] = [];
  const owned = new Map<number, number>();
  const paths = new Map<string, StoreNode>(store.tree.entries());
  for (const [path, node] of paths) {
    owned.set(node.owner, (owned.get(node.owner) ?? 0) + 1);
    for (const name of node.children) {
      if (!paths.has(childPath(path, name))) wrong.push(`${path} lists ${name}, which does not exist`);
    }
    const bytes = [...node.children].reduce((sum, name) => sum + name.length + 1, 0);
    if (bytes !== node.childBytes) wrong.push(`${path} counts ${node.childBytes} bytes of child names, not ${bytes}`);
    if (path !== '/' && path.startsWith('/') && !paths.get(parentPath(path))?.children.has(baseName(path))) {
      wrong.push(`${path} is not in its parent's list`);
    }
  }
  for (const domain of store.domains.all()) {
    const counted = owned.get(domain.domid) ?? 0;
    const used = domain.account.used('nodes');
    if (used !== counted) wrong.push(`domain ${domain.domid} is charged for ${used} nodes and owns ${counted}`);
  }
  return wrong;
}
