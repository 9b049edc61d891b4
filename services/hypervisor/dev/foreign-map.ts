// What privcmd maps into a program: pages of a guest by frame number, with an error a page, and pages of resources. Leaves the
// program's address space to user.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { ErrnoError } from '../../../lib/core/errors.js';
import { ramBytesFrom } from '../../../lib/core/guest-ram.js';
import { DomId } from '../../../lib/core/ids.js';
import type { FileHandle } from '../../../lib/core/proto-types.js';
import {
  PRIVCMD_MMAP,
  PRIVCMD_MMAP_ENTRY,
  PRIVCMD_MMAP_RESOURCE,
  PRIVCMD_MMAPBATCH_MFN_ERROR,
} from '../../../lib/layout/dev-ioctls.js';
import { XENMEM_resource_grant_table, XENMEM_resource_ioreq_server } from '../../../lib/layout/ioreq.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';
import type { IoreqServer } from '../ioreq/ioreq-servers.js';
import { hypercall } from '../operations.js';
import type { IoctlCall } from './device.js';
import type { DeviceEnvironment } from './privcmd-device.js';
import type { UserProcess, UserVma } from './user.js';

const { EINVAL } = ERRNO;
const PFN_BYTES = 8;
const PAGE = BigInt(PAGE_SIZE);

/** Ioreq servers by the mappings of their pages: IOEVENTFD names a server by the address of its page. */
const serversOf = new WeakMap<UserProcess, Map<bigint, IoreqServer>>();

/** Whose ioreq page a program has mapped there. */
export async function serverAt(user: UserProcess, address: bigint): Promise<IoreqServer | undefined> {
  const vma = await user.vma(address);
  return vma === undefined ? undefined : serversOf.get(user)?.get(vma.held);
}

/** A mapping of this file that an ioctl may fill. Throws EINVAL. */
async function vmaOf(user: UserProcess, file: bigint, address: bigint): Promise<UserVma> {
  const vma = await user.vma(address);
  if (vma === undefined || vma.file !== file) throw new ErrnoError('EINVAL', 'no mapping of this device');
  return vma;
}

/** The guest's RAM, held as long as the mapping. -errno for a page's error where there is no such domain. */
async function heldRam(
  env: DeviceEnvironment,
  user: UserProcess,
  vma: UserVma,
  dom: number,
): Promise<FileHandle | number> {
  const domid = DomId(dom);
  if (!user.domain.privileged) return -ERRNO.EPERM;
  let file: FileHandle;
  try {
    file = env.kernel.mapForeign(user, domid);
  } catch (error) {
    if (error instanceof ErrnoError) return -error.errno;
    throw error;
  }
  if (vma.held === 0n) await user.hold(vma.start, () => env.kernel.unmapForeign(user, domid));
  else env.kernel.unmapForeign(user, domid); // held by what filled the mapping first
  return file;
}

export interface BatchRequest {
  readonly num: number;
  readonly dom: number;
  readonly addr: bigint;
  readonly arr: bigint;
  /** Version 2: errors go there; version 1 marks the frames themselves. */
  readonly err?: bigint;
}

/** MMAPBATCH and MMAPBATCH_V2. */
export async function mapBatch(
  env: DeviceEnvironment,
  file: bigint,
  user: UserProcess,
  request: BatchRequest,
): Promise<number> {
  const { num, dom, addr, arr, err } = request;
  if (num === 0 || num > 0x7fffffff) return -EINVAL;
  const bytes = await user.copyIn(arr, num * PFN_BYTES);
  const frames = new BigUint64Array(bytes.buffer);
  const errors = new Int32Array(num);
  if (err !== undefined) await user.copyOut(err, new Uint8Array(errors.buffer));
  const vma = await vmaOf(user, file, addr);
  const length = BigInt(num) * PAGE;
  if (vma.pages === 0) {
    if (addr !== vma.start || length !== BigInt(vma.length)) return -EINVAL;
  } else if (addr + length > vma.start + BigInt(vma.length) || addr % PAGE !== 0n) return -EINVAL;
  const ram = await heldRam(env, user, vma, dom);
  if (typeof ram === 'number') errors.fill(ram);
  else await mapFrames(user, addr, frames, ram, errors);
  if (errors.some((each) => each !== 0)) {
    if (err !== undefined) await user.copyOut(err, new Uint8Array(errors.buffer));
    else {
      for (const [index, each] of errors.entries())
        if (each !== 0) frames[index]! |= BigInt(PRIVCMD_MMAPBATCH_MFN_ERROR);
      await user.copyOut(arr, bytes);
    }
  }
  return 0;
}

/** Frames of RAM in a row from that one on; none for a frame that is not RAM, however large its number. */
function ramFramesFrom(ram: FileHandle, frame: bigint): bigint {
  const last = BigInt(Number.MAX_SAFE_INTEGER) / PAGE;
  return frame > last ? 0n : BigInt(Math.floor(ramBytesFrom(ram.size, Number(frame) * PAGE_SIZE) / PAGE_SIZE));
}

