// A virtio-mmio device as a guest of a lab has it: the register file here, a GPU server at the other end of a socket, and the
// front-end's session between them. A driver's accesses go in; what they ask for is done before the next one, as
// vhost-frontend does it. Leaves what is right to checks/device.ts, and the server's side of the wire to server-end.ts.
import {
  VIRTIO_GPU_CONFIG,
  VIRTIO_GPU_QUEUE_CONTROL,
  VIRTIO_GPU_QUEUE_COUNT,
  VIRTIO_GPU_QUEUE_CURSOR,
  VIRTIO_ID_GPU,
} from '../lib/layout/virtio-gpu.js';
import * as M from '../lib/layout/virtio-mmio.js';
import { featureBits, hasFeature, VIRTIO_F_RING_PACKED } from '../lib/layout/virtio-ring.js';
import { makeEventFd } from '../lib/node/files/event-fds.js';
import type { OwnedFd } from '../lib/node/files/owned-fd.js';
import { FrontendSession } from '../lib/vhost-user/frontend-session.js';
import { freshBase } from '../lib/virtio/device-ring.js';
import { type DecodedResponse, encodeCommand, type GpuCommandName, type GpuFields } from '../lib/virtio/gpu-codec.js';
import type { MmioEffect, QueueSetup } from '../lib/virtio/mmio-registers.js';
import { DEVICE_TYPES, guestFeatures } from '../services/vhost-frontend/device-types.js';
import { type RegisterModel, Registers } from './checks/registers.js';
import { RAM_BYTES, RING_SIZE, type ServerEnd } from './server-end.js';

/** Where the cursor queue lies, which is set up as drivers do and stays empty: past the control queue. */
const CURSOR_AT = 0x4000;
const GPU = DEVICE_TYPES.get(VIRTIO_ID_GPU)!;

export class DeviceEnd {
  readonly registers: Registers;
  readonly model: RegisterModel;
  readonly #end: ServerEnd;
  readonly #session: FrontendSession<OwnedFd>;
  readonly #cursorKick = makeEventFd();
  /** What the driver accepted when the device last became live. */
  #features = 0n;

  /** Greets the server as vhost-frontend does, and makes registers of what it says. */
  static async open(end: ServerEnd): Promise<DeviceEnd> {
    end.offered = (await end.ask('GET_FEATURES', {})).value;
    const session = new FrontendSession<OwnedFd>({ exchange: (message, answered) => end.raw(message, answered) });
    await session.connect(VIRTIO_GPU_QUEUE_COUNT);
    const config = await session.getConfig(VIRTIO_GPU_CONFIG.size);
    const display = end.display();
    await session.setDisplay(display);
    display.close();
    return new DeviceEnd(end, session, {
      features: guestFeatures(session.features),
      config: GPU.complete?.(config) ?? config,
      queueSizesMax: GPU.queueSizesMax,
    });
  }

  private constructor(end: ServerEnd, session: FrontendSession<OwnedFd>, model: RegisterModel) {
    this.#end = end;
    this.#session = session;
    end.onClose(() => this.#cursorKick.close());
    this.model = model;
    this.registers = new Registers(model);
  }

  /** Does what the accesses since the last call asked for. */
  async settle(): Promise<void> {
    for (const effect of this.registers.effects.splice(0)) await this.#do(effect);
  }

  async #do(effect: MmioEffect): Promise<void> {
    const session = this.#session;
    switch (effect.type) {
      case 'activate': {
        const region = { guestAddr: 0n, size: BigInt(RAM_BYTES), mmapOffset: 0n, handle: this.#end.ram };
        this.#features = effect.features;
        const rings = effect.queues.map((queue) => this.#ring(queue));
        await session.start({ features: effect.features & session.features, memory: [region], rings });
        this.#end.kick();
        return;
      }
      case 'startQueue':
        await session.startRing(this.#ring(effect.queue));
        this.#end.kick();
        return;
      case 'stopQueue':
        await session.stopRing(effect.index);
        return;
      case 'reset':
        return session.reset();
      case 'kick':
        this.#end.kick();
        return;
      case 'writeConfig':
        return session.setConfig(effect.offset, effect.data);
      case 'interrupt':
    }
  }

  #ring(queue: QueueSetup) {
    const kick = queue.index === VIRTIO_GPU_QUEUE_CONTROL ? this.#end.kickHandle : this.#cursorKick;
    return { ...queue, base: freshBase(this.#features), kick, call: this.#end.callHandle };
  }

  /** Lays an empty control queue in memory and describes it in the registers; it is not ready yet. */
  lay(size = RING_SIZE, packed = hasFeature(this.#features, VIRTIO_F_RING_PACKED)): Registers {
    const { desc, avail, used } = this.#end.lay(packed, size).layout;
    return this.registers
      .w(M.VIRTIO_MMIO_QUEUE_SEL, 0)
      .w(M.VIRTIO_MMIO_QUEUE_NUM, size)
      .w(M.VIRTIO_MMIO_QUEUE_DESC_LOW, desc)
      .w(M.VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail)
      .w(M.VIRTIO_MMIO_QUEUE_USED_LOW, used);
  }

  /** Everything that a driver does before DRIVER_OK: features, both queues, empty. */
  async prepare(packed = false): Promise<void> {
    const layout = featureBits(VIRTIO_F_RING_PACKED);
    const features = packed ? this.model.features : this.model.features & ~layout;
    this.registers.status(0, 1, 3).features(features).status(0xb);
    this.lay(RING_SIZE, packed).w(M.VIRTIO_MMIO_QUEUE_READY, 1);
    this.registers.queue(VIRTIO_GPU_QUEUE_CURSOR, { at: CURSOR_AT });
    await this.settle();
  }

  async live(packed = false): Promise<void> {
    await this.prepare(packed);
    this.registers.status(0xf);
    await this.settle();
  }

  /** Writes QueueNotify. */
  async notify(): Promise<void> {
    this.registers.w(M.VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    await this.settle();
  }

  /** A command by the control queue, kicked by QueueNotify; rejects when no answer comes. */
  async command<N extends GpuCommandName>(name: N, fields: GpuFields<N>): Promise<DecodedResponse> {
    return this.#end.bytes(encodeCommand(name, fields), () => this.notify());
  }

  /** Makes a command available without a kick. */
  add<N extends GpuCommandName>(name: N, fields: GpuFields<N>): void {
    this.#end.ring.add(this.#end.segments(encodeCommand(name, fields)));
  }
}
