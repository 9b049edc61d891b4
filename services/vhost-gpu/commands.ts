// What each command does, as a table: command to handler. Checks stand in the order in which QEMU's devices make them, so
// that a driver sees the same error numbers. Where those answer OK to nonsense or say nothing, so does this, except:
// requests shorter than their struct get INVALID_PARAMETER (the codec), a scanout of no pixels too, and cursor commands
// get an answer when the driver left room for one.
// Every command is finished when its handler returns; completing them in order is what fences ask for (5.7.6.7).
import type { GuestMemory } from '../../lib/core/memory.js';
import {
  VIRTIO_GPU_BLOB_FLAG,
  VIRTIO_GPU_BLOB_MEM_GUEST,
  VIRTIO_GPU_BYTES_PER_PIXEL,
  VIRTIO_GPU_CURSOR_SIZE,
  VIRTIO_GPU_F_EDID,
  VIRTIO_GPU_F_RESOURCE_BLOB,
  VIRTIO_GPU_F_RESOURCE_UUID,
  VIRTIO_GPU_FORMAT,
} from '../../lib/layout/virtio-gpu.js';
import { hasFeature } from '../../lib/layout/virtio-ring.js';
import type { GpuCommand, GpuCommandName, GpuErrorName, GpuResponse, Rect } from '../../lib/virtio/gpu-codec.js';
import type { Displays } from './display.js';
import {
  copyRows,
  type Resource,
  type ResourceTable,
  type RowPlace,
  rectFits,
  type Surface,
  transferToHost,
} from './resources.js';
import { intersection, overlap, type Scanout, type Scanouts, type Shown } from './scanouts.js';

/** What commands act on; a command changes nothing else. */
export interface GpuState {
  readonly resources: ResourceTable;
  readonly scanouts: Scanouts;
  readonly displays: Displays;
  readonly memory: GuestMemory;
  /** Negotiated. */
  readonly features: bigint;
  /** A fresh one. */
  makeUuid(): Uint8Array;
}

/** What a viewer of a scanout is to be told. */
export type ScanoutChange =
  /** It shows something else, or nothing. */
  | { readonly kind: 'scanout'; readonly scanout: Scanout }
  /** `rect` of the resource, some of which it shows, was flushed: what is shown there is whole. */
  | { readonly kind: 'flush'; readonly scanout: Scanout; readonly resourceId: number; readonly rect: Rect }
  /** Its cursor moved or vanished; `image`: the cursor has another image too. */
  | { readonly kind: 'cursor'; readonly scanout: Scanout; readonly image: boolean };

/** What a command did. */
export interface Executed {
  readonly response: GpuResponse;
  /** Pixel bytes copied out of guest memory. */
  readonly copiedBytes: number;
  readonly changes: readonly ScanoutChange[];
}

type CommandOf<N extends GpuCommandName> = Extract<GpuCommand, { name: N }>;
type Handler<N extends GpuCommandName> = (gpu: GpuState, command: CommandOf<N>) => Executed;
type CursorName = 'UPDATE_CURSOR' | 'MOVE_CURSOR';
type ControlName = Exclude<GpuCommandName, CursorName>;

const NO_CHANGES: readonly ScanoutChange[] = [];
const answer = (response: GpuResponse): Executed => ({ response, copiedBytes: 0, changes: NO_CHANGES });
const fail = (name: GpuErrorName): Executed => answer({ name });
const OK = answer({ name: 'OK_NODATA' });
const changed = (...changes: ScanoutChange[]): Executed => ({ ...OK, changes });
const FORMATS: ReadonlySet<number> = new Set(Object.values(VIRTIO_GPU_FORMAT));
const BLOB_FLAGS = Object.values(VIRTIO_GPU_BLOB_FLAG).reduce((all, flag) => all | flag, 0);
const CURSOR_BYTES = VIRTIO_GPU_CURSOR_SIZE * VIRTIO_GPU_CURSOR_SIZE * VIRTIO_GPU_BYTES_PER_PIXEL;

