// The page through which a guest and xenstored exchange messages, as xs_wire.h has it. Leaves its use to
// lib/xenstore/ring-stream.ts. Indexes run freely over 32 bits; a position is an index modulo XENSTORE_RING_SIZE.
import { bytes, struct, u32 } from './struct.js';

export const XENSTORE_RING_SIZE = 1024;

/** struct xenstore_domain_interface. req: guest to server; rsp: server to guest. */
export const XENSTORE_DOMAIN_INTERFACE = struct(
  'xenstore_domain_interface',
  {
    req: bytes(XENSTORE_RING_SIZE),
    rsp: bytes(XENSTORE_RING_SIZE),
    req_cons: u32,
    req_prod: u32,
    rsp_cons: u32,
    rsp_prod: u32,
    server_features: u32,
    connection: u32,
    error: u32,
    evtchn_port: u32,
  },
  { size: 2080 },
);

/** Field `connection`. */
export const XENSTORE_CONNECTED = 0;
export const XENSTORE_RECONNECT = 1;

/** Field `error`. */
export const XENSTORE_ERROR_NONE = 0;
export const XENSTORE_ERROR_COMM = 1;
export const XENSTORE_ERROR_RINGIDX = 2;
export const XENSTORE_ERROR_PROTO = 3;
