// Payloads of vhost-user messages: bytes to checked values and back, one codec a shape. Which message carries which is
// the table of messages.ts.
import type { ProtocolCode } from '../core/error-codes.js';
import { ProtocolError } from '../core/errors.js';
import {
  VHOST_MEMORY_BASELINE_NREGIONS,
  VHOST_MEMORY_XEN_NREGIONS,
  VHOST_USER_CONFIG_HDR,
  VHOST_USER_INFLIGHT,
  VHOST_USER_LOG,
  VHOST_USER_MAX_CONFIG_SIZE,
  VHOST_USER_MEM_REG_MSG,
  VHOST_USER_MEMORY_HDR,
  VHOST_USER_MEMORY_REGION,
  VHOST_USER_U64,
  VHOST_USER_VRING_IDX_MASK,
  VHOST_USER_VRING_NOFD_MASK,
  VHOST_USER_XEN_MMAP,
  VHOST_USER_XEN_MMAP_FLAGS,
  VHOST_USER_XEN_MMAP_NO_ADVANCE_RUST,
  VHOST_VRING_ADDR,
  VHOST_VRING_STATE,
} from '../layout/vhost-user.js';

/** A run of guest memory. Addresses and sizes in bytes. */
export interface MemoryRegionBody {
  readonly guestAddr: bigint;
  readonly size: bigint;
  /** The front-end's own address; opaque to everyone but SET_VRING_ADDR. */
  readonly userAddr: bigint;
  readonly mmapOffset: bigint;
  /** How a domain's memory is mapped (XEN_MMAP); absent: the descriptor is a file. */
  readonly xen?: XenMapping;
}

export interface XenMapping {
  readonly kind: 'foreign' | 'grant';
  readonly domid: number;
  /** Granted pages are looked up at each access, and not mapped once for as long as the region is there. */
  readonly onDemand?: boolean;
}

export interface Payloads {
  none: Record<never, never>;
  u64: { readonly value: bigint };
  state: { readonly index: number; readonly num: number };
  addr: {
    readonly index: number;
    readonly flags: number;
    readonly desc: bigint;
    readonly used: bigint;
    readonly avail: bigint;
    readonly log: bigint;
  };
  table: { readonly regions: readonly MemoryRegionBody[] };
  region: { readonly region: MemoryRegionBody };
  config: { readonly offset: number; readonly size: number; readonly flags: number; readonly data: Uint8Array };
  /** The back-end's answer to GET_CONFIG; empty bytes on the wire say that it has no such config space. */
  configReply: { readonly offset: number; readonly flags: number; readonly data: Uint8Array | undefined };
  /** The buffer of inflight tracking: where it lies in its file, and for how many queues of how many entries it is. */
  inflight: {
    readonly size: bigint;
    readonly offset: bigint;
    readonly queueCount: number;
    readonly queueSize: number;
  };
  /** The log of written pages: where it lies in its file. */
  log: { readonly size: bigint; readonly offset: bigint };
  /** Ring index; without a handle when `polled`. */
  vring: { readonly index: number; readonly polled: boolean };
}
export type PayloadKind = keyof Payloads;

export const bad = (code: ProtocolCode, message: string): ProtocolError => new ProtocolError(code, message);

const exactly = (what: string, payload: Uint8Array, size: number): void => {
  if (payload.length !== size) throw bad('size', `${what} has ${payload.length} bytes, not ${size}`);
};