/** Maps each frame to its page, runs of them at once; a frame that is none gets EINVAL, as Xen says for a p2m hole. */
async function mapFrames(
  user: UserProcess,
  address: bigint,
  frames: BigUint64Array,
  ram: FileHandle,
  errors: Int32Array,
): Promise<void> {
  for (let at = 0; at < frames.length; ) {
    const first = frames[at]!;
    const end = first + ramFramesFrom(ram, first);
    if (end === first) {
      errors[at++] = -EINVAL;
      continue;
    }
    let count = 1;
    while (at + count < frames.length && frames[at + count] === first + BigInt(count) && first + BigInt(count) < end)
      count++;
    await user.map(address + BigInt(at) * PAGE, count * PAGE_SIZE, ram, ram.offset + Number(first) * PAGE_SIZE);
    at += count;
  }
}

/** MMAP: ranges of frames, all of one mapping; the first error ends it. */
export async function mapRanges(env: DeviceEnvironment, { argument, user }: IoctlCall): Promise<number> {
  const { num, dom, entry } = PRIVCMD_MMAP.decode(argument);
  if (num === 0) return 0;
  if (num > 0x7fffffff) return -EINVAL;
  const list = await user.copyIn(entry, num * PRIVCMD_MMAP_ENTRY.size);
  const first = PRIVCMD_MMAP_ENTRY.decode(list);
  const vma = await user.vma(first.va);
  if (vma === undefined || vma.start !== first.va || vma.pages !== 0) return -EINVAL;
  const ram = await heldRam(env, user, vma, dom);
  if (typeof ram === 'number') return ram;
  let next = first.va;
  for (let index = 0; index < num; index++) {
    const { va, mfn, npages } = PRIVCMD_MMAP_ENTRY.decode(list, index * PRIVCMD_MMAP_ENTRY.size);
    const end = va + npages * PAGE;
    if (va !== next || npages === 0n || end > vma.start + BigInt(vma.length)) return -EINVAL;
    if (npages > ramFramesFrom(ram, mfn)) return -EINVAL;
    await user.map(va, Number(npages) * PAGE_SIZE, ram, ram.offset + Number(mfn) * PAGE_SIZE);
    next = end;
  }
  return 0;
}

/** MMAP_RESOURCE: pages of an ioreq server or of a grant table; without an address and a count, how many there are. */
export async function mapResource(env: DeviceEnvironment, file: bigint, call: IoctlCall): Promise<number> {
  const { argument, user } = call;
  const request = PRIVCMD_MMAP_RESOURCE.decode(argument);
  const { dom: domid, type, id, idx: frame, num, addr } = request;
  if ((addr === 0n) !== (num === 0n)) return -EINVAL;
  if (type > 0xffff || num > 0xffffffffn) return -EINVAL;
  const vma = addr === 0n ? undefined : await vmaOf(user, file, addr);
  if (vma !== undefined && (addr !== vma.start || num * PAGE > BigInt(vma.length))) return -EINVAL;
  const args = { domid, type, id, frame: BigInt(frame), nr_frames: Number(num) };
  const acquired =
    type === XENMEM_resource_grant_table
      ? grantFrames(env, user, args)
      : hypercall(env.host, user.domain, 'xenmem.acquire_resource', args);
  if (typeof acquired === 'number') return acquired;
  if (vma === undefined) {
    PRIVCMD_MMAP_RESOURCE.encode({ ...request, num: BigInt(acquired['nr_frames'] as number) }, argument);
    return 0;
  }
  for (const [index, each] of (acquired['files'] as FileHandle[]).entries())
    await user.map(addr + BigInt(index) * PAGE, PAGE_SIZE, each, each.offset);
  const server = env.host.domains.find(DomId(domid))?.ioreqServers[id];
  if (type !== XENMEM_resource_ioreq_server || !server) return 0;
  const servers = serversOf.get(user) ?? new Map<bigint, IoreqServer>();
  serversOf.set(user, servers);
  let held = 0n;
  held = await user.hold(addr, () => servers.delete(held));
  servers.set(held, server);
  return 0;
}

interface GrantFrames {
  readonly domid: number;
  readonly id: number;
  readonly frame: bigint;
  readonly nr_frames: number;
}

function grantFrames(env: DeviceEnvironment, user: UserProcess, args: GrantFrames): Record<string, unknown> | number {
  const domain = env.host.domains.find(DomId(args.domid));
  if (domain === undefined) return -ERRNO.ESRCH;
  if (domain === user.domain || !user.domain.privileged) return -ERRNO.EPERM;
  if (args.id !== 0) return -EINVAL; // the status frames are version 2's
  if (args.nr_frames === 0) return { nr_frames: env.host.grants.frames(domain) };
  const last = Number(args.frame) + args.nr_frames;
  const table = env.host.grants.setup(domain, last);
  if (typeof table === 'number') return -EINVAL;
  const files = Array.from({ length: args.nr_frames }, (_, index) => ({
    ...table,
    offset: table.offset + (Number(args.frame) + index) * PAGE_SIZE,
  }));
  return { files, nr_frames: args.nr_frames };
}