const CONTROL: { readonly [N in ControlName]: Handler<N> } = {
  GET_DISPLAY_INFO: ({ displays }) => answer({ name: 'OK_DISPLAY_INFO', pmodes: displays.modes() }),

  GET_EDID: ({ displays, features }, { scanout }) => {
    if (!hasFeature(features, VIRTIO_GPU_F_EDID)) return fail('ERR_UNSPEC');
    if (scanout >= displays.count) return fail('ERR_INVALID_PARAMETER');
    return answer({ name: 'OK_EDID', edid: displays.edid(scanout) });
  },

  RESOURCE_CREATE_2D: ({ resources }, { resource_id, format, width, height }) => {
    if (resource_id === 0 || resources.get(resource_id) !== undefined) return fail('ERR_INVALID_RESOURCE_ID');
    if (!FORMATS.has(format)) return fail('ERR_INVALID_PARAMETER');
    if (resources.create(resource_id, format, width, height) === undefined) return fail('ERR_OUT_OF_MEMORY');
    return OK;
  },

  RESOURCE_UNREF: (gpu, { resource_id }) => {
    const resource = gpu.resources.get(resource_id);
    if (resource === undefined) return fail('ERR_INVALID_RESOURCE_ID');
    const dark = gpu.scanouts.disableAllOf(resource);
    gpu.resources.remove(resource);
    return changed(...dark.map((scanout) => ({ kind: 'scanout', scanout }) as const));
  },

  RESOURCE_ATTACH_BACKING: ({ resources, memory }, { resource_id, entries }) => {
    const resource = resources.get(resource_id);
    if (resource === undefined) return fail('ERR_INVALID_RESOURCE_ID');
    if (resource.backing !== undefined || entries === undefined) return fail('ERR_UNSPEC');
    if (entries.length === 0) return OK; // and still no backing
    const outcome = resources.attach(resource, memory, entries);
    if (outcome === 'full') return fail('ERR_OUT_OF_MEMORY');
    return outcome === 'attached' ? OK : fail('ERR_UNSPEC');
  },

  RESOURCE_DETACH_BACKING: ({ resources }, { resource_id }) => {
    const resource = resources.get(resource_id);
    if (resource?.backing === undefined) return fail('ERR_INVALID_RESOURCE_ID');
    resources.detach(resource);
    return OK;
  },

  TRANSFER_TO_HOST_2D: (gpu, { resource_id, r, offset }) => {
    const resource = gpu.resources.get(resource_id);
    if (resource?.backing === undefined) return fail('ERR_INVALID_RESOURCE_ID');
    if (resource.blobBytes !== undefined) return OK; // the host has no copy of it
    if (!rectFits(r, resource.width, resource.height)) return fail('ERR_INVALID_PARAMETER');
    // The pages were there at attach; they are not any more if the front-end changed the memory under the guest.
    if (!resource.backing.bind(gpu.memory)) return fail('ERR_UNSPEC');
    return { ...OK, copiedBytes: transferToHost(resource, resource.backing, r, Number(offset)) };
  },

  SET_SCANOUT: (gpu, { scanout_id, resource_id, r }) => {
    const scanout = gpu.scanouts.get(scanout_id);
    if (scanout === undefined) return fail('ERR_INVALID_SCANOUT_ID');
    if (resource_id === 0) return showNothing(gpu, scanout);
    const resource = gpu.resources.get(resource_id);
    if (resource === undefined || resource.blobBytes !== undefined) return fail('ERR_INVALID_RESOURCE_ID');
    if (r.width === 0 || r.height === 0 || !rectFits(r, resource.width, resource.height)) {
      return fail('ERR_INVALID_PARAMETER');
    }
    gpu.scanouts.show(scanout, { resource, surface: resource, rect: r });
    return changed({ kind: 'scanout', scanout });
  },

  RESOURCE_ASSIGN_UUID: ({ resources, features, makeUuid }, { resource_id }) => {
    if (!hasFeature(features, VIRTIO_GPU_F_RESOURCE_UUID)) return fail('ERR_UNSPEC');
    const resource = resources.get(resource_id);
    if (resource === undefined) return fail('ERR_INVALID_RESOURCE_ID');
    resource.uuid ??= makeUuid();
    return answer({ name: 'OK_RESOURCE_UUID', uuid: resource.uuid });
  },

  // Guest memory only: there is no renderer that could make host memory, and no region to map it into.
  RESOURCE_CREATE_BLOB: ({ resources, memory, features }, { resource_id, blob_mem, blob_flags, size, entries }) => {
    if (!hasFeature(features, VIRTIO_GPU_F_RESOURCE_BLOB)) return fail('ERR_UNSPEC');
    if (resource_id === 0 || resources.get(resource_id) !== undefined) return fail('ERR_INVALID_RESOURCE_ID');
    if (blob_mem !== VIRTIO_GPU_BLOB_MEM_GUEST || (blob_flags & ~BLOB_FLAGS) !== 0)
      return fail('ERR_INVALID_PARAMETER');
    if (entries === undefined) return fail('ERR_UNSPEC');
    const held = entries.reduce((bytes, { length }) => bytes + length, 0);
    if (size === 0n || size > BigInt(held)) return fail('ERR_INVALID_PARAMETER');
    const outcome = resources.createBlob(resource_id, Number(size), memory, entries);
    if (outcome === 'full') return fail('ERR_OUT_OF_MEMORY');
    return outcome === 'created' ? OK : fail('ERR_UNSPEC');
  },

  SET_SCANOUT_BLOB: (gpu, command) => {
    if (!hasFeature(gpu.features, VIRTIO_GPU_F_RESOURCE_BLOB)) return fail('ERR_UNSPEC');
    const scanout = gpu.scanouts.get(command.scanout_id);
    if (scanout === undefined) return fail('ERR_INVALID_SCANOUT_ID');
    if (command.resource_id === 0) return showNothing(gpu, scanout);
    const resource = gpu.resources.get(command.resource_id);
    if (resource?.blobBytes === undefined || resource.backing === undefined) return fail('ERR_INVALID_RESOURCE_ID');
    const blob = blobPicture(command, resource.blobBytes);
    if (blob === undefined) return fail('ERR_INVALID_PARAMETER');
    const surface = surfaceFor(gpu, scanout, command);
    if (surface === undefined) return fail('ERR_OUT_OF_MEMORY');
    gpu.scanouts.show(scanout, { resource, surface, rect: command.r, blob });
    return changed({ kind: 'scanout', scanout });
  },

  RESOURCE_FLUSH: (gpu, { resource_id, r }) => {
    const resource = gpu.resources.get(resource_id);
    if (resource === undefined) return fail('ERR_INVALID_RESOURCE_ID');
    if (resource.blobBytes !== undefined) return flushBlob(gpu, resource, r);
    if (!rectFits(r, resource.width, resource.height)) return fail('ERR_INVALID_PARAMETER');
    const showing = [...gpu.scanouts.showing(resource, r)];
    return changed(
      ...showing.map((scanout) => ({ kind: 'flush', scanout, resourceId: resource_id, rect: r }) as const),
    );
  },
};

