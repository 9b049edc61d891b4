// /dev/xen/privcmd for programs with the preloaded library (drivers/xen/privcmd.c): hypercalls, dm_ops, foreign mappings, resources,
// IRQFD and IOEVENTFD, with Linux's checks in Linux's order. Leaves hypercalls to hypercalls.ts, mappings to foreign-map.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { DomId, EvtchnPort } from '../../../lib/core/ids.js';
import type { Log } from '../../../lib/core/log.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import * as I from '../../../lib/layout/dev-ioctls.js';
import {
  PRIVCMD_DM_OP_BUF_BYTES_MAX,
  PRIVCMD_DM_OP_BUFS_MAX,
  PRIVCMD_IOEVENTFD_VCPUS_MAX,
} from '../../../lib/layout/dm-op.js';
import type { Host } from '../host.js';
import { eventFdHandle } from '../kernel/irqfds.js';
import type { KernelHalf } from '../kernel/kernel-half.js';
import { type DeviceFile, type IoctlCall, IoctlTable } from './device.js';
import { dmOp } from './dm-op-call.js';
import { mapBatch, mapRanges, mapResource, serverAt } from './foreign-map.js';
import { userDmOp, userHypercall } from './hypercalls.js';
import type { UserProcess } from './user.js';

const { E2BIG, EINVAL, ENOTTY, EPERM } = ERRNO;
const U32_BYTES = 4;

/** Runs for a domain that the file may name: EPERM for another one than it is restricted to. */
const allowed = (file: PrivcmdDevice, dom: number): void => {
  if (file.restricted !== undefined && file.restricted !== dom) throw new ErrnoError('EPERM');
};

const deassigns = (flags: number): boolean => {
  if ((flags & ~I.PRIVCMD_EVENTFD_FLAG_DEASSIGN) !== 0) throw new ErrnoError('EINVAL', `flags ${flags}`);
  return (flags & I.PRIVCMD_EVENTFD_FLAG_DEASSIGN) !== 0;
};

async function irqfd(file: PrivcmdDevice, { argument, user }: IoctlCall): Promise<number> {
  const request = I.PRIVCMD_IRQFD.decode(argument);
  const deassign = deassigns(request.flags);
  allowed(file, request.dom);
  const { host, kernel } = file.env;
  if (deassign) {
    const fd = await user.eventFd(request.fd);
    kernel.irqfdDeassign(user, eventFdHandle(fd));
    fd.close();
    return 0;
  }
  const bytes = await user.copyIn(request.dm_op, request.size);
  const fd = await user.eventFd(request.fd);
  const domid = DomId(request.dom);
  try {
    // Linux learns only when it issues the operation whether Xen has it.
    kernel.irqfdOf(user, domid, () => dmOp(host, user.domain, domid, [bytes.slice()]), fd);
  } catch (error) {
    fd.close();
    throw error;
  }
  return 0;
}

async function ioeventfd(file: PrivcmdDevice, { argument, user }: IoctlCall): Promise<number> {
  const request = I.PRIVCMD_IOEVENTFD.decode(argument);
  const deassign = deassigns(request.flags);
  allowed(file, request.dom);
  const { kernel } = file.env;
  if (!deassign) {
    if (request.addr + BigInt(request.addr_len) >= 1n << 64n) return -EINVAL;
    if (![1, 2, 4, 8].includes(request.addr_len)) return -EINVAL;
    if (request.addr > BigInt(Number.MAX_SAFE_INTEGER)) return -EINVAL;
  }
  if (request.vcpus === 0 || request.vcpus > PRIVCMD_IOEVENTFD_VCPUS_MAX) return -EINVAL;
  const ports = await user.copyIn(request.ports, request.vcpus * U32_BYTES);
  const numbers = [...new Uint32Array(ports.buffer, 0, request.vcpus)].map(EvtchnPort);
  const fd = await user.eventFd(request.event_fd);
  try {
    const server = await serverAt(user, request.ioreq);
    if (server === undefined) throw new ErrnoError(deassign ? 'ENODEV' : 'EFAULT', 'no ioreq page is mapped there');
    const spec = { server, handle: eventFdHandle(fd), ports: numbers };
    if (deassign) {
      kernel.ioeventfdDeassign(user, spec);
      fd.close();
      return 0;
    }
    const notifier = { signal: () => fd.signal(), insist: () => fd.signal(), close: () => fd.close() };
    const { addr, addr_len: addrLen, vq } = request;
    kernel.ioeventfdOf(user, { ...spec, addr: Number(addr), addrLen, vq, notifier });
  } catch (error) {
    fd.close();
    throw error;
  }
  return 0;
}

