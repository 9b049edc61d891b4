// The xenstore wire, as xs_wire.h has it: message header, operation numbers, error names, limits, feature bits.
// The ring page that guests use as a transport is xs-ring.ts; cutting a byte stream into messages is
// lib/xenstore/framing.ts.
import { struct, u32 } from './struct.js';

/** struct xsd_sockmsg: every message starts with it; `len` bytes of payload follow. */
export const XSD_SOCKMSG = struct('xsd_sockmsg', { type: u32, req_id: u32, tx_id: u32, len: u32 }, { size: 16 });

/** enum xsd_sockmsg_type. Number 20 (RESTRICT) was removed. */
export const XS = {
  XS_CONTROL: 0,
  XS_DIRECTORY: 1,
  XS_READ: 2,
  XS_GET_PERMS: 3,
  XS_WATCH: 4,
  XS_UNWATCH: 5,
  XS_TRANSACTION_START: 6,
  XS_TRANSACTION_END: 7,
  XS_INTRODUCE: 8,
  XS_RELEASE: 9,
  XS_GET_DOMAIN_PATH: 10,
  XS_WRITE: 11,
  XS_MKDIR: 12,
  XS_RM: 13,
  XS_SET_PERMS: 14,
  XS_WATCH_EVENT: 15,
  XS_ERROR: 16,
  XS_IS_DOMAIN_INTRODUCED: 17,
  XS_RESUME: 18,
  XS_SET_TARGET: 19,
  XS_RESET_WATCHES: 21,
  XS_DIRECTORY_PART: 22,
  XS_GET_FEATURE: 23,
  XS_SET_FEATURE: 24,
  XS_GET_QUOTA: 25,
  XS_SET_QUOTA: 26,
} as const;
export type XsName = keyof typeof XS;

const NAMES = new Map<number, string>(Object.entries(XS).map(([name, type]) => [type, name.slice('XS_'.length)]));

/** Short name of an operation, for logs and steps: "WATCH_EVENT"; "TYPE_99" where there is none. */
export function xsName(type: number): string {
  return NAMES.get(type) ?? `TYPE_${type}`;
}

const LABELS = new Map([...NAMES].map(([type, name]) => [type, name.toLowerCase()]));

/** The same in small letters, for trace points: "watch_event". */
export function xsLabel(type: number): string {
  return LABELS.get(type) ?? `type_${type}`;
}

/** Payload of a message, either way. */
export const XENSTORE_PAYLOAD_MAX = 4096;
export const XENSTORE_ABS_PATH_MAX = 3072;
export const XENSTORE_REL_PATH_MAX = 2048;

/** xsd_errors[]: the only error names that travel. What has no name here is sent, and read, as EINVAL. */
export const XSD_ERRORS = [
  'EINVAL',
  'EACCES',
  'EEXIST',
  'EISDIR',
  'ENOENT',
  'ENOMEM',
  'ENOSPC',
  'EIO',
  'ENOTEMPTY',
  'ENOSYS',
  'EROFS',
  'EBUSY',
  'EAGAIN',
  'EISCONN',
  'E2BIG',
  'EPERM',
] as const;
export type XsdError = (typeof XSD_ERRORS)[number];

const ERROR_NAMES: ReadonlySet<string> = new Set(XSD_ERRORS);

/** The error that a name on the wire stands for. */
export function xsdError(name: string): XsdError {
  return ERROR_NAMES.has(name) ? (name as XsdError) : 'EINVAL';
}

/** Features: what GET_FEATURE answers and the ring page shows. */
export const XENSTORE_SERVER_FEATURE = {
  XENSTORE_SERVER_FEATURE_RECONNECTION: 1,
  XENSTORE_SERVER_FEATURE_ERROR: 2,
  XENSTORE_SERVER_FEATURE_WATCHDEPTH: 4,
  XENSTORE_SERVER_FEATURE_DOMID_ANY: 8,
} as const;

/** Special nodes: watched for domains coming and going. */
export const XS_INTRODUCE_DOMAIN = '@introduceDomain';
export const XS_RELEASE_DOMAIN = '@releaseDomain';

/** One message in memory. The payload is a byte string: each char code, 0..255, is one byte. */
export interface XsMessage {
  readonly type: number;
  readonly reqId: number;
  readonly txId: number;
  readonly payload: string;
}