function showNothing(gpu: GpuState, scanout: Scanout): Executed {
  gpu.scanouts.show(scanout, undefined);
  return changed({ kind: 'scanout', scanout });
}

/** Where the picture lies in a blob of that size; undefined: it does not, or is none. */
function blobPicture(
  { r, width, height, format, strides, offsets }: CommandOf<'SET_SCANOUT_BLOB'>,
  blobBytes: number,
): RowPlace | undefined {
  const [stride, offset] = [strides[0]!, offsets[0]!];
  const rowBytes = width * VIRTIO_GPU_BYTES_PER_PIXEL;
  const none = r.width === 0 || r.height === 0;
  if (!FORMATS.has(format) || none || !rectFits(r, width, height) || stride < rowBytes) return undefined;
  return offset + stride * (height - 1) + rowBytes <= blobBytes ? { offset, stride } : undefined;
}

/** Of the same shape as before it is the same one: a driver that shows two blobs in turn has it made once. */
function surfaceFor(
  { resources }: GpuState,
  { shown }: Scanout,
  { format, width, height }: CommandOf<'SET_SCANOUT_BLOB'>,
): Surface | undefined {
  const old = shown?.blob === undefined ? undefined : shown.surface;
  if (old?.format === format && old.width === width && old.height === height) return old;
  return resources.takeSurface(format, width, height);
}

