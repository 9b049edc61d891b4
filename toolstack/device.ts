// Xenbus devices as libxl makes and removes them, request by request (libxl_device.c): both ends' directories in one
// transaction, removal through `online` and Closing. Leaves whole domains to domain.ts.
import { DEADLINE_MS } from '../lib/core/deadlines.js';
import { type DeviceServerProcess, deviceServerProcess } from '../lib/core/device-server.js';
import { DeadlineError } from '../lib/core/errors.js';
import {
  backendNode,
  backendPath,
  type DeviceId,
  frontendNode,
  frontendPath,
  libxlPath,
  VIRTIO_MMIO_KEY,
  XENBUS_KEY,
  XenbusState,
  xenbusStateName,
} from '../lib/layout/xenbus.js';
import { edge, POINT } from '../lib/trace/points.js';
import { formatHex, MMIO_ALIGN, MMIO_SIZE, MMIO_WINDOW, parseState } from '../lib/xenbus/keys.js';
import { type FrontendName, KIND_OF, protocolOf } from '../lib/xenbus/protocols.js';
import { assertMove, assertWrites } from '../lib/xenbus/rules.js';
import type { StoreOps } from '../lib/xenstore/api.js';
import type { VirtioConfig } from './guest-config.js';
import { listNode, readNode, removeNode, removeNodeAndEmptyParents, type Toolstack, whenStore } from './toolstack.js';

/** The store's special watch: fires when a domain shuts down or is gone (xenstore.txt, WATCH). */
export const RELEASE_DOMAIN = '@releaseDomain';

type Keys = readonly (readonly [key: string, value: string])[];

/**
 * The directories of a new virtio-mmio device, both ends in state 1 (libxl_virtio.c; under the reviewed protocol the backend
 * publishes `size` and the guest `base`, so that neither stands here).
 */
export async function addVirtioDevice(toolstack: Toolstack, id: DeviceId, config: VirtioConfig): Promise<void> {
  const grantUsage = config.grantUsage ?? id.backDomid !== 0;
  await addDevice(toolstack, id, [
    [VIRTIO_MMIO_KEY.type, config.type],
    [VIRTIO_MMIO_KEY.transport, config.transport],
    [VIRTIO_MMIO_KEY.grantUsage, grantUsage ? '1' : '0'],
    ...(config.path === undefined ? [] : [[VIRTIO_MMIO_KEY.path, config.path] as const]),
    ...(config.server === undefined ? [] : [[VIRTIO_MMIO_KEY.server, config.server] as const]),
    ...(id.kind === KIND_OF.rfc1 ? postedKeys(id.devid) : []),
  ]);
}

/** The patch as posted has its registers placed by the toolstack: a page for each device, from the start of the window. */
function postedKeys(devid: number): Keys {
  return [
    [VIRTIO_MMIO_KEY.base, formatHex(MMIO_WINDOW.start + devid * MMIO_ALIGN)],
    [VIRTIO_MMIO_KEY.size, formatHex(MMIO_SIZE)],
  ];
}

/**
 * libxl__device_generic_add: one transaction, all of it again on EAGAIN. Of a device that never was before: a repetition that
 * finds it was preceded by an attempt that xenstored committed and did not live to acknowledge, and both ends may be at work.
 */
