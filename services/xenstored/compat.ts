// What differs between the releases of the C xenstored whose behaviour we can take on: one table, a line a release.
import { XENSTORE_SERVER_FEATURE as F, XS, type XsdError } from '../../lib/layout/xs-wire.js';
import type { QuotaName } from './quota.js';

export interface Compat {
  readonly name: string;
  /** XENSTORE_SERVER_FEATURE_* offered. */
  readonly features: number;
  /** Operations from this number on are unknown (ENOSYS). */
  readonly typeCount: number;
  /** A value is too much from so far above its quota on; missing: once it equals it. */
  readonly quotaSlack: Readonly<Partial<Record<QuotaName, number>>>;
  /** All nodes that one request makes count against the quota; otherwise the last request's are enough to go past it. */
  readonly quotaCountsNewNodes: boolean;
  /** Bytes that a node counts for its size quota beyond node.ts's. */
  readonly nodeExtraBytes: number;
  /** Quotas are those of all domains together, and hold from the moment they are set; otherwise a domain keeps those of its beginning. */
  readonly quotasAreGlobal: boolean;
  /** What one watch too many answers. */
  readonly watchQuotaError: XsdError;
  /** May every domain watch @releaseDomain? */
  readonly releaseDomainReadable: boolean;
  /** Domids are read by atoi, junk counting as 0; otherwise the whole string must be a number up to 65535. */
  readonly looseDomids: boolean;
  /** @introduceDomain and @releaseDomain are nodes: GET_PERMS reads them, SET_PERMS on them fires watches. */
  readonly specialsAreNodes: boolean;
  /** WATCH takes any name that begins with @ and is no longer than a relative path; otherwise it must be a valid path. */
  readonly watchesAnySpecial: boolean;
  /** UNWATCH of a path that is none answers EINVAL, otherwise ENOENT. */
  readonly unwatchChecksPath: boolean;
  /** Watches on @introduceDomain/<domid> and @releaseDomain/<domid> are told. */
  readonly specialsWithDomid: boolean;
  /** The quota on path lengths binds sockets and the control domain as well. */
  readonly pathLimitBindsAll: boolean;
  /** CONTROL log tells and takes the switches of single parts; otherwise it knows on and off only. */
  readonly logSwitches: boolean;
  /** A domain's end takes its entries out of other nodes' permissions. */
  readonly deadLosePermissions: boolean;
}

export const COMPAT = {
  '4.22': {
    name: '4.22',
    features:
      F.XENSTORE_SERVER_FEATURE_ERROR | F.XENSTORE_SERVER_FEATURE_WATCHDEPTH | F.XENSTORE_SERVER_FEATURE_DOMID_ANY,
    typeCount: XS.XS_SET_QUOTA + 1,
    quotaSlack: {},
    quotaCountsNewNodes: false,
    nodeExtraBytes: 0,
    quotasAreGlobal: false,
    watchQuotaError: 'ENOSPC',
    releaseDomainReadable: true,
    looseDomids: false,
    specialsAreNodes: true,
    watchesAnySpecial: false,
    unwatchChecksPath: true,
    specialsWithDomid: true,
    pathLimitBindsAll: false,
    logSwitches: true,
    deadLosePermissions: true,
  },
  '4.17': {
    name: '4.17',
    features: F.XENSTORE_SERVER_FEATURE_ERROR,
    typeCount: XS.XS_DIRECTORY_PART + 1,
    quotaSlack: {
      nodes: 1,
      watches: 2,
      transactions: 2,
      'transaction-nodes': 1,
      'node-permissions': 1,
      'path-max': 1,
    },
    quotaCountsNewNodes: true,
    // Its record's header is as long as its alignment makes it.
    nodeExtraBytes: 8,
    quotasAreGlobal: true,
    watchQuotaError: 'E2BIG',
    releaseDomainReadable: false,
    looseDomids: true,
    specialsAreNodes: false,
    watchesAnySpecial: true,
    unwatchChecksPath: false,
    specialsWithDomid: false,
    pathLimitBindsAll: true,
    logSwitches: false,
    deadLosePermissions: false,
  },
} as const satisfies Record<string, Compat>;
export type CompatName = keyof typeof COMPAT;
