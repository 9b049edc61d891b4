// Resources: 2D ones, whose pixels in host memory transfers fill from guest pages, and blobs, which are those pages and
// nothing else. Every resource counts against the bounds of its device: host bytes, how many there are, pieces of backing.
// Leaves commands to commands.ts, scanouts to scanouts.ts.

import { GPU_MEM_ENTRIES_HELD_MAX, GPU_RESOURCE_SIDE_MAX, GPU_RESOURCES_MAX } from '../../lib/core/limits.js';
import type { GuestMemory } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import { VIRTIO_GPU_BYTES_PER_PIXEL } from '../../lib/layout/virtio-gpu.js';
import { POINT } from '../../lib/trace/points.js';
import type { MemEntry, Rect } from '../../lib/virtio/gpu-codec.js';
import { Backing } from './backing.js';

/** Whether `inner` lies in an area of `width` by `height`; sums stay exact, so nothing wraps. */
export function rectFits({ x, y, width: w, height: h }: Rect, width: number, height: number): boolean {
  return x + w <= width && y + h <= height;
}

/** Pixels in host memory. */
export interface Surface {
  readonly format: number;
  readonly width: number;
  readonly height: number;
  /** Rows from the top, without padding: width * 4 bytes each. */
  readonly pixels: Uint8Array;
}

/** A blob has no surface of its own: one of no pixels. */
export interface Resource extends Surface {
  readonly id: number;
  /** Bytes of guest memory that a blob is; undefined: a 2D resource. */
  readonly blobBytes: number | undefined;
  backing: Backing | undefined;
  /** Once it was asked for. */
  uuid: Uint8Array | undefined;
}

const NO_PIXELS = new Uint8Array(0);

export class ResourceTable {
  readonly #hostBytesMax: number;
  readonly #probe: Probe;
  readonly #allocate: (bytes: number) => Uint8Array;
  readonly #resources = new Map<number, Resource>();
  #hostBytes = 0;
  #entriesHeld = 0;

  /** `allocate` gives zeroed bytes, or throws RangeError. */
  constructor(hostBytesMax: number, probe: Probe, allocate: (bytes: number) => Uint8Array) {
    this.#hostBytesMax = hostBytesMax;
    this.#probe = probe;
    this.#allocate = allocate;
  }

  get count(): number {
    return this.#resources.size;
  }
  get hostBytes(): number {
    return this.#hostBytes;
  }
  get entriesHeld(): number {
    return this.#entriesHeld;
  }
  all(): Iterable<Resource> {
    return this.#resources.values();
  }
  get(id: number): Resource | undefined {
    return this.#resources.get(id);
  }

