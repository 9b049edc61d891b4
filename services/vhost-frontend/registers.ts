// The registers of one device as its guest reaches them: one access after the other, each answered once the effects that the
// register file asked for are done. Leaves what the registers say to lib/virtio/mmio-device.ts, and the effects to
// virtio-link.ts.
import { VirtioMmioDevice } from '../../lib/virtio/mmio-device.js';
import type { MmioEffect, MmioModel } from '../../lib/virtio/mmio-registers.js';
import type { RangeOwner } from './ioreq-client.js';
import type { IoRequest } from './ioreq-slots.js';

/** Does an effect; a promise where the access has to wait for it. A rejection is a bug of ours. */
export type DoEffect = (effect: MmioEffect) => Promise<void> | undefined;

export class Registers implements RangeOwner {
  readonly device: VirtioMmioDevice;
  readonly #do: DoEffect;
  readonly #onFailure: (error: unknown) => void;
  /** Effects of earlier accesses that are still being done. */
  #busy: Promise<void> | undefined;

  /** `broken`: a driver was at work on registers that are lost. `onFailure` is told of an effect that rejects. */
  constructor(
    model: MmioModel,
    config: Uint8Array,
    options: { readonly broken: boolean; readonly onFailure: (error: unknown) => void },
    perform: DoEffect,
  ) {
    this.device = new VirtioMmioDevice(model, config, { broken: options.broken });
    this.#do = perform;
    this.#onFailure = options.onFailure;
  }

  access(offset: number, request: IoRequest): number | Promise<number> {
    // A reset under way is finished before anything else is answered.
    if (this.#busy !== undefined) return this.#busy.then(() => this.access(offset, request));
    if (request.read) return this.device.read(offset, request.size);
    const done = this.#perform(this.device.write(offset, request.size, request.value));
    return done === undefined ? 0 : done.then(() => 0);
  }

  /** Effects that no access asked for: the device server's doing. */
  apply(effects: readonly MmioEffect[]): void {
    this.#perform(effects)?.catch(this.#onFailure);
  }

  /** Resolves once no effect is under way. */
  async settled(): Promise<void> {
    await this.#busy;
  }

  /** In order; undefined when none of them had to wait. */
  #perform(effects: readonly MmioEffect[]): Promise<void> | undefined {
    let waiting: Promise<void> | undefined;
    for (const effect of effects)
      waiting = waiting === undefined ? this.#do(effect) : waiting.then(() => this.#do(effect));
    if (waiting === undefined) return undefined;
    const busy = waiting.finally(() => {
      if (this.#busy === busy) this.#busy = undefined;
    });
    this.#busy = busy;
    return busy;
  }
}
