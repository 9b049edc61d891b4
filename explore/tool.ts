// The toolstack as tasks: attaches and detaches a device as toolstack/device.ts does, and resets it. What an attachment writes
// is not stated again here: it is recorded from toolstack/device.ts itself. A differential test holds the detachment to it.
// Leaves deadlines to model.ts: they pass when nothing else can happen.
import { NO_PROBE } from '../lib/core/probe.js';
import { XENBUS_KEY, XenbusState } from '../lib/layout/xenbus.js';
import type { StoreClient, StoreOps } from '../lib/xenstore/api.js';
import { addVirtioDevice, RELEASE_DOMAIN } from '../toolstack/device.js';
import type { Toolstack } from '../toolstack/toolstack.js';
import { ask, join, readNode, type Task, type TransactionMode, type TxEnd, transaction } from './task.js';
import { DEVID, DOMID, type Paths } from './world.js';

export type AttachRequest =
  | { readonly op: 'write'; readonly path: string; readonly value: string }
  | { readonly op: 'rm' | 'mkdir'; readonly path: string };
export type AttachScript = readonly AttachRequest[];

/** The requests of one attachment, in their order; permissions are left out. */
export async function recordAttach(kind: string): Promise<AttachScript> {
  const script: AttachRequest[] = [];
  const refuse = (): never => {
    throw new Error('an attachment asks for nothing else');
  };
  const ops: StoreOps = {
    read: refuse,
    directory: refuse,
    getPerms: refuse,
    setPerms: async () => {},
    write: async (path, value) => void script.push({ op: 'write', path, value }),
    mkdir: async (path) => void script.push({ op: 'mkdir', path }),
    rm: async (path) => void script.push({ op: 'rm', path }),
  };
  const store = { ...ops, transaction: (body) => body(ops) } as StoreClient;
  const toolstack = { store, probe: NO_PROBE } as Partial<Toolstack> as Toolstack;
  const id = { kind, domid: DOMID, devid: DEVID, backDomid: 0 };
  await addVirtioDevice(toolstack, id, { type: 'virtio,device10', transport: 'mmio', backend: '0' });
  return script;
}

/** What woke a toolstack that waits: its guest can answer no longer. */
export const GUEST_GONE = 'guest gone';

export interface ToolSetting {
  readonly paths: Paths;
  readonly mode: TransactionMode;
  readonly attach: AttachScript;
}

export type Sequence = 'attach' | 'detach' | 'force' | 'reset' | 'finish';

export const SEQUENCES: Readonly<Record<Sequence, (setting: ToolSetting) => Task<void>>> = {
  attach: (setting) => attach(setting),
  detach: (setting) => detach(setting, false),
  force: (setting) => detach(setting, true),
  reset: (setting) => reset(setting),
  // What the next call does with what a killed one left: removes it.
  finish: (setting) => detach(setting, false),
};

function* attach({ mode, attach: script }: ToolSetting): Task<void> {
  yield* transaction(mode, function* (tx) {
    // `rm` of what is not there is passed over, as removeNode does.
    for (const request of script) yield* ask(tx === undefined ? request : { ...request, tx });
    return { end: 'commit', value: '' };
  });
}

/** removeDevice: asks the backend to close, waits for its 6, deletes both directories. A wait that fails is repeated forced. */
function* detach(setting: ToolSetting, force: boolean): Task<void> {
  const closed = !force && (yield* close(setting, false));
  if (!closed) yield* close(setting, true);
  const { paths, mode } = setting;
  yield* transaction(mode, function* (tx) {
    for (const path of [paths.front, libxlOf(paths), paths.back]) yield* removeWithEmptyParents(path, tx);
    return { end: 'commit', value: '' };
  });
}

function libxlOf({ front, home }: Paths): string {
  return `/libxl/${DOMID}${front.slice(home.length)}`;
}

const TOKEN = 'tool';

/** In order, a guest that can answer no longer is not waited for. False: not closed, or not said to be. */
function* close({ paths, mode }: ToolSetting, force: boolean): Task<boolean> {
  const closed = String(XenbusState.Closed);
  const before = yield* transaction(mode, function* (tx) {
    const inside = tx === undefined ? {} : { tx };
    if (force) yield* ask({ op: 'rm', path: paths.front, ...inside });
    const now = yield* readNode(paths.backState, undefined, tx);
    if (now === undefined) return { end: 'commit', value: 'gone' };
    yield* ask({ op: 'write', path: `${paths.back}/${XENBUS_KEY.online}`, value: '0', ...inside });
    if (now !== closed)
      yield* ask({ op: 'write', path: paths.backState, value: String(XenbusState.Closing), ...inside });
    return { end: 'commit', value: 'there' };
  });
  if ('ok' in before && before.ok === 'gone') return true;
  const watched = force ? [paths.backState] : [paths.backState, RELEASE_DOMAIN];
  for (const path of watched) yield* join({ op: 'watch', path, token: TOKEN });
  const woken = yield { to: 'wait' };
  let outcome = false;
  if ('ok' in woken) {
    const answer = yield* join({ op: 'read', path: paths.backState });
    const now = 'ok' in answer ? answer.ok : undefined;
    // A backend that deletes its directory has not said that it closed.
    if (now !== undefined && now !== closed && (force || woken.ok !== GUEST_GONE)) yield { to: 'repeat' };
    outcome = now === closed;
  }
  for (const path of watched) yield* join({ op: 'unwatch', path, token: TOKEN });
  return outcome;
}

/** libxl_xshelp.c: the node, then its parents upward as long as they hold nothing. */
function* removeWithEmptyParents(path: string, tx: string | undefined): Task<void> {
  const inside = tx === undefined ? {} : { tx };
  yield* ask({ op: 'rm', path, ...inside });
  for (let at = path.slice(0, path.lastIndexOf('/')); at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
    const value = yield* readNode(at, undefined, tx);
    if (value === undefined) continue;
    const children = yield* ask({ op: 'directory', path: at, ...inside });
    if (value !== '' || !('ok' in children) || children.ok !== '') return;
    yield* ask({ op: 'rm', path: at, ...inside });
  }
}

/**
 * A backend is provided anew for a frontend whose directory stays: once the old one is closed its directory is made anew and
 * the frontend's state written to 1, in one transaction (what Linux 7.2 takes for a reset).
 */
function* reset(setting: ToolSetting): Task<void> {
  const { paths, mode, attach: script } = setting;
  if (!(yield* close(setting, false))) return;
  const reset = function* (tx: string | undefined): Task<TxEnd> {
    const inside = tx === undefined ? {} : { tx };
    if ((yield* readNode(paths.frontState, undefined, tx)) === undefined) return { end: 'abort', value: '' };
    for (const request of script) if (request.path.startsWith(paths.back)) yield* ask({ ...request, ...inside });
    yield* ask({ op: 'write', path: paths.frontState, value: String(XenbusState.Initialising), ...inside });
    return { end: 'commit', value: '' };
  };
  // As it was read last.
  yield* transaction(mode, reset, { seen: XenbusState.Closed });
}
