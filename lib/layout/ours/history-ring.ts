// The file of a history ring: a header page, then records of a fixed size that are overwritten in turn. Ours. One writer;
// readers map it too and take what `head` has published. A text that is longer than a record's own room goes on in the
// records that follow, so that a path is always whole. Why it is so: docs/tracing.md.
import { bytes, pad, struct, u16, u32, u64 } from '../struct.js';

export const HISTORY_MAGIC = 0x74736968;
export const HISTORY_VERSION = 2;
export const HISTORY_HEADER_SIZE = 4096;
/** Of a text in its record; the rest follows in pieces of HISTORY_MORE_BYTES. */
export const HISTORY_TEXT_BYTES = 48;
export const HISTORY_MORE_BYTES = 84;
/** Longer texts are cut: xs_wire.h's payload is 4096 bytes, and its longest path 3072. */
export const HISTORY_TEXT_BYTES_MAX = 3584;
/** `point` of a record that only carries more text of the one before. */
export const HISTORY_MORE = 0;

export const HISTORY_HEADER = struct(
  'history_header',
  {
    magic: u32,
    version: u32,
    record_size: u32,
    record_count: u32,
    pid: u32,
    /** Records ever written, modulo 2^32; published after the record and all that carry its text. */
    head: u32,
    /** Of the writer's catalogue of points: numbers mean nothing to a reader with another. */
    catalogue: u32,
    reserved: pad(4),
    incarnation: u64,
    /** CLOCK_MONOTONIC and CLOCK_REALTIME (ns) taken together at the start. */
    monotonic_ns: u64,
    realtime_ns: u64,
    process: bytes(64),
  },
  { size: 120 },
);

/** a, b and sender are IEEE doubles: integers up to 2^53 and fractions both fit. Here as raw u64; the ring writes them by view. */
export const HISTORY_RECORD = struct(
  'history_record',
  {
    /** CLOCK_MONOTONIC. */
    ns: u64,
    point: u16,
    domid: u16,
    /** Bytes of the whole text. */
    text_length: u16,
    reserved: pad(2),
    /** How often the writer has been at this point with this text, this time included. */
    occurrence: u32,
    /** Number of the message, 0 for none; with `sender`, the incarnation of the process that numbered it, the flow id. */
    flow: u32,
    sender: u64,
    a: u64,
    b: u64,
    text: bytes(HISTORY_TEXT_BYTES),
  },
  { size: 96 },
);

export const HISTORY_MORE_RECORD = struct(
  'history_more',
  {
    ns: u64,
    /** HISTORY_MORE, where a record has its point. */
    point: u16,
    reserved: pad(2),
    text: bytes(HISTORY_MORE_BYTES),
  },
  { size: 96 },
);
