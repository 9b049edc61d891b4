// One virtio-gpu device: two queues served in bounded turns, and the state that commands act on. Knows guest memory, queues
// and what to call; not whose guest it is nor how messages reach it (backend.ts).
import type { Clock } from '../../lib/core/clock.js';
import { errorMessage } from '../../lib/core/errors.js';
import type { History } from '../../lib/core/history.js';
import { GPU_COMMANDS_PER_TURN, GPU_COPY_BYTES_PER_TURN, GPU_HOST_BYTES_DEFAULT } from '../../lib/core/limits.js';
import type { Log } from '../../lib/core/log.js';
import { type GuestMemory, GuestMemoryError } from '../../lib/core/memory.js';
import {
  VIRTIO_GPU_F_EDID,
  VIRTIO_GPU_QUEUE_CONTROL,
  VIRTIO_GPU_QUEUE_COUNT,
  VIRTIO_GPU_RESP,
} from '../../lib/layout/virtio-gpu.js';
import {
  featureBits,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_VERSION_1,
} from '../../lib/layout/virtio-ring.js';
import { Chain, VirtqError } from '../../lib/virtio/chain.js';
import { DeviceQueue, type QueueLayout } from '../../lib/virtio/device-queue.js';
import {
  decodeCommand,
  encodeResponse,
  GPU_COMMANDS,
  type GpuCommand,
  type GpuResponse,
} from '../../lib/virtio/gpu-codec.js';
import { executeControl, executeCursor, type GpuState } from './commands.js';
import { type DisplaySize, Displays } from './display.js';
import { type Rect, ResourceTable } from './resources.js';
import { type Scanout, Scanouts } from './scanouts.js';

/** Features offered. */
export const GPU_FEATURES = featureBits(
  VIRTIO_F_VERSION_1,
  VIRTIO_F_INDIRECT_DESC,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_GPU_F_EDID,
);

export interface GpuDeviceSetup {
  /** For logs and history. */
  readonly name: string;
  readonly log: Log;
  readonly history: History;
  readonly clock: Clock;
  /** Runs an action later from the event loop, after others had their turn. */
  readonly defer: (action: () => void) => void;
  readonly displays: readonly (DisplaySize | undefined)[];
  readonly hostBytesMax?: number;
  /** Zeroed bytes for pixels; throws RangeError when there is no room. */
  readonly allocate?: (bytes: number) => Uint8Array;
}

/** Who is told about a queue. */
export interface QueueEnds {
  /** Used buffers: the driver wants to know. */
  readonly call: () => void;
  /** The driver broke the ring; the queue has stopped. */
  readonly error: () => void;
}

/** Made once: a step's name is looked up by its text. */
const STEPS = Object.fromEntries(
  [...Object.keys(GPU_COMMANDS), 'INVALID'].map((name) => [name, `gpu.${name}`]),
) as Readonly<Record<GpuCommand['name'], string>>;

/** Somebody who shows the picture as it comes, and who may know the displays better than we do. */
export interface Viewer {
  scanout(scanout: Scanout): void;
  flush(scanout: Scanout, rect: Rect): void;
  cursor(scanout: Scanout, image: boolean): void;
  /** What the guest is to be told of the displays; undefined: the viewer does not know. The queue waits for it. */
  ask(command: DisplayQuestion, done: (answer: GpuResponse | undefined) => void): void;
}
export type DisplayQuestion = Extract<GpuCommand, { name: 'GET_DISPLAY_INFO' | 'GET_EDID' }>;

interface RunningQueue {
  readonly index: number;
  readonly ring: DeviceQueue;
  /** The chain that is executed. */
  readonly chain: Chain;
  /** A command whose answer is still to come from the viewer: its chain is kept, nothing more is taken. */
  waiting: DisplayQuestion | undefined;
  ends: QueueEnds;
  /** A turn is due from the event loop. */
  deferred: boolean;
  /** The driver broke a rule: not touched any more until it is stopped and started. */
  broken: boolean;
}

