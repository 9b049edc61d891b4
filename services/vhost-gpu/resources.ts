// 2D resources: pixels in host memory, filled from guest pages by transfers. Every resource counts against the bounds of
// its device: host bytes, how many there are, pieces of backing. Leaves commands to commands.ts, scanouts to scanouts.ts.

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

export interface Resource {
  readonly id: number;
  readonly format: number;
  readonly width: number;
  readonly height: number;
  /** Rows from the top, without padding: width * 4 bytes each. */
  readonly pixels: Uint8Array;
  backing: Backing | undefined;
}

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
    const bytes = width * height * VIRTIO_GPU_BYTES_PER_PIXEL;
    if (bytes > this.#hostBytesMax - this.#hostBytes || this.#resources.size >= GPU_RESOURCES_MAX) return undefined;
    if (Math.max(width, height) > GPU_RESOURCE_SIDE_MAX) return undefined;
    let pixels: Uint8Array;
    try {
      pixels = this.#allocate(bytes);
    } catch (error) {
      if (error instanceof RangeError) return undefined; // the host has no room for it
      throw error;
    }
    const resource: Resource = { id, format, width, height, pixels, backing: undefined };
    this.#resources.set(id, resource);
    this.#hostBytes += bytes;
    this.#probe.at(POINT['resource.take'], '', id);
    return resource;
  }

  remove(resource: Resource): void {
    this.detach(resource);
    this.#resources.delete(resource.id);
    this.#hostBytes -= resource.pixels.length;
    this.#probe.at(POINT['resource.give'], '', resource.id);
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

/**
 * Copies `rect`, which lies inside the resource, from its bound backing. `offset` is where the rect's first row begins in
 * the backing; its rows follow there at the resource's own stride (virtio 1.4, 5.7.6.8; the device neither derives offset
 * from the rect nor checks it). Backing that is too short leaves the rest of the pixels as they are. Answers the bytes
 * that the rect has.
 */
export function transferToHost(resource: Resource, backing: Backing, rect: Rect, offset: number): number {
  const stride = resource.width * VIRTIO_GPU_BYTES_PER_PIXEL;
  const rowBytes = rect.width * VIRTIO_GPU_BYTES_PER_PIXEL;
  if (rowBytes === 0 || rect.height === 0) return 0;
  const to = rect.y * stride + rect.x * VIRTIO_GPU_BYTES_PER_PIXEL;
  if (rowBytes === stride) {
    // Full rows lie one behind the other on both sides.
    backing.copy(offset, rowBytes * rect.height, resource.pixels, to);
  } else {
    for (let row = 0; row < rect.height; row++) {
      backing.copy(offset + row * stride, rowBytes, resource.pixels, to + row * stride);
    }
  }
  return rowBytes * rect.height;
}