export const decoders: { readonly [K in PayloadKind]: (what: string, payload: Uint8Array) => Payloads[K] } = {
  none: (what, payload) => {
    exactly(what, payload, 0);
    return {};
  },
  u64: (what, payload) => {
    exactly(what, payload, VHOST_USER_U64.size);
    return { value: VHOST_USER_U64.decode(payload).u64 };
  },
  state: (what, payload) => {
    exactly(what, payload, VHOST_VRING_STATE.size);
    return VHOST_VRING_STATE.decode(payload);
  },
  addr: (what, payload) => {
    exactly(what, payload, VHOST_VRING_ADDR.size);
    const { index, flags, ...a } = VHOST_VRING_ADDR.decode(payload);
    return {
      index,
      flags,
      desc: a.desc_user_addr,
      used: a.used_user_addr,
      avail: a.avail_user_addr,
      log: a.log_guest_addr,
    };
  },
  table: (what, payload) => {
    if (payload.length < VHOST_USER_MEMORY_HDR.size) throw bad('size', `${what} has no header`);
    const { nregions } = VHOST_USER_MEMORY_HDR.decode(payload);
    if (nregions === 0 || nregions > VHOST_MEMORY_XEN_NREGIONS) throw bad('regions', `${nregions} regions`);
    const plain = VHOST_USER_MEMORY_REGION.size;
    const xen = payload.length === VHOST_USER_MEMORY_HDR.size + nregions * (plain + VHOST_USER_XEN_MMAP.size);
    const stride = plain + (xen ? VHOST_USER_XEN_MMAP.size : 0);
    exactly(what, payload, VHOST_USER_MEMORY_HDR.size + nregions * stride);
    if (!xen && nregions > VHOST_MEMORY_BASELINE_NREGIONS) throw bad('regions', `${nregions} regions`);
    const regions = Array.from({ length: nregions }, (_, i) => {
      const at = VHOST_USER_MEMORY_HDR.size + i * stride;
      return regionOf(VHOST_USER_MEMORY_REGION.decode(payload, at), xen ? xenOf(payload, at + plain) : undefined);
    });
    return { regions };
  },
  region: (what, payload) => {
    const plain = VHOST_USER_MEM_REG_MSG.size;
    const xen = payload.length === plain + VHOST_USER_XEN_MMAP.size;
    if (!xen) exactly(what, payload, plain);
    return { region: regionOf(VHOST_USER_MEM_REG_MSG.decode(payload), xen ? xenOf(payload, plain) : undefined) };
  },
  config: (what, payload) => {
    const header = VHOST_USER_CONFIG_HDR.size;
    if (payload.length < header) throw bad('size', `${what} has no header`);
    const { offset, size, flags } = VHOST_USER_CONFIG_HDR.decode(payload);
    if (size > VHOST_USER_MAX_CONFIG_SIZE) throw bad('size', `${what} of ${size} bytes`);
    exactly(what, payload, header + size);
    return { offset, size, flags, data: payload.slice(header) };
  },
  configReply: (what, payload) => {
    if (payload.length === 0) return { offset: 0, flags: 0, data: undefined };
    const { offset, flags, data } = decoders.config(what, payload);
    return { offset, flags, data: data.length === 0 ? undefined : data };
  },
  log: (what, payload) => {
    exactly(what, payload, VHOST_USER_LOG.size);
    const { mmap_size, mmap_offset } = VHOST_USER_LOG.decode(payload);
    return { size: mmap_size, offset: mmap_offset };
  },
  inflight: (what, payload) => {
    exactly(what, payload, VHOST_USER_INFLIGHT.size);
    const { mmap_size, mmap_offset, num_queues, queue_size } = VHOST_USER_INFLIGHT.decode(payload);
    return { size: mmap_size, offset: mmap_offset, queueCount: num_queues, queueSize: queue_size };
  },
  vring: (what, payload) => {
    exactly(what, payload, VHOST_USER_U64.size);
    const { u64 } = VHOST_USER_U64.decode(payload);
    if (u64 & ~BigInt(VHOST_USER_VRING_IDX_MASK | VHOST_USER_VRING_NOFD_MASK))
      throw bad('ring', `${what} names ${u64}`);
    return {
      index: Number(u64) & VHOST_USER_VRING_IDX_MASK,
      polled: (u64 & BigInt(VHOST_USER_VRING_NOFD_MASK)) !== 0n,
    };
  },
};

/** Undefined: the region says that it is a file. Throws ProtocolError for kinds that exclude each other or mean nothing. */
function xenOf(payload: Uint8Array, at: number): XenMapping | undefined {
  const { flags, data } = VHOST_USER_XEN_MMAP.decode(payload, at);
  const { FOREIGN, GRANT, NO_MAP_IN_ADVANCE } = VHOST_USER_XEN_MMAP_FLAGS;
  if (flags === 0) return undefined;
  if (data > 0xffff) throw bad('regions', `memory of domain ${data}`);
  if (flags === FOREIGN) return { kind: 'foreign', domid: data };
  const onDemand = NO_MAP_IN_ADVANCE | VHOST_USER_XEN_MMAP_NO_ADVANCE_RUST;
  if ((flags & ~onDemand) === GRANT)
    return { kind: 'grant', domid: data, ...((flags & onDemand) !== 0 && { onDemand: true }) };
  throw bad('regions', `a region of Xen kind 0x${flags.toString(16)}`);
}

