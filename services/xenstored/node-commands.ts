// The operations on nodes: READ, WRITE, MKDIR, RM, DIRECTORY, DIRECTORY_PART, GET_PERMS, SET_PERMS. Checks stand in the
// C daemon's order, because the error a client sees is the first one found.
import { DOM0, DOMID_ANY, DOMID_FIRST_RESERVED } from '../../lib/core/ids.js';
import { XENSTORE_PAYLOAD_MAX, XENSTORE_SERVER_FEATURE } from '../../lib/layout/xs-wire.js';
import { ACK, atoi, countStrings, joinStrings, splitStrings } from '../../lib/xenstore/payload.js';
import { absolutePath, type Call, exceeds, findNode, type Handler, onlyPath, requireNode } from './call.js';
import { Failure, fail } from './failure.js';
import { nodeSize, StoreNode } from './node.js';
import { baseName, childPath, parentPath } from './path.js';
import { formatPerm, grantedTo, PERM_OWNER, PERM_READ, PERM_WRITE, type Perm, parsePerm } from './perms.js';

export const read: Handler = (call) => requireNode(call, onlyPath(call), PERM_READ).value;

export const directory: Handler = (call) => {
  const node = requireNode(call, onlyPath(call), PERM_READ);
  if (node.childBytes > XENSTORE_PAYLOAD_MAX) fail('E2BIG');
  return node.childSet.listing;
};

/** A generation and as many whole child names from a byte offset on as fit; an empty name ends the last part. */
export const directoryPart: Handler = (call) => {
  if (countStrings(call.payload) !== 2) fail('EINVAL');
  const [spelled, offsetText] = splitStrings(call.payload) as [string, string];
  const node = requireNode(call, absolutePath(call, spelled, false), PERM_READ);
  const generation = `${node.generation}\0`;
  // Read as an unsigned number by the daemon: a negative offset is behind every list.
  const offset = atoi(offsetText) >>> 0;
  if (offset >= node.childBytes) return `${generation}\0`;
  const listing = node.childSet.listing;
  const room = XENSTORE_PAYLOAD_MAX - generation.length - 1;
  let end = offset;
  while (end < listing.length) {
    const next = listing.indexOf('\0', end) + 1;
    if (next - offset > room) break;
    end = next;
  }
  return `${generation}${listing.slice(offset, end)}${end === listing.length ? '\0' : ''}`;
};

export const write: Handler = (call) => {
  // The value may hold NULs: only the first one ends the path.
  const end = call.payload.indexOf('\0');
  if (end === -1) fail('EINVAL');
  const path = absolutePath(call, call.payload.slice(0, end), false);
  const value = call.payload.slice(end + 1);
  const node = findNode(call, path, PERM_WRITE);
  if (node === undefined) createNode(call, path, value);
  else putNode(call, path, node.withValue(value, call.store.tree.nextGeneration()));
  call.view.fire(path, 'subtree', call.view.read(path), undefined);
  return ACK;
};

export const mkdir: Handler = (call) => {
  const path = onlyPath(call);
  if (findNode(call, path, PERM_WRITE) === undefined) {
    createNode(call, path, '');
    call.view.fire(path, 'subtree', call.view.read(path), undefined);
  }
  return ACK;
};

export const rm: Handler = (call) => {
  const path = onlyPath(call);
  if (findNode(call, path, PERM_WRITE) === undefined) {
    // Already gone is fine as long as the parent is there.
    if (call.view.read(parentPath(path)) === undefined) fail('ENOENT');
    return ACK;
  }
  if (path === '/') fail('EINVAL');
  removeTree(call.store, call.view, path);
  return ACK;
};

/**
 * Removes a node with all below it and takes it off its parent's list; fires watches deepest first. A transaction froze
 * its nodes one by one and may see lists that do not fit each other: answered as the daemon does, and its commit is
 * bound to conflict.
 */
export function removeTree(store: Call['store'], view: Call['view'], root: string): void {
  const { tree } = store;
  const parent = view.read(parentPath(root)) ?? fail('EINVAL');
  const visit = (path: string, above: StoreNode): void => {
    const node = readBelow(view, path);
    for (const name of [...node.children]) visit(childPath(path, name), node);
    tree.nextGeneration();
    view.countNodes(node.owner, -1);
    view.remove(path);
    view.fire(path, path === root ? 'subtree' : 'exact', node, above);
    // The parent inside the subtree is rewritten without this child before it goes itself.
    if (path !== root) tree.nextGeneration();
  };
  visit(root, parent);
  const parentOfRoot = view.read(parentPath(root)) as StoreNode;
  if (!parentOfRoot.children.has(baseName(root))) fail('EIO');
  view.write(parentPath(root), parentOfRoot.withoutChild(baseName(root), tree.nextGeneration()));
}

/** A node that its parent lists. Whatever is in the way, a transaction's limit included, has one name here. */
function readBelow(view: Call['view'], path: string): StoreNode {
  try {
    return view.read(path) ?? fail('EIO');
  } catch (failure) {
    if (failure instanceof Failure) fail('EIO');
    throw failure;
  }
}