export class GpuDevice implements GpuState {
  readonly name: string;
  readonly resources: ResourceTable;
  readonly scanouts: Scanouts;
  readonly displays: Displays;
  readonly #log: Log;
  readonly #history: History;
  readonly #clock: Clock;
  readonly #defer: (action: () => void) => void;
  readonly #queues: (RunningQueue | undefined)[] = new Array(VIRTIO_GPU_QUEUE_COUNT).fill(undefined);
  #viewer: Viewer | undefined;
  #memory: GuestMemory | undefined;
  #features = 0n;
  #copiedBytes = 0;

  constructor(setup: GpuDeviceSetup) {
    this.name = setup.name;
    this.#log = setup.log;
    this.#history = setup.history;
    this.#clock = setup.clock;
    this.#defer = setup.defer;
    this.displays = new Displays(setup.displays);
    this.scanouts = new Scanouts(this.displays.count);
    const allocate = setup.allocate ?? ((bytes) => new Uint8Array(bytes));
    this.resources = new ResourceTable(setup.hostBytesMax ?? GPU_HOST_BYTES_DEFAULT, setup.history, allocate);
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

  /** Serves a queue from now on, what is in it already included. Throws VirtqError when it does not lie in memory. */
  startQueue(index: number, layout: QueueLayout, ends: QueueEnds): void {
    if (this.#memory === undefined) throw new VirtqError('QUEUE_LAYOUT', `queue ${index} starts without memory`);
    const ring = new DeviceQueue(this.#memory, layout, this.#features);
    const queue: RunningQueue = {
      index,
      ring,
      ends,
      chain: new Chain(),
      waiting: undefined,
      deferred: false,
      broken: false,
    };
    this.#queues[index] = queue;
    // Kicks may have been lost before we listened.
    this.#serveLater(queue);
  }

  setEnds(index: number, ends: QueueEnds): void {
    const queue = this.#queues[index];
    if (queue !== undefined) queue.ends = ends;
  }

  /** The queue is not touched any more once this returns; answers the available index to go on from. */
  stopQueue(index: number): number {
    const queue = this.#queues[index];
    this.#queues[index] = undefined;
    if (queue === undefined) return 0;
    // A chain whose answer is still to come was not given back: the next run takes it again.
    return queue.waiting === undefined ? queue.ring.nextAvail : (queue.ring.nextAvail - 1) & 0xffff;
  }

  /** The driver may have made chains available. */
  kick(index: number): void {
    const queue = this.#queues[index];
    if (queue === undefined || queue.broken || queue.deferred || queue.waiting !== undefined) return;
    this.#serve(queue);
  }

  /** Everything that the guest made is gone, every display dark; displays stay plugged in. No queue runs. */
  reset(): void {
    const shown = this.scanouts.all().filter((scanout) => scanout.shown !== undefined);
    this.scanouts.clear();
    for (const scanout of shown) this.onScanout(scanout);
    this.resources.clear();
    this.displays.reset();
  }

  /** Another viewer, or none; it is told what is shown now. */
  setViewer(viewer: Viewer | undefined): void {
    this.#viewer = viewer;
    for (const scanout of this.scanouts.all()) {
      if (scanout.shown === undefined) continue;
      viewer?.scanout(scanout);
      viewer?.flush(scanout, scanout.shown.rect);
    }
  }

  onFlush(scanout: Scanout, resourceId: number, rect: Rect): void {
    scanout.flushCount++;
    if (scanout.firstFlushNs === 0n) scanout.firstFlushNs = this.#clock.nowNs();
    this.#history.record('frame', this.name, scanout.index, resourceId);
    this.#viewer?.flush(scanout, rect);
  }

  onScanout(scanout: Scanout): void {
    this.#viewer?.scanout(scanout);
  }

  onCursor(scanout: Scanout, image: boolean): void {
    this.#viewer?.cursor(scanout, image);
  }

  onCopy(bytes: number): void {
    this.#copiedBytes += bytes;
  }

  #serveLater(queue: RunningQueue): void {
    queue.deferred = true;
    this.#defer(() => {
      queue.deferred = false;
      // Stopped, or stopped and started anew, since.
      if (this.#queues[queue.index] === queue && !queue.broken) this.#serve(queue);
    });
  }

  /** One turn: until the queue is empty, or the turn is over and the rest waits for the next. */
  #serve(queue: RunningQueue): void {
    const { ring } = queue;
    this.#copiedBytes = 0;
    try {
      ring.disableKicks();
      let commands = 0;
      for (;;) {
        while (ring.pop(queue.chain)) {
          this.#execute(queue);
          if (queue.waiting !== undefined) return;
          commands++;
          if (commands >= GPU_COMMANDS_PER_TURN || this.#copiedBytes >= GPU_COPY_BYTES_PER_TURN) {
            this.#serveLater(queue);
            return;
          }
        }
        if (!ring.enableKicks()) return;
        ring.disableKicks();
      }
    } catch (error) {
      if (!(error instanceof VirtqError || error instanceof GuestMemoryError)) throw error;
      this.#breakQueue(queue, error);
    }
  }