  /** Undefined when a bound or the host's memory is exhausted. The id is free and not 0. Pixels begin as zeros. */
  create(id: number, format: number, width: number, height: number): Resource | undefined {
    if (this.#resources.size >= GPU_RESOURCES_MAX) return undefined;
    const surface = this.takeSurface(format, width, height);
    return surface === undefined ? undefined : this.#add({ ...surface, id, blobBytes: undefined });
  }

  /**
   * A blob of `bytes` of guest memory, which `entries` hold at least. 'full': over a bound; 'bad': a piece is empty or
   * outside memory. The id is free and not 0.
   */
  createBlob(id: number, bytes: number, memory: GuestMemory, entries: readonly MemEntry[]): 'created' | 'full' | 'bad' {
    if (this.#resources.size >= GPU_RESOURCES_MAX) return 'full';
    const blob = this.#add({ id, format: 0, width: 0, height: 0, pixels: NO_PIXELS, blobBytes: bytes });
    const outcome = this.attach(blob, memory, entries);
    if (outcome === 'attached') return 'created';
    this.remove(blob);
    return outcome;
  }

  #add(made: Omit<Resource, 'backing' | 'uuid'>): Resource {
    const resource: Resource = { ...made, backing: undefined, uuid: undefined };
    this.#resources.set(resource.id, resource);
    this.#probe.at(POINT['resource.take'], '', resource.id);
    return resource;
  }

  remove(resource: Resource): void {
    this.detach(resource);
    this.#resources.delete(resource.id);
    this.giveSurface(resource);
    this.#probe.at(POINT['resource.give'], '', resource.id);
  }

  /** Host memory for pixels, zeroed; undefined when the device's bound or the host's memory is exhausted. */
  takeSurface(format: number, width: number, height: number): Surface | undefined {
    const bytes = width * height * VIRTIO_GPU_BYTES_PER_PIXEL;
    if (bytes > this.#hostBytesMax - this.#hostBytes || Math.max(width, height) > GPU_RESOURCE_SIDE_MAX)
      return undefined;
    try {
      const pixels = this.#allocate(bytes);
      this.#hostBytes += bytes;
      return { format, width, height, pixels };
    } catch (error) {
      if (error instanceof RangeError) return undefined; // the host has no room for it
      throw error;
    }
  }

  giveSurface({ pixels }: Surface): void {
    this.#hostBytes -= pixels.length;
  }

  /** 'full': over the bound of the device; 'bad': a piece is empty or outside memory. Nothing is attached then. */
  attach(resource: Resource, memory: GuestMemory, entries: readonly MemEntry[]): 'attached' | 'full' | 'bad' {
    if (entries.length > GPU_MEM_ENTRIES_HELD_MAX - this.#entriesHeld) return 'full';
    const backing = Backing.attach(memory, entries);
    if (backing === undefined) return 'bad';
    resource.backing = backing;
    this.#entriesHeld += backing.entryCount;
    return 'attached';
  }

  detach(resource: Resource): void {
    this.#entriesHeld -= resource.backing?.entryCount ?? 0;
    resource.backing = undefined;
  }

  /** To be called before guest memory is unmapped or replaced. */
  forgetMemory(): void {
    for (const { backing } of this.#resources.values()) backing?.forgetMemory();
  }

  clear(): void {
    for (const resource of [...this.#resources.values()]) this.remove(resource);
  }
}

/** Where in a byte string the rows of a picture lie. */
export interface RowPlace {
  /** Of the rectangle's first row. */
  readonly offset: number;
  /** From one row to the next. */
  readonly stride: number;
}

/**
 * Copies `rect`, which lies inside the resource, from its bound backing. `offset` is where the rect's first row begins in
 * the backing; its rows follow there at the resource's own stride (virtio 1.4, 5.7.6.8; the device neither derives offset
 * from the rect nor checks it). Backing that is too short leaves the rest of the pixels as they are. Answers the bytes
 * that the rect has.
 */
export function transferToHost(resource: Resource, backing: Backing, rect: Rect, offset: number): number {
  return copyRows(backing, { offset, stride: resource.width * VIRTIO_GPU_BYTES_PER_PIXEL }, resource, rect);
}

/** Copies rows from `from` of a bound backing to `rect` of a surface, in which it lies. Answers the bytes that it has. */
export function copyRows(backing: Backing, from: RowPlace, surface: Surface, rect: Rect): number {
  const stride = surface.width * VIRTIO_GPU_BYTES_PER_PIXEL;
  const rowBytes = rect.width * VIRTIO_GPU_BYTES_PER_PIXEL;
  if (rowBytes === 0 || rect.height === 0) return 0;
  const to = rect.y * stride + rect.x * VIRTIO_GPU_BYTES_PER_PIXEL;
  if (rowBytes === stride && from.stride === stride) {
    // Full rows lie one behind the other on both sides.
    backing.copy(from.offset, rowBytes * rect.height, surface.pixels, to);
  } else {
    for (let row = 0; row < rect.height; row++) {
      backing.copy(from.offset + row * from.stride, rowBytes, surface.pixels, to + row * stride);
    }
  }
  return rowBytes * rect.height;
}