/** What the scanouts show of a blob is read from guest memory now. As in QEMU, no scanout that shows any of `r` is an error. */
function flushBlob(gpu: GpuState, resource: Resource, r: Rect): Executed {
  const showing = gpu.scanouts
    .all()
    .filter((scanout): scanout is Scanout & { shown: Shown } => scanout.shown?.resource === resource)
    .filter(({ shown }) => overlap(shown.rect, r));
  if (showing.length === 0) return fail('ERR_INVALID_PARAMETER');
  // Its pages were there when it was made; they are not any more if the front-end changed the memory under the guest.
  if (resource.backing?.bind(gpu.memory) !== true) return fail('ERR_UNSPEC');
  let copiedBytes = 0;
  for (const { shown } of showing) {
    const { offset, stride } = shown.blob!;
    const part = intersection(shown.rect, r);
    const from = { offset: offset + part.y * stride + part.x * VIRTIO_GPU_BYTES_PER_PIXEL, stride };
    copiedBytes += copyRows(resource.backing, from, shown.surface, part);
  }
  const changes = showing.map((scanout) => ({ kind: 'flush', scanout, resourceId: resource.id, rect: r }) as const);
  return { ...OK, copiedBytes, changes };
}

/** A copy of the image that a cursor resource holds; undefined: it holds none. */
function cursorImage(gpu: GpuState, resource: Resource): Uint8Array | undefined {
  if (resource.blobBytes === undefined) {
    const square = resource.width === VIRTIO_GPU_CURSOR_SIZE && resource.height === VIRTIO_GPU_CURSOR_SIZE;
    return square ? resource.pixels.slice() : undefined;
  }
  if (resource.blobBytes < CURSOR_BYTES || resource.backing?.bind(gpu.memory) !== true) return undefined;
  const image = new Uint8Array(CURSOR_BYTES);
  resource.backing.copy(0, CURSOR_BYTES, image, 0);
  return image;
}

const CURSOR: { readonly [N in CursorName]: Handler<N> } = {
  UPDATE_CURSOR: (gpu, { pos, resource_id, hot_x, hot_y }) => {
    const scanout = gpu.scanouts.get(pos.scanout_id);
    if (scanout === undefined) return fail('ERR_INVALID_SCANOUT_ID');
    const placed = { ...scanout.cursor, x: pos.x, y: pos.y, hotX: hot_x, hotY: hot_y };
    if (resource_id === 0) {
      scanout.cursor = { ...placed, visible: false };
      return changed({ kind: 'cursor', scanout, image: false });
    }
    const resource = gpu.resources.get(resource_id);
    if (resource === undefined) return fail('ERR_INVALID_RESOURCE_ID');
    const image = cursorImage(gpu, resource);
    if (image === undefined) return fail('ERR_INVALID_PARAMETER');
    scanout.cursor = { ...placed, image, visible: true };
    return changed({ kind: 'cursor', scanout, image: true });
  },

  // By the specification a position only; QEMU's devices show the cursor when the id is not 0 and hide it when it is, and
  // Linux repeats the id.
  MOVE_CURSOR: (gpu, { pos, resource_id }) => {
    const scanout = gpu.scanouts.get(pos.scanout_id);
    if (scanout === undefined) return fail('ERR_INVALID_SCANOUT_ID');
    scanout.cursor = { ...scanout.cursor, x: pos.x, y: pos.y, visible: resource_id !== 0 };
    return changed({ kind: 'cursor', scanout, image: false });
  },
};

function execute(table: object, gpu: GpuState, command: GpuCommand): Executed {
  if (command.name === 'INVALID') return fail(command.error);
  const handler = (table as Partial<Record<GpuCommandName, (gpu: GpuState, command: GpuCommand) => Executed>>)[
    command.name
  ];
  // A cursor command on the control queue, or the other way round.
  if (handler === undefined) return fail('ERR_UNSPEC');
  return handler(gpu, command);
}

/** Executes a command of the control queue. */
export const executeControl = (gpu: GpuState, command: GpuCommand): Executed => execute(CONTROL, gpu, command);
/** Executes a command of the cursor queue. */
export const executeCursor = (gpu: GpuState, command: GpuCommand): Executed => execute(CURSOR, gpu, command);