  #execute(queue: RunningQueue): void {
    const command = decodeCommand(queue.chain);
    this.#history.step(STEPS[command.name], command.hdr.type, resourceOf(command));
    const control = queue.index === VIRTIO_GPU_QUEUE_CONTROL;
    if (this.#viewer !== undefined && control && isDisplayQuestion(command)) this.#ask(queue, this.#viewer, command);
    else this.#answer(queue, command, control ? executeControl(this, command) : executeCursor(this, command));
  }

  #ask(queue: RunningQueue, viewer: Viewer, command: DisplayQuestion): void {
    queue.waiting = command;
    viewer.ask(command, (answer) => {
      // Stopped since: the command is taken again by the next run.
      if (this.#queues[queue.index] !== queue || queue.waiting !== command) return;
      queue.waiting = undefined;
      const own = executeControl(this, command);
      this.#answer(queue, command, own.name.startsWith('ERR_') ? own : (answer ?? own));
      this.#serveLater(queue);
    });
  }

  #answer(queue: RunningQueue, command: GpuCommand, response: GpuResponse): void {
    const { chain } = queue;
    const { type } = command.hdr;
    const resource = resourceOf(command);
    this.#history.record('command', command.name, type, resource);
    if (response.name.startsWith('ERR_')) {
      this.#history.record('error', command.name, VIRTIO_GPU_RESP[`VIRTIO_GPU_RESP_${response.name}`], resource);
      this.#log.debug({ device: this.name, command: command.name, type, resource }, `answered ${response.name}`);
    }
    // Linux leaves no room for an answer on the cursor queue; anybody's room may be too small: cut, as QEMU does.
    const written = chain.writableBytes === 0 ? 0 : chain.write(0, encodeResponse(response, command.hdr));
    queue.ring.pushUsed(chain.head, written);
    if (queue.ring.needsCall()) queue.ends.call();
  }

  #breakQueue(queue: RunningQueue, error: unknown): void {
    queue.broken = true;
    const code = error instanceof VirtqError ? error.code : 'EFAULT';
    this.#history.record('error', `queue ${queue.index} ${code}`, queue.index);
    this.#log.error({ device: this.name, queue: queue.index, code }, `queue stopped: ${errorMessage(error)}`);
    queue.ends.error();
  }
}

function resourceOf(command: GpuCommand): number {
  return 'resource_id' in command ? command.resource_id : 0;
}

function isDisplayQuestion(command: GpuCommand): command is DisplayQuestion {
  return command.name === 'GET_DISPLAY_INFO' || command.name === 'GET_EDID';
}