export const PRIVCMD_IOCTLS = new IoctlTable<PrivcmdDevice>(ENOTTY, [
  {
    name: 'IOCTL_PRIVCMD_HYPERCALL',
    command: I.IOCTL_PRIVCMD.HYPERCALL,
    run: (file, { argument, user }) => {
      if (file.restricted !== undefined) return -EPERM;
      const { op, arg0, arg1, arg2, arg3, arg4 } = I.PRIVCMD_HYPERCALL.decode(argument);
      const context = { host: file.env.host, caller: user.domain, user };
      return userHypercall(context, op, [arg0, arg1, arg2, arg3, arg4], (what) => file.env.unsupported(what));
    },
  },
  {
    name: 'IOCTL_PRIVCMD_MMAP',
    command: I.IOCTL_PRIVCMD.MMAP,
    run: (file, call) => {
      const { dom } = I.PRIVCMD_MMAP.decode(call.argument);
      allowed(file, dom);
      return mapRanges(file.env, call);
    },
  },
  {
    name: 'IOCTL_PRIVCMD_MMAPBATCH',
    command: I.IOCTL_PRIVCMD.MMAPBATCH,
    run: (file, call) => {
      const request = I.PRIVCMD_MMAPBATCH.decode(call.argument);
      allowed(file, request.dom);
      return mapBatch(file.env, file.id, call.user, request);
    },
  },
  {
    name: 'IOCTL_PRIVCMD_MMAPBATCH_V2',
    command: I.IOCTL_PRIVCMD.MMAPBATCH_V2,
    run: (file, call) => {
      const request = I.PRIVCMD_MMAPBATCH_V2.decode(call.argument);
      allowed(file, request.dom);
      return mapBatch(file.env, file.id, call.user, request);
    },
  },
  {
    name: 'IOCTL_PRIVCMD_DM_OP',
    command: I.IOCTL_PRIVCMD.DM_OP,
    run: (file, { argument, user }) => {
      const { dom, num, ubufs } = I.PRIVCMD_DM_OP.decode(argument);
      allowed(file, dom);
      if (num === 0) return 0;
      if (num > PRIVCMD_DM_OP_BUFS_MAX) return -E2BIG;
      const run = (buffers: Uint8Array[]): number => dmOp(file.env.host, user.domain, DomId(dom), buffers);
      return userDmOp(user, ubufs, num, run, PRIVCMD_DM_OP_BUF_BYTES_MAX);
    },
  },
  {
    name: 'IOCTL_PRIVCMD_RESTRICT',
    command: I.IOCTL_PRIVCMD.RESTRICT,
    run: (file, { argument }) => {
      const dom = new DataView(argument.buffer, argument.byteOffset).getUint16(0, true);
      if (file.restricted !== undefined && file.restricted !== dom) return -EINVAL;
      file.restricted = dom;
      return 0;
    },
  },
  {
    name: 'IOCTL_PRIVCMD_MMAP_RESOURCE',
    command: I.IOCTL_PRIVCMD.MMAP_RESOURCE,
    run: (file, call) => {
      allowed(file, I.PRIVCMD_MMAP_RESOURCE.decode(call.argument).dom);
      return mapResource(file.env, file.id, call);
    },
  },
  { name: 'IOCTL_PRIVCMD_IRQFD', command: I.IOCTL_PRIVCMD.IRQFD, run: irqfd },
  { name: 'IOCTL_PRIVCMD_IOEVENTFD', command: I.IOCTL_PRIVCMD.IOEVENTFD, run: ioeventfd },
]);

/** What the devices of one kernel share. */
export interface DeviceEnvironment {
  readonly host: Host;
  readonly kernel: KernelHalf;
  /** Says once for each what a program asked for that is not here. */
  unsupported(what: string): void;
}

export function unsupportedOnce(log: Log): (what: string) => void {
  const said = new Set<string>();
  return (what) => {
    if (said.has(what) || said.size >= UNSUPPORTED_SAID_MAX) return;
    said.add(what);
    log.warn({ what }, `a program of dom0 asked for what is not here: ${what}`);
  };
}
const UNSUPPORTED_SAID_MAX = 256;

export class PrivcmdDevice implements DeviceFile {
  readonly unknown = PRIVCMD_IOCTLS.unknown;
  readonly env: DeviceEnvironment;
  readonly id: bigint;
  /** The only domain that it may name any more. */
  restricted: number | undefined;
  /** Of a domain whose memory was passed on. */
  #giveBack: (() => void) | undefined;

  constructor(env: DeviceEnvironment, id: bigint) {
    this.env = env;
    this.id = id;
  }

  knows(command: number): boolean {
    return PRIVCMD_IOCTLS.knows(command);
  }

  ioctl(command: number, call: IoctlCall): number | Promise<number> {
    return PRIVCMD_IOCTLS.run(this, command, call);
  }

  /** Filled by the ioctls. */
  mmap(): number {
    return 0;
  }

  /**
   * Of one that is restricted: the domain's memory. The domain is held until this file is closed, or the process ends that passed
   * it on first: what the receiver has mapped then stays, as any file that was removed.
   */
  exported(user: UserProcess): FileHandle | undefined {
    if (this.restricted === undefined || !user.domain.privileged) return undefined;
    const domid = DomId(this.restricted);
    const file = this.env.kernel.mapForeign(user, domid);
    if (this.#giveBack !== undefined) this.env.kernel.unmapForeign(user, domid);
    else this.#giveBack = () => this.env.kernel.unmapForeignOf(user, domid);
    return file;
  }

  written(): void {}

  close(): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
  }
}
