// /dev/xen/gntdev for programs with the preloaded library (drivers/xen/gntdev.c): sets of grant references that get an offset, are
// mapped by mmap at that offset, and are unmapped with the mapping. Leaves references and pins to grant/grants.ts.
import { ERRNO } from '../../../lib/core/errno.js';
import { DomId, EvtchnPort } from '../../../lib/core/ids.js';
import * as I from '../../../lib/layout/dev-ioctls.js';
import { GNTMAP_host_map, GNTMAP_readonly, GNTST } from '../../../lib/layout/grant-table.js';
import { PAGE_SIZE } from '../../../lib/layout/page.js';
import { type DeviceFile, type IoctlCall, IoctlTable, type NewMapping } from './device.js';
import type { DeviceEnvironment } from './privcmd-device.js';
import type { UserProcess } from './user.js';

const { EBUSY, EINVAL, ENOENT, ENOMEM, ENOTTY } = ERRNO;
const PAGE = BigInt(PAGE_SIZE);
/** Linux's default of gntdev's module parameter: references in one set. */
const SET_MAX = 64 * 1024;

/** One MAP_GRANT_REF. */
interface GrantSet {
  /** In pages: its offset. */
  readonly index: number;
  readonly refs: readonly { domid: number; ref: number }[];
  /** What is done when it is unmapped. */
  notify: { byte: number; clear: boolean; port: EvtchnPort | undefined } | undefined;
  mapped: boolean;
}

export const GNTDEV_IOCTLS = new IoctlTable<GntdevDevice>(ENOTTY, [
  {
    name: 'IOCTL_GNTDEV_MAP_GRANT_REF',
    command: I.IOCTL_GNTDEV.MAP_GRANT_REF,
    run: async (file, { argument, address, user }) => {
      const { count } = I.GNTDEV_MAP_GRANT_REF.decode(argument);
      if (count === 0 || count > SET_MAX) return -EINVAL;
      const { size } = I.GNTDEV_GRANT_REF;
      const list = await user.copyIn(address + BigInt(I.GNTDEV_MAP_GRANT_REF.size), count * size);
      const refs = Array.from({ length: count }, (_, at) => I.GNTDEV_GRANT_REF.decode(list, at * size));
      const index = file.add(refs);
      if (index < 0) return index;
      I.GNTDEV_MAP_GRANT_REF.encode({ count, index: BigInt(index) * PAGE }, argument);
      return 0;
    },
  },
  {
    name: 'IOCTL_GNTDEV_UNMAP_GRANT_REF',
    command: I.IOCTL_GNTDEV.UNMAP_GRANT_REF,
    run: (file, { argument }) => {
      const { index, count } = I.GNTDEV_UNMAP_GRANT_REF.decode(argument);
      return file.remove(index, count);
    },
  },
  {
    name: 'IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR',
    command: I.IOCTL_GNTDEV.GET_OFFSET_FOR_VADDR,
    run: async (file, { argument, user }) => {
      const request = I.GNTDEV_GET_OFFSET.decode(argument);
      const vma = await user.vma(request.vaddr);
      const set = vma === undefined ? undefined : file.setOf(user, vma.held);
      if (set === undefined) return -EINVAL;
      const offset = BigInt(set.index) * PAGE;
      I.GNTDEV_GET_OFFSET.encode({ vaddr: request.vaddr, offset, count: set.refs.length }, argument);
      return 0;
    },
  },
  {
    name: 'IOCTL_GNTDEV_SET_UNMAP_NOTIFY',
    command: I.IOCTL_GNTDEV.SET_UNMAP_NOTIFY,
    run: (file, { argument }) => file.setNotify(I.GNTDEV_UNMAP_NOTIFY.decode(argument)),
  },
]);

export class GntdevDevice implements DeviceFile {
  readonly unknown = GNTDEV_IOCTLS.unknown;
  readonly #env: DeviceEnvironment;
  readonly #sets: GrantSet[] = [];
  readonly #mapped = new Map<UserProcess, Map<bigint, GrantSet>>();

  constructor(env: DeviceEnvironment) {
    this.#env = env;
  }

  knows(command: number): boolean {
    return GNTDEV_IOCTLS.knows(command);
  }

  ioctl(command: number, call: IoctlCall): number | Promise<number> {
    return GNTDEV_IOCTLS.run(this, command, call);
  }

