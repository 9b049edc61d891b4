// The page between a user of /dev/xen/evtchn and the dom0 kernel's half of it, which lives in the hypervisor process.
// Ours: on Linux these are read(), write() and ioctl NOTIFY of the device, and one ioctl of privcmd. Two single-producer
// single-consumer rings of u32 with free-running indexes: ports to read (kernel to user), and commands (user to kernel).
// A port is in the read ring at most once: it stays disabled until it is written back (drivers/xen/evtchn.c).

export const DEV_EVTCHN_RING_SIZE = 1024;
/** Offsets in bytes; every index on a cache line of its own. */
export const DEV_EVTCHN = {
  /** u32, written by the kernel half: ports put into the read ring. */
  READ_PROD: 0,
  /** u32, written by the user. */
  READ_CONS: 64,
  /** u32, written by the user: commands put in. */
  COMMAND_PROD: 128,
  /** u32, written by the kernel half. */
  COMMAND_CONS: 192,
  /** u32, written by the kernel half: 1 once a port did not fit into the read ring (EFBIG of read()), until RESET. */
  READ_OVERFLOW: 256,
  /** u32[1024]. */
  READ_RING: 4096,
  /** u32[1024]: COMMAND_* in the top two bits, the port below; COMMAND_DM_RAISE takes two words. */
  COMMAND_RING: 8192,
  SIZE: 12288,
} as const;

/** Which way an event descriptor that is tied to a port works (DevEvtchnEventfd.direction). */
export const EVENTFD_DIRECTION = {
  /** A signal on the descriptor sends on the port. */
  TO_PORT: 0,
  /** An event on the port signals the descriptor. */
  FROM_PORT: 1,
} as const;

/** The port is re-enabled (late EOI): what write() of the device does. */
export const COMMAND_WRITE_BACK = 0;
/** ioctl NOTIFY: EVTCHNOP_send on the port. */
export const COMMAND_NOTIFY = 1;
/** privcmd DM_OP with evtchn_raise: its domain in this word, its port in the next. Both are published at once. */
export const COMMAND_DM_RAISE = 2;
export const COMMAND_SHIFT = 30;
