// One request as its handler sees it, and what every handler that takes a path needs: the absolute path, the node behind
// it, and the right to it, with xenstored's answers for what is missing or forbidden. Also the quota test.
import { oneString } from '../../lib/xenstore/payload.js';
import type { Connection } from './connection.js';
import { fail } from './failure.js';
import type { StoreNode } from './node.js';
import { canonicalPath, parentPath, quotaLength } from './path.js';
import { grantedTo } from './perms.js';
import type { QuotaName } from './quota.js';
import type { StoreState } from './state.js';
import type { Transaction } from './transaction.js';
import type { View } from './view.js';

export interface Call {
  readonly store: StoreState;
  readonly connection: Connection;
  /** The transaction that the request names. */
  transaction: Transaction | undefined;
  /** The transaction, or the store itself. */
  view: View;
  readonly payload: string;
  /** Runs after the reply was queued. */
  after: (() => void) | undefined;
}

/** Answers the payload of the reply, or throws what failure.ts has. */
export type Handler = (call: Call) => string;

/** True when a value is more than the quota of the connection's domain. Sockets and the control domain have none. */
export function exceeds(call: Call, quota: QuotaName, value: number): boolean {
  return call.store.meetsQuota(call.connection, quota, value);
}

/** The absolute path that a request spells; EINVAL when it is none. */
export function absolutePath(call: Call, spelled: string | undefined, special: boolean): string {
  const path = spelled === undefined ? undefined : canonicalPath(spelled, call.connection.home, special);
  if (path === undefined || isTooLong(call, quotaLength(path))) fail('EINVAL');
  return path;
}

function isTooLong(call: Call, length: number): boolean {
  const { compat, domains } = call.store;
  if (!compat.pathLimitBindsAll) return exceeds(call, 'path-max', length);
  const limit = domains.limits.get('path-max') ?? 0;
  return limit > 0 && length > limit;
}

/** What the nearest existing ancestor grants. The root always exists. */
function grantedByAncestors(call: Call, path: string): number {
  for (let at = parentPath(path); ; at = parentPath(at)) {
    const node = call.view.read(at);
    if (node !== undefined) return grantedTo(call.connection, node.perms);
    if (at === '/') return 0;
  }
}

/**
 * The node if it exists and `needed` rights on it are granted, undefined if it does not exist and the nearest existing
 * ancestor grants one of them; EACCES in all other cases, so that a client learns nothing of nodes that it has no right to.
 */
export function findNode(call: Call, path: string, needed: number): StoreNode | undefined {
  const node = call.view.read(path);
  if (node !== undefined && (grantedTo(call.connection, node.perms) & needed) === needed) return node;
  // Asked in both cases, as the daemon does: inside a transaction it touches the ancestors.
  const granted = grantedByAncestors(call, path);
  if (node !== undefined || (granted & needed) === 0) fail('EACCES');
  return undefined;
}

/** As findNode, with ENOENT for a missing node. */
export function requireNode(call: Call, path: string, needed: number): StoreNode {
  return findNode(call, path, needed) ?? fail('ENOENT');
}

/** The path of a request whose payload is exactly one string. */
export function onlyPath(call: Call, special = false): string {
  return absolutePath(call, oneString(call.payload), special);
}
