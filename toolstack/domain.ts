// Guests as libxl makes and removes them: domain, store directories, introduction, devices; and the other way round.
// A toolstack can be killed in the middle: what is being made or removed is noted in the store first, and the next call
// removes what it finds noted. Leaves devices to device.ts, directories to skeleton.ts.
import { UserError } from '../lib/core/errors.js';
import { storeFrame } from '../lib/core/guest-ram.js';
import { DOM0 } from '../lib/core/ids.js';
import type { DomainInfo } from '../lib/core/proto-types.js';
import { hasEvtchnRaise, needsEvtchnRaise } from '../lib/events/evtchn-raise.js';
import { HVM_PARAM } from '../lib/layout/evtchn.js';
import { homePath } from '../lib/layout/xenbus.js';
import { POINT } from '../lib/trace/points.js';
import { addVirtioDevice, listDevices, removeDevice, virtioDeviceId } from './device.js';
import type { GuestConfig } from './guest-config.js';
import { TOOLSTACK_ROOT, toolstackPath, vmPath, writeBuilt, writeSkeleton } from './skeleton.js';
import { listNode, readNode, removeNode, removeNodeAndEmptyParents, type Toolstack, unless } from './toolstack.js';

/** Guests under way: `<name>` = their domid once known. Ours, beside libxl's directories. */
const UNFINISHED = '/tool/xenwire/unfinished';
/** libxl's names for dom0. */
const DOM0_NAMES = ['0', 'Domain-0'];

export interface Guest {
  readonly domid: number;
  readonly name: string;
}

/** All guests of the hypervisor, dom0 left out. */
export async function listGuests({ hypervisor }: Toolstack): Promise<DomainInfo[]> {
  const { domains } = await hypervisor.domctl_getdomaininfolist({});
  return domains.filter((domain) => domain.domid !== DOM0);
}

/** The guest that a name or a number means. Throws UserError when there is none. */
export async function findGuest(toolstack: Toolstack, text: string): Promise<DomainInfo> {
  const guests = await listGuests(toolstack);
  const found = guests.find((guest) => guest.name === text) ?? guests.find((guest) => String(guest.domid) === text);
  if (found === undefined) {
    const known = guests.map((guest) => guest.name).join(', ');
    throw new UserError(`there is no guest ${JSON.stringify(text)}${known === '' ? '' : `; there is ${known}`}`);
  }
  return found;
}

/**
 * Makes a guest with its directories, devices and token file, and lets it run. What was half made is taken back when a
 * step fails. Throws UserError when the name is taken or a backend is unknown.
 */
export async function createGuest(toolstack: Toolstack, config: GuestConfig): Promise<Guest> {
  const { hypervisor, store } = toolstack;
  await finishUnfinished(toolstack);
  const guests = await listGuests(toolstack);
  const same = guests.find((guest) => guest.name === config.name);
  if (same !== undefined) throw new UserError(`there is a guest ${config.name} already: domain ${same.domid}`);
  const devices = config.virtio.map((device) => ({ device, backDomid: backendDomid(device.backend, guests) }));

  const { probe } = toolstack;
  const note = `${UNFINISHED}/${config.name}`;
  probe.at(POINT['toolstack.step'], `create ${config.name}`);
  await store.write(note, '');
  try {
    const created = await hypervisor.domctl_create({
      name: config.name,
      memory_mib: config.memoryMib,
      max_vcpus: config.vcpus,
    });
    const { domid } = created;
    await store.write(note, String(domid));
    await checkPaths(toolstack, domid, config);
    const domain = { domid, uuid: toolstack.newUuid(), config };
    probe.at(POINT['toolstack.step'], 'skeleton', 0, 0, domid);
    await store.transaction((tx) => writeSkeleton(tx, domain));
    const { port } = await hypervisor.evtchn_alloc_unbound({ dom: domid, remote_dom: DOM0 });
    // `store/ring-ref` names it; its contents are the ring transport's.
    const gfn = storeFrame(config.memoryMib * 2 ** 20);
    // By these the guest finds its store (xen/include/public/hvm/params.h).
    await hypervisor.hvm_set_param({ domid, index: HVM_PARAM.STORE_PFN, value: gfn });
    await hypervisor.hvm_set_param({ domid, index: HVM_PARAM.STORE_EVTCHN, value: port });
    await store.transaction((tx) => writeBuilt(tx, domain, { port, gfn }));
    probe.at(POINT['toolstack.step'], 'introduce', 0, 0, domid);
    await store.introduce(domid, gfn, port);
    probe.at(POINT['toolstack.step'], 'devices', 0, 0, domid);
    for (const [devid, { device, backDomid }] of devices.entries()) {
      await addVirtioDevice(toolstack, virtioDeviceId(domid, devid, backDomid, device.frontend), device);
    }
    toolstack.tokens.write(config.name, domid, created.token);
    probe.at(POINT['toolstack.step'], 'unpause', 0, 0, domid);
    await hypervisor.domctl_unpause({ domid });
    await removeNodeAndEmptyParents(store, note);
    return { domid, name: config.name };
  } catch (error) {
    await finishUnfinished(toolstack);
    throw error;
  }
}

/** Throws UserError for a device on a path that this host has not. */
async function checkPaths({ hypervisor }: Toolstack, domid: number, { virtio }: GuestConfig): Promise<void> {
  const needing = virtio.find(({ path }) => needsEvtchnRaise(path));
  if (needing === undefined || (await hasEvtchnRaise(hypervisor, domid))) return;
  throw new UserError(`path ${needing.path} needs a hypervisor that was started with --dm-evtchn-raise`);
}

