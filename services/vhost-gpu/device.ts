// One virtio-gpu device: its queues (pump.ts) and the state that commands act on (commands.ts). Knows guest memory, queues and
// what to call; not whose guest it is nor how messages reach it (backend.ts).
import type { Clock } from '../../lib/core/clock.js';
import { BROKEN_QUEUES_LOGGED_MAX, GPU_HOST_BYTES_DEFAULT } from '../../lib/core/limits.js';
import type { Log } from '../../lib/core/log.js';
import type { GuestMemory, GuestMemoryError } from '../../lib/core/memory.js';
import type { Probe } from '../../lib/core/probe.js';
import {
  VIRTIO_GPU_F_EDID,
  VIRTIO_GPU_F_RESOURCE_BLOB,
  VIRTIO_GPU_F_RESOURCE_UUID,
  VIRTIO_GPU_QUEUE_CONTROL,
  VIRTIO_GPU_QUEUE_COUNT,
  VIRTIO_GPU_RESP,
} from '../../lib/layout/virtio-gpu.js';
import {
  featureBits,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTQ_USED,
} from '../../lib/layout/virtio-ring.js';
import { POINT } from '../../lib/trace/points.js';
import { type Chain, VirtqError } from '../../lib/virtio/chain.js';
import type { QueueLayout } from '../../lib/virtio/device-ring.js';
import {
  decodeCommand,
  encodeResponse,
  type GpuCommand,
  type GpuResponse,
  type Rect,
} from '../../lib/virtio/gpu-codec.js';
import { executeControl, executeCursor, type GpuState, type ScanoutChange } from './commands.js';
import { type DisplaySize, Displays } from './display.js';
import { type PumpWork, type QueueEnds, QueuePump, type Served } from './pump.js';
import { ResourceTable } from './resources.js';
import { type Scanout, Scanouts } from './scanouts.js';

/** Features offered. BLOB_ALIGNMENT is not: blobs may begin anywhere. */
export const GPU_FEATURES = featureBits(
  VIRTIO_F_VERSION_1,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_IN_ORDER, // each command is done before the next one is taken
  VIRTIO_GPU_F_EDID,
  VIRTIO_GPU_F_RESOURCE_UUID,
  VIRTIO_GPU_F_RESOURCE_BLOB,
);

export interface GpuDeviceSetup {
  /** For logs and history. */
  readonly name: string;
  readonly log: Log;
  readonly probe: Probe;
  readonly clock: Clock;
  /** Runs an action later from the event loop, after others had their turn. */
  readonly defer: (action: () => void) => void;
  /** A fresh random UUID (RFC 4122), VIRTIO_GPU_UUID_BYTES. */
  readonly makeUuid: () => Uint8Array;
  readonly displays: readonly (DisplaySize | undefined)[];
  readonly hostBytesMax?: number;
  /** Zeroed bytes for pixels; throws RangeError when there is no room. */
  readonly allocate?: (bytes: number) => Uint8Array;
  /** Something that the scanout shows was flushed. */
  readonly onFlush?: (scanout: Scanout) => void;
}

/** What shows the picture as it comes, and may know the displays better than this device does. */
export interface Viewer {
  scanout(scanout: Scanout): void;
  flush(scanout: Scanout, rect: Rect): void;
  cursor(scanout: Scanout, image: boolean): void;
  /** What the guest is to be told of the displays; undefined: the viewer does not know. The queue waits for it. */
  ask(command: DisplayQuestion, done: (answer: GpuResponse | undefined) => void): void;
}
export type DisplayQuestion = Extract<GpuCommand, { name: 'GET_DISPLAY_INFO' | 'GET_EDID' }>;

export class GpuDevice implements GpuState {
  readonly name: string;
  readonly resources: ResourceTable;
  readonly scanouts: Scanouts;
  readonly displays: Displays;
  readonly makeUuid: () => Uint8Array;
  readonly #log: Log;
  readonly #probe: Probe;
  readonly #clock: Clock;
  readonly #defer: (action: () => void) => void;
  readonly #onFlush: (scanout: Scanout) => void;
  readonly #queues: (QueuePump | undefined)[] = new Array(VIRTIO_GPU_QUEUE_COUNT).fill(undefined);
  #viewer: Viewer | undefined;
  #memory: GuestMemory | undefined;
  #features = 0n;
  #brokenCount = 0;

  constructor(setup: GpuDeviceSetup) {
    this.name = setup.name;
    this.#log = setup.log;
    this.#probe = setup.probe;
    this.#clock = setup.clock;
    this.#defer = setup.defer;
    this.#onFlush = setup.onFlush ?? (() => {});
    this.makeUuid = setup.makeUuid;
    this.displays = new Displays(setup.displays);
    const allocate = setup.allocate ?? ((bytes) => new Uint8Array(bytes));
    this.resources = new ResourceTable(setup.hostBytesMax ?? GPU_HOST_BYTES_DEFAULT, setup.probe, allocate);
    this.scanouts = new Scanouts(this.displays.count, (surface) => this.resources.giveSurface(surface));
  }

  get features(): bigint {
    return this.#features;
  }

  /** Only while a queue runs. */
  get memory(): GuestMemory {
    return this.#memory!;
  }

  /** The negotiated features; no queue runs. */
  setFeatures(features: bigint): void {
    this.#features = features;
  }

  /** Another guest memory, or none; no queue runs. The old one may be unmapped once this returns. */
  setMemory(memory: GuestMemory | undefined): void {
    this.resources.forgetMemory();
    this.#memory = memory;
  }