async function addDevice({ store, probe }: Toolstack, id: DeviceId, keys: Keys): Promise<void> {
  const libxl = libxlPath(id);
  const front = { path: frontendPath(id), perms: [`n${id.domid}`, `r${id.backDomid}`] };
  const back = { path: backendPath(id), perms: [`n${id.backDomid}`, `r${id.domid}`] };
  const initialising = String(XenbusState.Initialising);
  const frontKeys: Keys = [
    [XENBUS_KEY.backendId, String(id.backDomid)],
    [XENBUS_KEY.state, initialising],
  ];
  const backKeys: Keys = [
    [XENBUS_KEY.frontendId, String(id.domid)],
    [XENBUS_KEY.online, '1'],
    [XENBUS_KEY.state, initialising],
    ...keys,
  ];
  for (const [side, written] of [
    ['front', [[XENBUS_KEY.backend, back.path], ...frontKeys]],
    ['back', [[XENBUS_KEY.frontend, front.path], ...backKeys]],
  ] as const) {
    for (const [key] of written)
      if (key !== XENBUS_KEY.state) assertWrites(protocolOf(id.kind), side, key, 'toolstack', XenbusState.Unknown);
    // Each directory is made anew: no state stands in it before.
    assertMove(protocolOf(id.kind), { side, from: XenbusState.Unknown, to: XenbusState.Initialising, by: 'toolstack' });
  }
  const made = edge(XenbusState.Unknown, XenbusState.Initialising);
  const frontState = `${frontendNode(id.kind, id.devid)}/${XENBUS_KEY.state}`;
  const backState = `${backendNode(id)}/${XENBUS_KEY.state}`;
  probe.at(POINT['front.state'], frontState, id.devid, made, id.domid);
  probe.at(POINT['back.state'], backState, id.devid, made, id.domid);
  let again = false;
  await store.transaction(async (tx) => {
    if (again && (await readNode(tx, `${libxl}/${XENBUS_KEY.frontend}`)) !== undefined) return;
    again = true;
    await removeNode(tx, libxl);
    await tx.write(`${libxl}/${XENBUS_KEY.frontend}`, front.path);
    await tx.write(`${libxl}/${XENBUS_KEY.backend}`, back.path);
    await freshDirectory(tx, front.path, front.perms);
    await tx.write(`${front.path}/${XENBUS_KEY.backend}`, back.path);
    for (const [key, value] of frontKeys) {
      await tx.write(`${front.path}/${key}`, value);
      await tx.setPerms(`${front.path}/${key}`, front.perms);
    }
    await freshDirectory(tx, back.path, back.perms);
    await tx.write(`${back.path}/${XENBUS_KEY.frontend}`, front.path);
    for (const [key, value] of backKeys) await tx.write(`${back.path}/${key}`, value);
    for (const [key, value] of backKeys) await tx.write(`${libxl}/${key}`, value);
  });
  probe.at(POINT['front.state-written'], frontState, id.devid, made, id.domid);
  probe.at(POINT['back.state-written'], backState, id.devid, made, id.domid);
}

async function freshDirectory(tx: StoreOps, path: string, perms: readonly string[]): Promise<void> {
  await removeNode(tx, path);
  await tx.mkdir(path);
  await tx.setPerms(path, perms);
}

