// The outputs of the guest's display: what the device says of them, in display info and EDIDs. Leaves pictures to virtio-gpu.ts.

import type { Clock } from '../../lib/core/clock.js';
import { DEADLINE_MS } from '../../lib/core/deadlines.js';
import { DeadlineError, ErrnoError } from '../../lib/core/errors.js';
import type { Log } from '../../lib/core/log.js';
import { VIRTIO_GPU_MAX_SCANOUTS } from '../../lib/layout/virtio-gpu.js';
import type { DecodedResponse } from '../../lib/virtio/gpu-codec.js';
import type { GpuChannel, GpuReply } from './gpu-channel.js';

/** What output 0 shows before the device said anything. */
const DEFAULT_MODE: Output = { enabled: true, width: 1024, height: 768 };
const OFF: Output = { enabled: false, width: 0, height: 0 };

export interface Output {
  readonly enabled: boolean;
  readonly width: number;
  readonly height: number;
  readonly edid?: Uint8Array;
}

export class GpuOutputs {
  readonly #clock: Clock;
  readonly #log: Log;
  #outputs: Output[] = [];
  #answered = false;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  get all(): readonly Output[] {
    return this.#outputs;
  }
  /** The device has told of its outputs at least once. */
  get answered(): boolean {
    return this.#answered;
  }

  /** As many as the device says, the first one pre-set. */
  preset(count: number): void {
    this.#answered = false;
    this.#outputs = Array.from({ length: Math.min(count, VIRTIO_GPU_MAX_SCANOUTS) }, (_, index) =>
      index === 0 ? DEFAULT_MODE : OFF,
    );
  }

  /**
   * EDIDs (if negotiated) and display info in one batch. Silence is not an error, nor is a device that must be reset
   * meanwhile; an error reply switches every output off: Linux reads one as zeros.
   */
  async ask(channel: GpuChannel, edid: boolean): Promise<void> {
    try {
      const edids: GpuReply[] = [];
      for (let index = 0; edid && index < this.#outputs.length; index++) {
        edids.push((await channel.submit('GET_EDID', { scanout: index })).reply);
      }
      const { reply } = await channel.submit('GET_DISPLAY_INFO', {});
      await channel.notify();
      this.#take(await reply.wait({ clock: this.#clock, ms: DEADLINE_MS.displayInfo, what: 'display info' }));
      // Asked first, answered first: they are here unless the device reorders.
      for (const [index, one] of edids.entries()) if (one.done) this.#takeEdid(index, await one.wait());
    } catch (error) {
      const passing = error instanceof DeadlineError || (error instanceof ErrnoError && error.code === 'ESTALE');
      if (!passing) throw error;
      this.#log.warn(error.message);
    }
  }

  #take(info: DecodedResponse): void {
    this.#answered = true;
    this.#outputs = this.#outputs.map((_output, index) => {
      if (info.name !== 'OK_DISPLAY_INFO') return OFF;
      const { r, enabled } = info.pmodes[index]!;
      return { enabled: enabled !== 0, width: r.width, height: r.height };
    });
  }

  #takeEdid(index: number, reply: DecodedResponse): void {
    const output = this.#outputs[index];
    if (reply.name === 'OK_EDID' && output !== undefined) this.#outputs[index] = { ...output, edid: reply.edid };
  }
}