  /** The used index of a ring at that address, as it is in memory; undefined when it lies in none. */
  usedIndex(used: number): number | undefined {
    const at = used + VIRTQ_USED.offset.idx;
    return this.#memory?.contains(at, 2) === true ? this.#memory.readU16(at) : undefined;
  }

  /** Serves a queue from now on, what is in it already included. Throws VirtqError when it does not lie in memory. */
  startQueue(index: number, layout: QueueLayout, ends: QueueEnds): void {
    if (this.#memory === undefined) throw new VirtqError('QUEUE_LAYOUT', `queue ${index} starts without memory`);
    const work: PumpWork = {
      execute: (chain) => this.#execute(index, chain),
      broken: (error) => this.#broken(index, error),
      defer: this.#defer,
    };
    this.#queues[index] = new QueuePump(this.#memory, layout, this.#features, ends, work);
  }

  /** The queue is not touched any more once this returns; answers where a later run goes on. */
  stopQueue(index: number): number {
    const queue = this.#queues[index];
    this.#queues[index] = undefined;
    return queue?.stop() ?? 0;
  }

  /** The driver may have made chains available. */
  kick(index: number): void {
    this.#queues[index]?.kick();
  }

  /** Everything that the guest made is gone, every display dark; displays stay plugged in. No queue runs. */
  reset(): void {
    const shown = this.scanouts.all().filter((scanout) => scanout.shown !== undefined);
    const pointing = this.scanouts.all().filter(({ cursor }) => cursor.visible);
    this.scanouts.clear();
    for (const scanout of shown) this.#viewer?.scanout(scanout);
    for (const scanout of pointing) this.#viewer?.cursor(scanout, false);
    this.resources.clear();
    this.displays.reset();
  }

  /** Another viewer, or none; it is told what is shown now. */
  setViewer(viewer: Viewer | undefined): void {
    this.#viewer = viewer;
    for (const scanout of this.scanouts.all()) {
      if (scanout.cursor.visible) viewer?.cursor(scanout, true);
      if (scanout.shown === undefined) continue;
      viewer?.scanout(scanout);
      viewer?.flush(scanout, scanout.shown.rect);
    }
  }

  #tell(change: ScanoutChange): void {
    const { scanout } = change;
    switch (change.kind) {
      case 'scanout':
        this.#viewer?.scanout(scanout);
        return;
      case 'cursor':
        this.#viewer?.cursor(scanout, change.image);
        return;
      case 'flush':
        scanout.flushCount++;
        if (scanout.firstFlushNs === 0n) scanout.firstFlushNs = this.#clock.nowNs();
        this.#probe.at(POINT['gpu.flush'], this.name, scanout.index, change.resourceId);
        this.#viewer?.flush(scanout, change.rect);
        this.#onFlush(scanout);
    }
  }

  #execute(index: number, chain: Chain): Served | 'later' {
    const command = decodeCommand(chain);
    this.#probe.at(POINT['gpu.execute'], command.name, command.hdr.type, resourceOf(command));
    const control = index === VIRTIO_GPU_QUEUE_CONTROL;
    if (this.#viewer === undefined || !control || !isDisplayQuestion(command)) {
      const { response, copiedBytes, changes } = (control ? executeControl : executeCursor)(this, command);
      for (const change of changes) this.#tell(change);
      return { written: this.#answer(chain, command, response), copiedBytes };
    }
    const queue = this.#queues[index];
    this.#viewer.ask(command, (answer) => {
      // Stopped since: the command is taken again by the next run.
      if (queue === undefined || this.#queues[index] !== queue) return;
      const own = executeControl(this, command).response;
      queue.complete(() => this.#answer(chain, command, own.name.startsWith('ERR_') ? own : (answer ?? own)));
    });
    return 'later';
  }

  /** Writes the response where the driver left room; answers how many bytes. */
  #answer(chain: Chain, command: GpuCommand, response: GpuResponse): number {
    const { type } = command.hdr;
    const resource = resourceOf(command);
    this.#probe.at(POINT['gpu.executed'], command.name, type, resource);
    if (response.name.startsWith('ERR_')) {
      this.#probe.at(
        POINT['error.command'],
        command.name,
        VIRTIO_GPU_RESP[`VIRTIO_GPU_RESP_${response.name}`],
        resource,
      );
      this.#log.debug({ device: this.name, command: command.name, type, resource }, `answered ${response.name}`);
    }
    // Linux leaves no room for an answer on the cursor queue; a driver's room may be too small: cut, as QEMU does.
    return chain.writableBytes === 0 ? 0 : chain.write(0, encodeResponse(response, command.hdr));
  }

  #broken(index: number, error: VirtqError | GuestMemoryError): void {
    this.#probe.at(POINT['error.queue'], error.code, index);
    // A guest can reset its device and break it again for ever; the log need not grow with that.
    const level = ++this.#brokenCount <= BROKEN_QUEUES_LOGGED_MAX ? 'error' : 'debug';
    this.#log[level]({ device: this.name, queue: index, code: error.code }, `queue stopped: ${error.message}`);
  }
}

function resourceOf(command: GpuCommand): number {
  return 'resource_id' in command ? command.resource_id : 0;
}

function isDisplayQuestion(command: GpuCommand): command is DisplayQuestion {
  return command.name === 'GET_DISPLAY_INFO' || command.name === 'GET_EDID';
}
