// What the store tells its journal, which outlives the process. Every record is absolute (the state after the
// change), so that records may be repeated; those of rings are not, and stand in their order. Leaves files to the server.
import type { Domain } from './domains.js';
import type { StoreNode } from './node.js';
import type { Limits } from './quota.js';
import type { RingChange } from './ring-kept.js';

export interface Journal {
  /** The newest version of a node; undefined: it was removed. */
  node(path: string, node: StoreNode | undefined): void;
  domain(domain: Domain): void;
  domainGone(domid: number): void;
  limits(limits: Limits): void;
  /** What happened to the connection of a guest on its ring page. */
  ring(domid: number, change: RingChange): void;
}

export const NO_JOURNAL: Journal = {
  node: () => {},
  domain: () => {},
  domainGone: () => {},
  limits: () => {},
  ring: () => {},
};
