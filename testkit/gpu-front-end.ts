// A vhost-user front-end with a virtio-gpu driver behind it, over any transport to vhost-gpu: for tests of the
// device server without guest, hypervisor or xenbus.
import type { GuestMemory } from '../lib/core/memory.js';
import { VIRTIO_GPU_QUEUE_COUNT } from '../lib/layout/virtio-gpu.js';
import { featureBits, VIRTIO_F_RING_PACKED } from '../lib/layout/virtio-ring.js';
import { type FrontendChannel, FrontendSession } from '../lib/vhost-user/frontend-session.js';
import { decodeResponse, encodeCommand, type GpuCommandName, type GpuFields } from '../lib/virtio/gpu-codec.js';
import { RingDriver } from './ring-driver.js';

const REQUEST_AT = 0x8000;
const RESPONSE_AT = 0xc000;
/** First guest address for pixels. */
export const FRONT_END_PIXELS_AT = 0x10000;

export interface GpuFrontEndSetup<H> {
  readonly memory: GuestMemory;
  /** The same memory, as the device server is to map it. */
  readonly file: { readonly handle: H; readonly size: number };
  readonly channel: FrontendChannel<H>;
  readonly kicks: readonly H[];
  /** Where each queue is to call. */
  readonly calls: readonly H[];
  /** Signals kick `index`. */
  readonly kick: (index: number) => void;
}

export class GpuFrontEnd<H> {
  readonly frontend: FrontendSession<H>;
  readonly rings: readonly RingDriver[];
  readonly #setup: GpuFrontEndSetup<H>;
  readonly #called: (() => void)[][] = [[], []];

  constructor(setup: GpuFrontEndSetup<H>) {
    this.#setup = setup;
    this.rings = [0, 0x4000].map((at) => new RingDriver(setup.memory, { size: 16, at }));
    this.frontend = new FrontendSession(setup.channel);
  }

  async connect(): Promise<void> {
    await this.frontend.connect(VIRTIO_GPU_QUEUE_COUNT);
  }

  /** `bases`: where each ring goes on, if not where the driver is. */
  async start(
    features = this.frontend.features & ~featureBits(VIRTIO_F_RING_PACKED),
    bases: readonly number[] = [],
  ): Promise<void> {
    const { file, kicks, calls } = this.#setup;
    await this.frontend.start({
      features,
      memory: [{ guestAddr: 0n, size: BigInt(file.size), mmapOffset: 0n, handle: file.handle }],
      rings: this.rings.map(({ layout, availIdx }, index) => ({
        index,
        size: layout.size,
        desc: BigInt(layout.desc),
        avail: BigInt(layout.avail),
        used: BigInt(layout.used),
        base: bases[index] ?? availIdx,
        kick: kicks[index]!,
        call: calls[index]!,
      })),
    });
  }

  /** Signals the kick of queue `index`. */
  kick(index: number): void {
    this.#setup.kick(index);
  }

  /** Resolves when queue `index` calls next. */
  called(index: number): Promise<void> {
    return new Promise((resolve) => this.#called[index]!.push(resolve));
  }

  /** To be run when queue `index` called. */
  onCall(index: number): void {
    for (const wake of this.#called[index]!.splice(0)) wake();
  }

  /** Sends a command on the control queue and waits for its answer. */
  async send<N extends GpuCommandName>(name: N, fields: GpuFields<N>): Promise<ReturnType<typeof decodeResponse>> {
    const { memory, kick } = this.#setup;
    const ring = this.rings[0]!;
    const request = encodeCommand(name, fields);
    memory.write(REQUEST_AT, request);
    ring.usedEvent = ring.usedSeen;
    ring.add([
      { addr: REQUEST_AT, len: request.length },
      { addr: RESPONSE_AT, len: 2048, write: true },
    ]);
    const called = new Promise<void>((resolve) => this.#called[0]!.push(resolve));
    kick(0);
    for (;;) {
      const [used] = ring.collect();
      if (used !== undefined) return decodeResponse(memory.view(RESPONSE_AT, used.len).slice());
      await called;
    }
  }

  /**
   * Draws `pixels` (B G R x) of a `width` by `height` picture on scanout 0, as resource `id`, from guest address `at`. Throws
   * what went wrong.
   */
  async draw(id: number, width: number, height: number, pixels: Uint8Array, at = FRONT_END_PIXELS_AT): Promise<void> {
    const r = { x: 0, y: 0, width, height };
    const entries = [{ addr: at, length: pixels.length }];
    this.#setup.memory.write(at, pixels);
    await this.#expect('RESOURCE_CREATE_2D', { resource_id: id, format: 2, width, height });
    await this.#expect('RESOURCE_ATTACH_BACKING', { resource_id: id, nr_entries: 1, entries });
    await this.#expect('TRANSFER_TO_HOST_2D', { resource_id: id, r, offset: 0n });
    await this.#expect('SET_SCANOUT', { scanout_id: 0, resource_id: id, r });
    await this.#expect('RESOURCE_FLUSH', { resource_id: id, r });
  }

  async #expect<N extends GpuCommandName>(name: N, fields: GpuFields<N>): Promise<void> {
    const { name: answer } = await this.send(name, fields);
    if (answer !== 'OK_NODATA') throw new Error(`${name} answered ${answer}`);
  }
}