/** No process can map a region whose size is zero or wraps. */
function regionOf(
  r: { guest_phys_addr: bigint; memory_size: bigint; userspace_addr: bigint; mmap_offset: bigint },
  xen: XenMapping | undefined,
): MemoryRegionBody {
  const end = 1n << 64n;
  if (
    r.memory_size === 0n ||
    r.guest_phys_addr + r.memory_size > end ||
    r.userspace_addr + r.memory_size > end ||
    r.mmap_offset + r.memory_size > end
  )
    throw bad('regions', `region of ${r.memory_size} bytes at 0x${r.guest_phys_addr.toString(16)}`);
  const region = {
    guestAddr: r.guest_phys_addr,
    size: r.memory_size,
    userAddr: r.userspace_addr,
    mmapOffset: r.mmap_offset,
  };
  return xen === undefined ? region : { ...region, xen };
}

const rawRegion = (r: MemoryRegionBody) => ({
  guest_phys_addr: r.guestAddr,
  memory_size: r.size,
  userspace_addr: r.userAddr,
  mmap_offset: r.mmapOffset,
});

const rawXen = ({ xen }: MemoryRegionBody) => {
  const { FOREIGN, GRANT, NO_MAP_IN_ADVANCE } = VHOST_USER_XEN_MMAP_FLAGS;
  if (xen === undefined) return { flags: 0, data: 0 };
  const kind = xen.kind === 'foreign' ? FOREIGN : GRANT;
  return { flags: xen.onDemand ? kind | NO_MAP_IN_ADVANCE : kind, data: xen.domid };
};

export const encoders: { readonly [K in PayloadKind]: (body: Payloads[K]) => Uint8Array } = {
  none: () => new Uint8Array(0),
  u64: ({ value }) => VHOST_USER_U64.bytes({ u64: value }),
  state: (body) => VHOST_VRING_STATE.bytes(body),
  addr: ({ index, flags, desc, used, avail, log }) =>
    VHOST_VRING_ADDR.bytes({
      index,
      flags,
      desc_user_addr: desc,
      used_user_addr: used,
      avail_user_addr: avail,
      log_guest_addr: log,
    }),
  table: ({ regions }) => {
    const header = VHOST_USER_MEMORY_HDR.size;
    const plain = VHOST_USER_MEMORY_REGION.size;
    const xen = regions.some((region) => region.xen !== undefined);
    const stride = plain + (xen ? VHOST_USER_XEN_MMAP.size : 0);
    const target = new Uint8Array(header + regions.length * stride);
    VHOST_USER_MEMORY_HDR.encode({ nregions: regions.length }, target);
    for (const [i, region] of regions.entries()) {
      VHOST_USER_MEMORY_REGION.encode(rawRegion(region), target, header + i * stride);
      if (xen) VHOST_USER_XEN_MMAP.encode(rawXen(region), target, header + i * stride + plain);
    }
    return target;
  },
  region: ({ region }) => {
    const plain = VHOST_USER_MEM_REG_MSG.bytes(rawRegion(region));
    return region.xen === undefined ? plain : Uint8Array.from([...plain, ...VHOST_USER_XEN_MMAP.bytes(rawXen(region))]);
  },
  config: ({ offset, size, flags, data }) => {
    const target = new Uint8Array(VHOST_USER_CONFIG_HDR.size + size);
    VHOST_USER_CONFIG_HDR.encode({ offset, size, flags }, target);
    target.set(data, VHOST_USER_CONFIG_HDR.size);
    return target;
  },
  configReply: ({ offset, flags, data }) =>
    data === undefined ? new Uint8Array(0) : encoders.config({ offset, flags, size: data.length, data }),
  log: ({ size, offset }) => VHOST_USER_LOG.bytes({ mmap_size: size, mmap_offset: offset }),
  inflight: ({ size, offset, queueCount, queueSize }) =>
    VHOST_USER_INFLIGHT.bytes({
      ...{ mmap_size: size, mmap_offset: offset, num_queues: queueCount, queue_size: queueSize },
    }),
  vring: ({ index, polled }) =>
    VHOST_USER_U64.bytes({ u64: BigInt(index | (polled ? VHOST_USER_VRING_NOFD_MASK : 0)) }),
};
