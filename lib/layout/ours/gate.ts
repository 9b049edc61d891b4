// The page of gates of one process: written by a controller (lab/gates.ts), read by the process at every point. A gate names
// a point, a label and an occurrence; the process that comes there marks the gate hit and stops itself. Ours. The process
// trusts nothing in it: a slot that names no point, or has lengths that do not fit, is marked refused.
import { bytes, pad, struct, u16, u32, u64 } from '../struct.js';

export const GATE_MAGIC = 0x65746167;
export const GATE_VERSION = 1;
export const GATE_COUNT = 64;
export const GATE_LABEL_BYTES_MAX = 3584;

export const GATE_STATE = {
  /** Not in use: the controller may fill it. */
  FREE: 0,
  /** Written by the controller, last of all fields of a slot. */
  ARMED: 1,
  /** The process stands here. Written by the process before it stops itself. */
  HIT: 2,
  /** The process has gone on; the gate does nothing any more. Written by the process. */
  PASSED: 3,
  /** The process was past that occurrence when it saw the gate. Written by the process. */
  LATE: 4,
  /** The slot makes no sense to the process. Written by the process. */
  REFUSED: 5,
} as const;

export const GATE_SLOT = struct(
  'gate_slot',
  {
    state: u32,
    /** Of the point with this label, from 1; 0: the next time, whichever it is. */
    occurrence: u32,
    point: u16,
    label_length: u16,
    reserved: pad(4),
    label: bytes(GATE_LABEL_BYTES_MAX),
  },
  { size: 3600 },
);

export const GATE_HEADER = struct(
  'gate_header',
  {
    magic: u32,
    version: u32,
    slot_size: u32,
    slot_count: u32,
    pid: u32,
    /** Grows with each change that the controller makes; 0 while no gate was ever set: the one word that points look at. */
    generation: u32,
    /** Index of the gate at which the process stands, plus one; 0 while it runs. Written by the process. */
    hit: u32,
    /** Of the catalogue of points, as in the history ring. */
    catalogue: u32,
    incarnation: u64,
    process: bytes(64),
  },
  { size: 104 },
);
export const GATE_HEADER_SIZE = 4096;
export const GATE_FILE_SIZE = GATE_HEADER_SIZE + GATE_COUNT * GATE_SLOT.size;