/** The devices that the toolstack gave a domain: its own copies under /libxl say so, whatever the guest wrote. */
export async function listDevices({ store }: Toolstack, domid: number): Promise<DeviceId[]> {
  const root = `/libxl/${domid}/device`;
  const devices: DeviceId[] = [];
  for (const kind of await listNode(store, root)) {
    for (const name of await listNode(store, `${root}/${kind}`)) {
      const back = await readNode(store, `${root}/${kind}/${name}/${XENBUS_KEY.backend}`);
      const backDomid = Number(/^\/local\/domain\/(\d+)\/backend\//.exec(back ?? '')?.[1] ?? 0);
      devices.push({ kind, domid, devid: Number(name), backDomid });
    }
  }
  return devices;
}

/** The process that serves a domain's device `devid`; the server without a name where the device is not there. */
export async function serverOf(
  { store }: Pick<Toolstack, 'store'>,
  domid: number,
  devid = 0,
): Promise<DeviceServerProcess> {
  for (const kind of Object.values(KIND_OF)) {
    const name = await readNode(store, `${libxlPath({ kind, domid, devid })}/${VIRTIO_MMIO_KEY.server}`);
    if (name !== undefined) return deviceServerProcess(name);
  }
  return deviceServerProcess(undefined);
}

export interface RemoveOptions {
  /** Whether the guest can answer, asked again whenever a domain shuts down: one that cannot is not waited for. */
  readonly answers: () => Promise<boolean>;
  /** For each end's Closed. */
  readonly deadlineMs?: number;
}

/** How a wait for a backend's Closed ended. */
type Closing = 'closed' | 'late' | 'guest gone';

/**
 * Removes a device: asks the backend to close (`online` 0, state 5), waits for its 6, deletes the directories.
 * Forced, the frontend's directory goes first: for a guest that cannot answer, or no longer. A wait that fails is repeated
 * forced, and the directories go in any case; returns whether all that could answer closed in order.
 */
export async function removeDevice(toolstack: Toolstack, id: DeviceId, options: RemoveOptions): Promise<boolean> {
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS.backendClosed;
  const asked = (await options.answers()) ? await close(toolstack, id, deadlineMs, options.answers) : 'guest gone';
  const forced = asked === 'closed' ? asked : await close(toolstack, id, deadlineMs);
  await toolstack.store.transaction(async (tx) => {
    for (const path of [frontendPath(id), libxlPath(id), backendPath(id)]) await removeNodeAndEmptyParents(tx, path);
  });
  return asked !== 'late' && forced === 'closed';
}

/** Without `answers`, forced. */
async function close(
  toolstack: Toolstack,
  id: DeviceId,
  deadlineMs: number,
  answers?: RemoveOptions['answers'],
): Promise<Closing> {
  const force = answers === undefined;
  const statePath = `${backendPath(id)}/${XENBUS_KEY.state}`;
  const state = (ops: StoreOps): Promise<string | undefined> => readNode(ops, statePath);
  const closed = String(XenbusState.Closed);
  const before = await toolstack.store.transaction(async (tx) => {
    if (force) await removeNode(tx, frontendPath(id));
    const now = await state(tx);
    if (now === undefined) return undefined;
    const from = parseState(now);
    assertWrites(protocolOf(id.kind), 'back', XENBUS_KEY.online, 'toolstack', from);
    await tx.write(`${backendPath(id)}/${XENBUS_KEY.online}`, '0');
    if (from === XenbusState.Closed) return from;
    // A number outside the enum is written by no backend that keeps the protocol: it counts as no state.
    const known = xenbusStateName(from) === String(from) ? XenbusState.Unknown : from;
    assertMove(protocolOf(id.kind), { side: 'back', from: known, to: XenbusState.Closing, by: 'toolstack' });
    const name = `${backendNode(id)}/${XENBUS_KEY.state}`;
    toolstack.probe.at(POINT['back.state'], name, id.devid, edge(from, XenbusState.Closing), id.domid);
    await tx.write(statePath, String(XenbusState.Closing));
    return from;
  });
  if (before === undefined) return 'closed';
  if (before !== XenbusState.Closed) {
    const name = `${backendNode(id)}/${XENBUS_KEY.state}`;
    const closing = edge(before, XenbusState.Closing);
    toolstack.probe.at(POINT['back.state-written'], name, id.devid, closing, id.domid);
  }
  try {
    const paths = force ? [statePath] : [statePath, RELEASE_DOMAIN];
    return await whenStore<Closing>(toolstack, paths, deadlineMs, async () => {
      const now = await state(toolstack.store);
      // A backend that deletes its directory has not said that it closed.
      if (now === undefined) return 'late';
      if (now === closed) return 'closed';
      return force || (await answers()) ? undefined : 'guest gone';
    });
  } catch (error) {
    if (error instanceof DeadlineError) return 'late';
    throw error;
  }
}

/** A virtio-mmio device, of the kind that this version of the protocol gives it. */
export function virtioDeviceId(
  domid: number,
  devid: number,
  backDomid: number,
  frontend: FrontendName = 'review',
): DeviceId {
  return { kind: KIND_OF[frontend], domid, devid, backDomid };
}
