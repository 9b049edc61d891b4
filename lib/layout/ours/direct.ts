// The table by which a guest and a device server notify each other without the hypervisor in between (path `direct`): ours,
// standing for what KVM's ioeventfd and posted interrupts do. One file a domain, written by the hypervisor only.
// An entry is valid while its sequence is even and not 0, and unchanged over the reading of it; the hypervisor makes it odd
// before it changes anything, and gives every use of an entry new numbers.
import { array, bytes, pad, struct, u32 } from '../struct.js';

export const DIRECT_MAGIC = 0x74637264;
/** Longest name of a doorbell, NUL-padded. */
export const DIRECT_BELL_BYTES = 64;
/** Kicks and calls of one domain. */
export const DIRECT_KICKS = 64;
export const DIRECT_CALLS = 64;

/** A kick: a write of `size` bytes at the address, whose low 16 bits are `vq`, rings that bit. */
export const DIRECT_KICK = struct(
  'direct_kick',
  {
    seq: u32,
    addr_low: u32,
    addr_high: u32,
    size: u32,
    vq: u32,
    bit: u32,
    pad: pad(8),
    bell: bytes(DIRECT_BELL_BYTES),
  },
  { size: 96 },
);
/** A call: delivery of an event on a port of the guest, by the steps of the 2-level ABI. */
export const DIRECT_CALL = struct('direct_call', { seq: u32, port: u32, vcpu: u32, pad: pad(4) }, { size: 16 });

export const DIRECT_TABLE = struct(
  'direct_table',
  {
    magic: u32,
    /** Sequence, bit and doorbell of the guest's upcall; 0 while no process runs the guest. */
    upcall_seq: u32,
    upcall_bit: u32,
    pad: pad(4),
    upcall_bell: bytes(DIRECT_BELL_BYTES),
    kicks: array(DIRECT_KICK, DIRECT_KICKS),
    calls: array(DIRECT_CALL, DIRECT_CALLS),
  },
  { size: 16 + DIRECT_BELL_BYTES + DIRECT_KICKS * 96 + DIRECT_CALLS * 16 },
);
export const DIRECT_FILE_SIZE = 8192;
/** Doorbell names of calls: this and the domid; the bit is the entry's index. */
export const DIRECT_BELL_PREFIX = 'direct.';
