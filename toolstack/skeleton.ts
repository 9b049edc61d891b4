// The store directories of a new domain, as libxl writes them (libxl_create.c, libxl_dom.c).
// Leaves devices to device.ts and the order of things to domain.ts.
import { CONTROL_KEY, homePath } from '../lib/layout/xenbus.js';
import type { StoreOps } from '../lib/xenstore/api.js';
import type { GuestConfig } from './guest-config.js';
import { removeNode } from './toolstack.js';

export interface NewDomain {
  readonly domid: number;
  readonly uuid: string;
  readonly config: GuestConfig;
}

export function vmPath(uuid: string): string {
  return `/vm/${uuid}`;
}

/** Has a directory for each domain that a toolstack made. */
export const TOOLSTACK_ROOT = '/libxl';

export function toolstackPath(domid: number): string {
  return `${TOOLSTACK_ROOT}/${domid}`;
}

/** Directories that the guest may read, and those that are its own. */
const READABLE = ['cpu', 'memory', 'device', 'control'];
const OWNED = [
  'device/suspend/event-channel',
  CONTROL_KEY.shutdown,
  CONTROL_KEY.featurePoweroff,
  CONTROL_KEY.featureReboot,
  'control/feature-suspend',
  'control/sysrq',
  'data',
  'drivers',
  'feature',
  'attr',
  'error',
];

/** First transaction: the directories with their permissions, who the domain is. */
export async function writeSkeleton(tx: StoreOps, { domid, uuid, config }: NewDomain): Promise<void> {
  const home = homePath(domid);
  const vm = vmPath(uuid);
  const toolstack = toolstackPath(domid);
  const make = async (path: string, perms: readonly string[]): Promise<void> => {
    await tx.mkdir(path);
    await tx.setPerms(path, perms);
  };
  const readable = ['n0', `r${domid}`];
  for (const path of [home, vm, toolstack]) await removeNode(tx, path);
  await make(home, readable);
  await make(vm, readable);
  await make(toolstack, ['n0']);
  await make(`${toolstack}/device`, ['n0']);
  await tx.write(`${home}/vm`, vm);
  await tx.write(`${home}/name`, config.name);
  for (const name of READABLE) await make(`${home}/${name}`, readable);
  for (const name of OWNED) await make(`${home}/${name}`, [`n${domid}`]);
  await tx.write(`${home}/control/platform-feature-multiprocessor-suspend`, '1');
  await tx.write(`${home}/${CONTROL_KEY.resetWatches}`, '1');
  await tx.write(`${toolstack}/type`, 'pvh');
  await tx.write(`${vm}/uuid`, uuid);
  await tx.write(`${vm}/name`, config.name);
}

/** Second transaction: what is known once the domain is built. */
export async function writeBuilt(
  tx: StoreOps,
  { domid, config }: NewDomain,
  store: { port: number; gfn: number },
): Promise<void> {
  const home = homePath(domid);
  const memoryKib = String(config.memoryMib * 1024);
  await tx.write(`${home}/memory/static-max`, memoryKib);
  await tx.write(`${home}/memory/target`, memoryKib);
  await tx.write(`${home}/memory/videoram`, '0');
  await tx.write(`${home}/domid`, String(domid));
  await tx.write(`${home}/store/port`, String(store.port));
  await tx.write(`${home}/store/ring-ref`, String(store.gfn));
  for (let cpu = 0; cpu < config.vcpus; cpu++) await tx.write(`${home}/cpu/${cpu}/availability`, 'online');
}
