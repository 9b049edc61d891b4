// The operations on what a connection holds: watches and transactions.
import { XENSTORE_REL_PATH_MAX, XENSTORE_SERVER_FEATURE } from '../../lib/layout/xs-wire.js';
import { ACK, atoi, oneString, splitStrings } from '../../lib/xenstore/payload.js';
import { absolutePath, type Call, exceeds, type Handler } from './call.js';
import { fail, UNTIL_LIVE_UPDATE_ENDS } from './failure.js';
import { isRelative } from './path.js';
import { Watches } from './watch.js';

export const watch: Handler = (call) => {
  const { connection, store } = call;
  const [spelled, token, depthText, ...rest] = splitStrings(call.payload);
  const features = connection.domain?.features ?? store.compat.features;
  const hasDepth = (features & XENSTORE_SERVER_FEATURE.XENSTORE_SERVER_FEATURE_WATCHDEPTH) !== 0;
  if (spelled === undefined || token === undefined || rest.length > 0) fail('EINVAL');
  if (depthText !== undefined && !hasDepth) fail('EINVAL');
  const depth = depthText === undefined ? undefined : atoi(depthText);
  if (depth !== undefined && depth < 0) fail('EINVAL');
  const path = watchedPath(call, spelled);
  if (connection.watches.has(Watches.key(path, token))) fail('EEXIST');
  const account = connection.domain?.account;
  if (exceeds(call, 'watches', (account?.used('watches') ?? 0) + 1)) fail(store.compat.watchQuotaError);
  if (exceeds(call, 'memory', (account?.used('memory') ?? 0) + path.length + token.length)) fail('ENOMEM');
  const cut = isRelative(spelled) ? connection.home.length + 1 : 0;
  store.addWatch(connection, { path, token, depth, cut });
  // Once up front, so that a client's first look and its later ones are the same code.
  call.after = () => connection.outbox.event(path.slice(cut), token);
  return ACK;
};

function watchedPath(call: Call, spelled: string): string {
  if (!call.store.compat.watchesAnySpecial || !spelled.startsWith('@')) return absolutePath(call, spelled, true);
  return spelled.length > XENSTORE_REL_PATH_MAX ? fail('EINVAL') : spelled;
}

export const unwatch: Handler = (call) => {
  const strings = splitStrings(call.payload);
  if (strings.length !== 2) fail('EINVAL');
  const path = unwatchedPath(call, strings[0] as string);
  const found = call.connection.watches.get(Watches.key(path, strings[1] as string));
  if (found === undefined) fail('ENOENT');
  call.store.removeWatch(call.connection, found);
  return ACK;
};

function unwatchedPath(call: Call, spelled: string): string {
  const { compat } = call.store;
  if (compat.unwatchChecksPath) return absolutePath(call, spelled, true);
  return isRelative(spelled) ? `${call.connection.home}/${spelled}` : spelled;
}

export const resetWatches: Handler = (call) => {
  call.store.dropHeld(call.connection);
  return ACK;
};

export const transactionStart: Handler = (call) => {
  const { connection, store } = call;
  if (call.transaction !== undefined) fail('EBUSY');
  // The program that comes next knows no transactions: none begins any more, but beside those that are open.
  if (store.liveUpdate?.pending && connection.transactions.size === 0) throw UNTIL_LIVE_UPDATE_ENDS;
  if (exceeds(call, 'transactions', (connection.domain?.account.used('transactions') ?? 0) + 1)) fail('ENOSPC');
  return `${store.openTransaction(connection).id}\0`;
};

/** Whatever the outcome, except for an argument that is neither T nor F, the transaction is over. */
export const transactionEnd: Handler = (call) => {
  const { connection, store, transaction } = call;
  const argument = oneString(call.payload);
  if (argument !== 'T' && argument !== 'F') fail('EINVAL');
  if (transaction === undefined) fail('ENOENT');
  try {
    if (argument === 'T') {
      if (transaction.failed) fail('ENOMEM');
      if (transaction.nodeCreated && !connection.privileged) {
        for (const [domid, count] of transaction.nodeCounts) {
          const owner = store.domains.get(domid);
          // Here the quota itself is too much in every release.
          const nodes = (owner?.account.used('nodes') ?? 0) + count + (store.compat.quotaSlack.nodes ?? 0);
          if (count >= 0 && owner !== undefined && store.meetsQuota(connection, 'nodes', nodes, owner)) fail('ENOSPC');
        }
      }
      if (transaction.conflicts()) fail('EAGAIN');
      transaction.commit();
      if (!connection.privileged) store.bounds.committed(connection.domid);
    }
  } finally {
    store.closeTransaction(connection, transaction);
  }
  return ACK;
};
