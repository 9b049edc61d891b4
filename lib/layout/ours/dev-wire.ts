// Frames between the preloaded library of a dom0 program and the hypervisor process, on unix stream sockets. Ours: on Linux
// these are system calls, and copy_from_user and its kind inside them. The same numbers stand in native/wire.h.
import { struct, u32, u64 } from '../struct.js';

export const DEV_FRAME = {
  /** a: device; payload: token. */
  OPEN: 1,
  /** a: file, b: command, c: argument; payload: the argument's bytes. */
  IOCTL: 2,
  /** a: file, b: address, c: length, d: protection, e: offset. */
  MMAP: 3,
  /** a: what the mapping held. No answer. */
  RELEASE: 4,
  /** a: file; DONE brings the descriptor that stands for it in a process without the library. */
  EXPORT: 5,
  READ: 16,
  WRITE: 17,
  MAP: 18,
  FD: 19,
  VMA: 20,
  HOLD: 21,
  DONE: 31,
  REPLY: 32,
} as const;

export const DEV_FRAME_PAYLOAD_MAX = 65536;

/** struct frame; `result` is signed, as an error number is minus itself. */
export const DEV_FRAME_HEADER = struct(
  'frame',
  { kind: u32, result: u32, length: u64, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64 },
  { size: 64 },
);

/** A file's socket is bound to this abstract name, then the device's number, `/` and the file's number in 16 hexadecimal digits. */
export const DEV_NAME_PREFIX = 'xenwire-dev/';
/** Devices by the number that OPEN names. */
export const DEV_DEVICE = { CONTROL: 0, EVTCHN: 1, PRIVCMD: 2, GNTDEV: 3, HYPERCALL: 4 } as const;
