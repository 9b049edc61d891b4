// Xen's stream of xenstored state, as xenstore_state.h and xen.git docs/designs/xenstore-migration.md have it: what one xenstored
// hands to the next. Layouts only; which records are written, and what they mean here, is
// services/xenstored/live-state.ts.
import { bytes, type Kind, struct, u16, u32 } from './struct.js';

/** The preamble is big-endian whatever the flags say. */
const u32be: Kind<number> = {
  size: 4,
  align: 4,
  get: (view, at) => view.getUint32(at, false),
  set: (view, at, value) => view.setUint32(at, value, false),
};
const i32: Kind<number> = {
  size: 4,
  align: 4,
  get: (view, at) => view.getInt32(at, true),
  set: (view, at, value) => view.setInt32(at, value, true),
};

/** First in the stream. */
export const XS_STATE_PREAMBLE = struct(
  'xs_state_preamble',
  { ident: bytes(8), version: u32be, flags: u32be },
  { size: 16 },
);
export const XS_STATE_IDENT = 'xenstore';
export const XS_STATE_VERSION = 2;
/** The stream's records are little-endian. */
export const XS_STATE_FLAGS = 0;

/** Before each record; `length` bytes of body follow, padding included. */
export const XS_STATE_RECORD_HEADER = struct('xs_state_record_header', { type: u32, length: u32 }, { size: 8 });
/** Bodies end at a multiple of it. */
export const XS_STATE_ALIGN = 8;

export const XS_STATE_TYPE = {
  XS_STATE_TYPE_END: 0,
  XS_STATE_TYPE_GLOBAL: 1,
  XS_STATE_TYPE_CONN: 2,
  XS_STATE_TYPE_WATCH: 3,
  XS_STATE_TYPE_TA: 4,
  XS_STATE_TYPE_NODE: 5,
  XS_STATE_TYPE_GLB_QUOTA: 6,
  XS_STATE_TYPE_DOMAIN: 7,
  XS_STATE_TYPE_WATCH_EXT: 8,
} as const;

/** Descriptors; -1 is none. */
export const XS_STATE_GLOBAL = struct('xs_state_global', { socket_fd: i32, evtchn_fd: i32 }, { size: 8 });

export const XS_STATE_CONN_TYPE_RING = 0;
export const XS_STATE_CONN_TYPE_SOCKET = 1;
/** A u64 follows the padded data: which domain of that number it is. */
export const XS_STATE_CONN_FIELDS_UNIQ_ID = 1;

/**
 * One connection: `data_in_len` bytes read and not done follow, then `data_out_len` bytes not sent, of which the first
 * `data_resp_len` end a message whose beginning was. For a socket `spec_low` is its descriptor; for a ring it holds domid
 * (low half) and target domid, and `spec_high` the port.
 */
export const XS_STATE_CONNECTION = struct(
  'xs_state_connection',
  {
    conn_id: u32,
    conn_type: u16,
    fields: u16,
    spec_low: u32,
    spec_high: u32,
    data_in_len: u16,
    data_resp_len: u16,
    data_out_len: u32,
  },
  { size: 24 },
);

/** Path and token follow, each with its NUL. */
export const XS_STATE_WATCH = struct(
  'xs_state_watch',
  { conn_id: u32, path_length: u16, token_length: u16 },
  { size: 8 },
);
/** As XS_STATE_WATCH, for a watch with a depth; path and token begin right behind `depth`. */
export const XS_STATE_WATCH_EXT = struct(
  'xs_state_watch_ext',
  { conn_id: u32, path_length: u16, token_length: u16, depth: u16 },
  { size: 10 },
);

/**
 * Not Xen's: input of a connection beyond what its record can count; `size` bytes follow. Readers pass over types they do
 * not know.
 */
export const XENWIRE_STATE_TYPE_MORE_INPUT = 0x7877_0001;
export const XENWIRE_STATE_MORE_INPUT = struct('xenwire_state_more_input', { conn_id: u32, size: u32 }, { size: 8 });
