// A virtio-gpu device with a driver's two queues in plain memory, for tests and benches: sends commands, reads answers.

import { NO_LOG } from '../lib/core/log.js';
import type { RegionMemory } from '../lib/core/memory.js';
import { NO_PROBE } from '../lib/core/probe.js';
import { VIRTIO_GPU_QUEUE_CONTROL, VIRTIO_GPU_QUEUE_CURSOR, VIRTIO_GPU_UUID_BYTES } from '../lib/layout/virtio-gpu.js';
import { featureBits, VIRTIO_F_RING_PACKED } from '../lib/layout/virtio-ring.js';
import {
  type DecodedResponse,
  decodeResponse,
  encodeCommand,
  type GpuCommandName,
  type GpuFields,
} from '../lib/virtio/gpu-codec.js';
import { GPU_FEATURES, GpuDevice, type GpuDeviceSetup } from '../services/vhost-gpu/device.js';
import { plainMemory, RingDriver } from './ring-driver.js';

export interface GpuTesterOptions extends Partial<GpuDeviceSetup> {
  readonly memory?: RegionMemory;
  readonly features?: bigint;
  /** Where the driver lays its queues; unless said, far from each other. */
  readonly control?: RingPlace;
  readonly cursor?: RingPlace;
}

export interface RingPlace {
  readonly size: number;
  readonly at: number;
}

/** What most tests negotiate: all but the packed layout, which needs another driver. */
export const SPLIT_FEATURES = GPU_FEATURES & ~featureBits(VIRTIO_F_RING_PACKED);
/** First address that tests may use for pixels. */
export const PIXELS_AT = 0x10000;
/** Where it lays a request. */
export const REQUEST_AT = 0x8000;
const RESPONSE_AT = 0xc000;

export class GpuTester {
  readonly memory: RegionMemory;
  readonly device: GpuDevice;
  readonly control: RingDriver;
  readonly cursor: RingDriver;
  /** Actions that the device put off, and how often each queue called or failed. */
  readonly deferred: (() => void)[] = [];
  readonly calls = [0, 0];
  readonly errors = [0, 0];

  constructor(options: GpuTesterOptions = {}) {
    const { memory = plainMemory(8 << 20), features = SPLIT_FEATURES, control, cursor, ...setup } = options;
    this.memory = memory;
    this.device = new GpuDevice({
      name: 'test',
      log: NO_LOG,
      probe: NO_PROBE,
      clock: { nowNs: () => 1n, after: () => ({ cancel: () => {} }) },
      defer: (action) => this.deferred.push(action),
      makeUuid: testUuids(),
      displays: [{ width: 1280, height: 800 }],
      ...setup,
    });
    this.control = new RingDriver(memory, control ?? { size: 64, at: 0 });
    this.cursor = new RingDriver(memory, cursor ?? { size: 16, at: 0x4000 });
    this.device.setFeatures(features);
    this.device.setMemory(memory);
    this.start();
  }

  start(): void {
    for (const [index, ring] of [this.control, this.cursor].entries()) {
      this.device.startQueue(
        index,
        { ...ring.layout, base: ring.availIdx },
        {
          call: () => {
            this.calls[index] = this.calls[index]! + 1;
          },
          error: () => {
            this.errors[index] = this.errors[index]! + 1;
          },
        },
      );
    }
    this.run();
  }

  /** Runs everything put off, however often it is put off again; answers how many turns that were. */
  run(): number {
    let turns = 0;
    for (let action = this.deferred.shift(); action !== undefined; action = this.deferred.shift()) {
      action();
      turns++;
    }
    return turns;
  }

  /** Sends bytes as one request with `room` writable bytes; answers what came back, cut to the used length. */
  raw(
    bytes: Uint8Array,
    { room = 2048, queue = VIRTIO_GPU_QUEUE_CONTROL }: { room?: number; queue?: number } = {},
  ): Uint8Array {
    const ring = queue === VIRTIO_GPU_QUEUE_CONTROL ? this.control : this.cursor;
    this.memory.write(REQUEST_AT, bytes);
    this.memory.write(RESPONSE_AT, new Uint8Array(room).fill(0xee));
    const request = bytes.length > 0 ? [{ addr: REQUEST_AT, len: bytes.length }] : [];
    ring.add([...request, ...(room > 0 ? [{ addr: RESPONSE_AT, len: room, write: true }] : [])]);
    ring.usedEvent = ring.usedSeen;
    this.device.kick(queue);
    this.run();
    const [used] = ring.collect();
    if (used === undefined) throw new Error('the device answered nothing');
    return this.memory.view(RESPONSE_AT, used.len).slice();
  }

  control2d<N extends GpuCommandName>(
    name: N,
    fields: GpuFields<N>,
    options: { fence?: bigint } = {},
  ): DecodedResponse {
    return decodeResponse(this.raw(encodeCommand(name, fields, options)));
  }

  /** The same as a name, which is what most tests look at. */
  send<N extends GpuCommandName>(name: N, fields: GpuFields<N>): string {
    return this.control2d(name, fields).name;
  }

  onCursor<N extends GpuCommandName>(name: N, fields: GpuFields<N>, room = 24): Uint8Array {
    return this.raw(encodeCommand(name, fields), { queue: VIRTIO_GPU_QUEUE_CURSOR, room });
  }

  /** A resource of format B8G8R8X8 with all its backing in one piece at `addr`. */
  resource(id: number, width: number, height: number, addr = PIXELS_AT): void {
    this.expect('RESOURCE_CREATE_2D', { resource_id: id, format: 2, width, height });
    this.attach(id, [{ addr, length: width * height * 4 }]);
  }

  attach(id: number, entries: { addr: number; length: number }[]): void {
    this.expect('RESOURCE_ATTACH_BACKING', { resource_id: id, nr_entries: entries.length, entries });
  }

  expect<N extends GpuCommandName>(name: N, fields: GpuFields<N>): void {
    const answer = this.send(name, fields);
    if (answer !== 'OK_NODATA') throw new Error(`${name} answered ${answer}`);
  }
}

/** UUIDs that are all different, the first one ends in 1. */
export function testUuids(): () => Uint8Array {
  let count = 0;
  return () => {
    const uuid = new Uint8Array(VIRTIO_GPU_UUID_BYTES);
    new DataView(uuid.buffer).setUint32(VIRTIO_GPU_UUID_BYTES - 4, ++count);
    return uuid;
  };
}