  /** The lowest free offset, in pages; -errno when there are too many. */
  add(refs: readonly { domid: number; ref: number }[]): number {
    let index = 0;
    let at = 0;
    for (const set of this.#sets) {
      if (index + refs.length <= set.index) break;
      index = set.index + set.refs.length;
      at++;
    }
    if (index + refs.length > SET_MAX) return -ENOMEM;
    this.#sets.splice(at, 0, { index, refs, notify: undefined, mapped: false });
    return index;
  }

  /** What is mapped still is unmapped with its mapping. */
  remove(offset: bigint, count: number): number {
    const at = this.#sets.findIndex((set) => BigInt(set.index) * PAGE === offset && set.refs.length === count);
    if (at < 0) return -ENOENT;
    this.#sets.splice(at, 1);
    return 0;
  }

  setOf(user: UserProcess, held: bigint): GrantSet | undefined {
    return this.#mapped.get(user)?.get(held);
  }

  setNotify({
    index,
    action,
    event_channel_port: port,
  }: {
    index: bigint;
    action: number;
    event_channel_port: number;
  }): number {
    if ((action & ~(I.UNMAP_NOTIFY_CLEAR_BYTE | I.UNMAP_NOTIFY_SEND_EVENT)) !== 0) return -EINVAL;
    const set = this.#sets.find((each) => {
      const begin = BigInt(each.index) * PAGE;
      return begin <= index && index < begin + BigInt(each.refs.length) * PAGE;
    });
    if (set === undefined) return -ENOENT;
    const sends = (action & I.UNMAP_NOTIFY_SEND_EVENT) !== 0;
    if (sends && this.#env.host.dom0.ports.get(EvtchnPort(port))?.usable !== true) return -EINVAL;
    set.notify = {
      byte: Number(index - BigInt(set.index) * PAGE),
      clear: (action & I.UNMAP_NOTIFY_CLEAR_BYTE) !== 0,
      port: sends ? EvtchnPort(port) : undefined,
    };
    return 0;
  }

  async mmap(user: UserProcess, { address, length, writable, offset }: NewMapping): Promise<number> {
    const set = this.#sets.find(
      (each) => BigInt(each.index) * PAGE === offset && each.refs.length * PAGE_SIZE === length,
    );
    if (set === undefined) return -EINVAL;
    if (set.mapped) return -EBUSY;
    const { host } = this.#env;
    const flags = GNTMAP_host_map | (writable ? 0 : GNTMAP_readonly);
    const results = set.refs.map(({ domid, ref }) => {
      const granter = domid > 0xffff ? undefined : host.domains.find(DomId(domid));
      return { granter, ...host.grants.map(user, user.domain, granter, ref, flags) };
    });
    const unmap = (): void => {
      for (const { status, handle } of results)
        if (status === GNTST.okay) host.grants.unmap(user, handle, (domain) => host.forgetUnheld(domain));
    };
    if (results.some(({ status }) => status !== GNTST.okay)) {
      unmap();
      return -EINVAL;
    }
    set.mapped = true;
    let held = 0n;
    const sets = this.#mapped.get(user) ?? new Map<bigint, GrantSet>();
    this.#mapped.set(user, sets);
    held = await user.hold(address, () => {
      this.#notify(set, results);
      unmap();
      set.mapped = false;
      sets.delete(held);
      if (sets.size === 0) this.#mapped.delete(user);
    });
    sets.set(held, set);
    for (const [page, { granter, gfn }] of results.entries()) {
      const ram = host.runOf(granter!)!.files.ram.handle;
      await user.map(address + BigInt(page) * PAGE, PAGE_SIZE, ram, ram.offset + gfn * PAGE_SIZE);
    }
    return 0;
  }

  /** SET_UNMAP_NOTIFY, done before the pages go. */
  #notify(
    set: GrantSet,
    results: readonly { granter: ReturnType<DeviceEnvironment['host']['domains']['find']>; gfn: number }[],
  ): void {
    const { notify } = set;
    if (notify === undefined) return;
    const page = results[Math.floor(notify.byte / PAGE_SIZE)];
    const memory = page?.granter?.memory;
    if (notify.clear && page !== undefined && memory !== undefined)
      memory.writeU8(page.gfn * PAGE_SIZE + (notify.byte % PAGE_SIZE), 0);
    if (notify.port !== undefined) this.#env.host.channels.send(this.#env.host.dom0, notify.port);
  }

  written(): void {}

  close(): void {
    this.#sets.length = 0;
  }
}
