// A domain's life as the store sees it: introduced, shut down, released or dead; and the special watches that tell of it.
// Leaves its nodes to domain-end.ts, transports to the host.
import { XS_INTRODUCE_DOMAIN, XS_RELEASE_DOMAIN } from '../../lib/layout/xs-wire.js';
import { dropNodesOf } from './domain-end.js';
import { type Domain, isPrivileged } from './domains.js';
import type { StoreState } from './state.js';

/** One domain as the hypervisor describes it. */
export interface DomainChange {
  readonly domid: number;
  /** Decimal u64; '' when the domain does not exist any more. */
  readonly uniqueId: string;
  readonly shutdown: boolean;
  /** It ends once no process maps any of its memory. */
  readonly dying?: boolean;
  readonly dead: boolean;
}

/** INTRODUCE: the first time tells the watches; every time drops what the domain's connections held. */
export function introduceDomain(store: StoreState, domid: number, port: number): void {
  const domain = store.domains.make(domid, '', store.tree.generation);
  domain.port = port;
  for (const connection of store.connectionsOf(domid)) store.dropHeld(connection);
  if (!domain.introduced) {
    domain.introduced = true;
    store.bounds.domainCame(domid);
    domain.shutdown = false;
    fireSpecial(store, XS_INTRODUCE_DOMAIN, domid, { plain: true, withDomid: true });
  }
  store.journal.domain(domain);
}

/** Takes requests that waited for the introduction. */
export function wakeDomain(store: StoreState, domid: number): void {
  for (const connection of store.connectionsOf(domid)) {
    connection.goOn('introduce');
  }
}

/** RELEASE, or the domain's death: its connections, nodes, permissions and record go. */
export function removeDomain(store: StoreState, domain: Domain): void {
  const { domid } = domain;
  for (const connection of store.connectionsOf(domid)) {
    store.close(connection);
    connection.onDropped(connection);
  }
  for (const { transactions } of store.connections) {
    for (const transaction of transactions.values()) transaction.domainEnded(domid);
  }
  dropNodesOf(store, domid);
  store.domains.forget(domid);
  store.bounds.domainWent(domid);
  for (const other of store.domains.all()) {
    if (other.targetDomid !== domid) continue;
    other.targetDomid = undefined;
    store.journal.domain(other);
  }
  if (domain.introduced) fireSpecial(store, XS_RELEASE_DOMAIN, domid, { plain: true, withDomid: true });
  store.journal.domainGone(domid);
  store.host.onRemoved?.(domid);
}

/** What the hypervisor says of domains after it signalled a change; one @releaseDomain for all that shut down. */
export function domainsChanged(store: StoreState, changes: readonly DomainChange[]): void {
  let tellPlain = false;
  for (const change of changes) {
    const domain = store.domains.get(change.domid);
    if (domain === undefined || isPrivileged(change.domid)) continue;
    const gone = change.uniqueId === '' || (domain.uniqueId !== '' && domain.uniqueId !== change.uniqueId);
    if (!gone && domain.uniqueId === '') {
      domain.uniqueId = change.uniqueId;
      store.journal.domain(domain);
    }
    if (!domain.introduced) {
      if (gone) removeDomain(store, domain);
      continue;
    }
    if (!gone && change.shutdown && !domain.shutdown) {
      domain.shutdown = true;
      fireSpecial(store, XS_RELEASE_DOMAIN, change.domid, { plain: false, withDomid: true });
      tellPlain = true;
      store.journal.domain(domain);
    }
    if (gone || change.dead) {
      removeDomain(store, domain);
      tellPlain = false;
    }
  }
  if (tellPlain) fireSpecial(store, XS_RELEASE_DOMAIN, 0, { plain: true, withDomid: false });
}

function fireSpecial(
  store: StoreState,
  name: string,
  domid: number,
  which: { readonly plain: boolean; readonly withDomid: boolean },
): void {
  const node = store.tree.get(name);
  if (node === undefined) return;
  const visible = { node, parent: store.compat.specialsAreNodes ? store.tree.get('/') : undefined };
  if (which.plain) store.watches.fire(name, 'no-depth', visible);
  if (which.withDomid && store.compat.specialsWithDomid) store.watches.fire(`${name}/${domid}`, 'depth', visible);
}