function backendDomid(backend: string, guests: readonly DomainInfo[]): number {
  if (DOM0_NAMES.includes(backend)) return DOM0;
  const found = guests.find((guest) => guest.name === backend || String(guest.domid) === backend);
  if (found === undefined) throw new UserError(`there is no domain ${JSON.stringify(backend)} for a backend`);
  return found.domid;
}

/**
 * Removes a guest and all that stands for it: its devices through Closing and Closed while it runs, by force when it
 * cannot answer, or no longer, then the domain, its introduction, its directories. Returns whether every device closed in
 * order.
 */
export async function destroyGuest(
  toolstack: Toolstack,
  guest: Pick<DomainInfo, 'domid' | 'name'>,
  options: { deadlineMs?: number } = {},
): Promise<boolean> {
  const { store, hypervisor } = toolstack;
  const { domid, name } = guest;
  const { probe } = toolstack;
  probe.at(POINT['toolstack.step'], `destroy ${name}`, 0, 0, domid);
  await store.write(`${UNFINISHED}/${name}`, String(domid));
  const closed = await removeDevices(toolstack, domid, options);
  probe.at(POINT['toolstack.step'], 'domain', 0, 0, domid);
  await unless(hypervisor.domctl_destroy({ domid }), 'ESRCH');
  probe.at(POINT['toolstack.step'], 'traces', 0, 0, domid);
  await removeTraces(toolstack, domid, name);
  return closed;
}

async function removeDevices(toolstack: Toolstack, domid: number, options: { deadlineMs?: number }): Promise<boolean> {
  const answers = async (): Promise<boolean> => {
    const guest = (await listGuests(toolstack)).find((candidate) => candidate.domid === domid);
    return guest?.state === 'running' && guest.attached;
  };
  const devices = await listDevices(toolstack, domid);
  const closed = await Promise.all(devices.map((id) => removeDevice(toolstack, id, { ...options, answers })));
  return closed.every((inOrder) => inOrder);
}

async function removeTraces(toolstack: Toolstack, domid: number, name: string | undefined): Promise<void> {
  const { store } = toolstack;
  // The store may have released the domain by itself when it died.
  await unless(store.release(domid), 'ENOENT', 'EINVAL');
  await store.transaction(async (tx) => {
    const vm = await readNode(tx, `${homePath(domid)}/vm`);
    if (vm?.startsWith(vmPath(''))) await removeNode(tx, vm);
    await removeNode(tx, homePath(domid));
    await removeNode(tx, toolstackPath(domid));
  });
  if (name === undefined) return;
  // A later guest may have the name by now.
  const later = (await listGuests(toolstack)).some((guest) => guest.name === name && guest.domid !== domid);
  if (!later) toolstack.tokens.remove(name);
  await removeNodeAndEmptyParents(store, `${UNFINISHED}/${name}`);
}

/** Gives a guest that is kept another name, so that its successor can have it (xl.cfg(5), rename-restart). */
export async function renameGuest(toolstack: Toolstack, guest: Guest, name: string): Promise<void> {
  const { store, hypervisor } = toolstack;
  await store.transaction(async (tx) => {
    const vm = await readNode(tx, `${homePath(guest.domid)}/vm`);
    await tx.write(`${homePath(guest.domid)}/name`, name);
    if (vm?.startsWith(vmPath(''))) await tx.write(`${vm}/name`, name);
  });
  await hypervisor.domctl_rename({ domid: guest.domid, name });
  // No process is to begin running a guest that is kept as it ended.
  toolstack.tokens.remove(guest.name);
}

/**
 * Removes the guests that an earlier call left half made or half removed, and what is left of domains that went without a
 * toolstack. Returns the names of the former.
 */
export async function finishUnfinished(toolstack: Toolstack): Promise<string[]> {
  const names = await listNode(toolstack.store, UNFINISHED);
  for (const name of names) {
    const guest = (await listGuests(toolstack)).find((candidate) => candidate.name === name);
    const noted = Number((await readNode(toolstack.store, `${UNFINISHED}/${name}`)) ?? '');
    if (guest !== undefined) await destroyGuest(toolstack, guest);
    else if (noted > 0) await removeVanished(toolstack, noted, name);
    else await removeNodeAndEmptyParents(toolstack.store, `${UNFINISHED}/${name}`);
  }
  await sweep(toolstack);
  return names;
}

/** A domain can go by another hand than ours: its directories, above all the backends', would outlast it. */
async function sweep(toolstack: Toolstack): Promise<void> {
  const recorded = (await listNode(toolstack.store, TOOLSTACK_ROOT)).map(Number).filter((domid) => domid > 0);
  if (recorded.length === 0) return;
  const known = new Set((await listGuests(toolstack)).map(({ domid }) => domid));
  for (const domid of recorded.filter((each) => !known.has(each))) {
    const name = await readNode(toolstack.store, `${homePath(domid)}/name`);
    await removeVanished(toolstack, domid, name);
  }
}

/** Removes what stands for a domain that the hypervisor does not know any more. */
async function removeVanished(toolstack: Toolstack, domid: number, name: string | undefined): Promise<void> {
  await removeDevices(toolstack, domid, {});
  await removeTraces(toolstack, domid, name);
}
