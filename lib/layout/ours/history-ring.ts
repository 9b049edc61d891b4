// The file of a history ring (design 7): a header page, then records of a fixed size that are overwritten in turn.
// Ours. One writer; readers map it too and take what `head` has published.
import { bytes, pad, struct, u16, u32, u64 } from '../struct.js';

export const HISTORY_MAGIC = 0x74736968;
export const HISTORY_VERSION = 1;
export const HISTORY_HEADER_SIZE = 4096;
export const HISTORY_NAME_BYTES = 64;

export const HISTORY_HEADER = struct(
  'history_header',
  {
    magic: u32,
    version: u32,
    record_size: u32,
    record_count: u32,
    pid: u32,
    /** Records ever written, modulo 2^32; published after the record. */
    head: u32,
    /** 1 while the process stands at a gate: it stopped itself. */
    gated: u32,
    /** Low half of the index of the record of that gate. */
    gate_record: u32,
    incarnation: u64,
    /** CLOCK_MONOTONIC and CLOCK_REALTIME (ns) taken together at the start. */
    monotonic_ns: u64,
    realtime_ns: u64,
    process: bytes(64),
  },
  { size: 120 },
);

/** a and b are IEEE doubles: integers up to 2^53 and fractions both fit. Here as raw u64; the ring writes them by view. */
export const HISTORY_RECORD = struct(
  'history_record',
  {
    /** CLOCK_MONOTONIC. */
    ns: u64,
    kind: u16,
    domid: u16,
    name_length: u16,
    reserved: pad(2),
    a: u64,
    b: u64,
    name: bytes(HISTORY_NAME_BYTES),
  },
  { size: 96 },
);