/** Makes a node and its missing ancestors. Permissions are the parent's; an unprivileged creator owns what it makes. */
function createNode(call: Call, path: string, value: string): void {
  const { view, connection, store, transaction } = call;
  const missing = [path];
  let at = parentPath(path);
  let above = view.read(at);
  while (above === undefined) {
    missing.push(at);
    at = parentPath(at);
    above = view.read(at);
  }
  if (transaction !== undefined) transaction.nodeCreated = true;
  // A transaction's own nodes are counted at its commit.
  const counted = transaction === undefined && store.compat.quotaCountsNewNodes ? missing.length : 1;
  if (connection.domain !== undefined && exceeds(call, 'nodes', connection.domain.account.used('nodes') + counted)) {
    fail('ENOSPC');
  }
  const perms = inheritedPerms(call, above.perms);
  // All sizes are tested before anything is written: nothing needs undoing. The daemon writes from the new leaf up.
  const below = (index: number): number => (index === 0 ? 0 : baseName(missing[index - 1] as string).length + 1);
  missing.forEach((_, index) => {
    checkSize(call, nodeSize(perms.length, index === 0 ? value.length : 0, below(index)));
  });
  checkSize(call, above.size + below(missing.length));
  const owner = (perms[0] as Perm).domid;
  const bytes = missing.reduce((sum, name, index) => {
    return sum + nodeSize(perms.length, index === 0 ? value.length : 0, below(index)) + name.length;
  }, below(missing.length));
  checkMemory(call, owner, bytes);
  missing.forEach((name, index) => {
    const order = store.tree.nextOrder();
    const generation = store.tree.nextGeneration();
    let node = new StoreNode({ value: index === 0 ? value : '', perms, generation, order });
    if (index > 0) node = node.withChild(baseName(missing[index - 1] as string), generation);
    view.write(name, node);
    view.countNodes(owner, 1);
  });
  view.write(at, above.withChild(baseName(missing.at(-1) as string), store.tree.nextGeneration()));
}

function inheritedPerms(call: Call, perms: readonly Perm[]): readonly Perm[] {
  if (call.connection.privileged) return perms;
  return [{ ...(perms[0] as Perm), domid: call.connection.domid }, ...perms.slice(1)];
}

/** Writes the next version of an existing node, within the quotas. */
function putNode(call: Call, path: string, next: StoreNode): void {
  checkSize(call, next.size);
  const old = call.view.read(path) as StoreNode;
  checkMemory(call, next.owner, next.size - (old.owner === next.owner ? old.size : 0));
  call.view.write(path, next);
}

function checkSize(call: Call, size: number): void {
  if (!exceeds(call, 'node-size', size + call.store.compat.nodeExtraBytes)) return;
  call.view.spoil();
  fail('ENOSPC');
}

/** Nodes are charged to their owner, a transaction's private versions to its connection. */
function checkMemory(call: Call, owner: number, bytes: number): void {
  if (call.connection.domain === undefined) return;
  const charged = call.transaction === undefined ? owner : call.connection.domid;
  const used = call.store.domains.get(charged)?.account.used('memory') ?? 0;
  if (!exceeds(call, 'memory', used + bytes)) return;
  call.view.spoil();
  fail('ENOMEM');
}

export const getPerms: Handler = (call) =>
  joinStrings(requireNode(call, onlyPath(call, call.store.compat.specialsAreNodes), PERM_READ).perms.map(formatPerm));

export const setPerms: Handler = (call) => {
  const { connection, store, view } = call;
  if (countStrings(call.payload) < 2) fail('EINVAL');
  const [spelled, ...entries] = splitStrings(call.payload) as [string, ...string[]];
  if (exceeds(call, 'node-permissions', entries.length)) fail('ENOSPC');
  const perms = entries.map((entry) => parsePerm(entry) ?? fail('EINVAL')).map((perm) => resolvePerm(call, perm));
  const owner = perms[0] as Perm;
  if (owner.ignored) fail('ENOENT');
  if (!store.compat.specialsAreNodes && spelled.startsWith('@')) return setSpecialPerms(call, spelled, perms);
  const path = absolutePath(call, spelled, true);
  const node = requireNode(call, path, PERM_WRITE | PERM_OWNER);
  if (!connection.privileged && owner.domid !== node.owner) fail('EPERM');
  putNode(call, path, node.withPerms(perms, store.tree.nextGeneration()));
  view.countNodes(node.owner, -1);
  view.countNodes(owner.domid, 1);
  view.fire(path, 'subtree', view.read(path), undefined, node.perms);
  return ACK;
};

/** Where special nodes are no nodes: outside of any transaction, and no watch fires. */
function setSpecialPerms(call: Call, name: string, perms: readonly Perm[]): string {
  const { connection, store } = call;
  const node = store.tree.get(name);
  if (node === undefined) fail('EINVAL');
  if ((grantedTo(connection, node.perms) & PERM_OWNER) === 0) fail('EACCES');
  store.view.write(name, node.withPerms(perms, store.tree.nextGeneration()));
  store.view.countNodes(node.owner, -1);
  store.view.countNodes((perms[0] as Perm).domid, 1);
  return ACK;
}

/** Marks an entry for a domain that does not exist, or for all domains where the writer may not say so. */
function resolvePerm(call: Call, perm: Perm): Perm {
  const { connection, store } = call;
  if (perm.domid === DOMID_ANY) {
    const features = connection.domain?.features ?? store.compat.features;
    const allowed = (features & XENSTORE_SERVER_FEATURE.XENSTORE_SERVER_FEATURE_DOMID_ANY) !== 0;
    return allowed ? perm : { ...perm, ignored: true };
  }
  if (perm.domid === DOM0) return perm;
  if (perm.domid < 0 || perm.domid >= DOMID_FIRST_RESERVED) return { ...perm, ignored: true };
  const domain = store.domains.existing(perm.domid, connection.domainAnswers, store.tree.generation);
  return domain === undefined ? { ...perm, ignored: true } : perm;
}
