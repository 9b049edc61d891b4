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

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Output extends Size {
  readonly enabled: boolean;
  readonly edid?: Uint8Array;
}

export class GpuOutputs {
  readonly #clock: Clock;
  readonly #log: Log;
  #outputs: Output[] = [];
  /** By output: the size that it preferred when it was plugged in last, and that which takeNewMode() has told. */
  readonly #preferred = new Map<number, Size>();
  readonly #taken = new Map<number, Size>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  get all(): readonly Output[] {
    return this.#outputs;
  }

  /** As many as the device says, the first one pre-set. */
  preset(count: number): void {
    this.#preferred.clear();
    this.#taken.clear();
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
    this.#outputs = this.#outputs.map((_output, index) => {
      if (info.name !== 'OK_DISPLAY_INFO') return OFF;
      const { r, enabled } = info.pmodes[index]!;
      const size = { width: r.width, height: r.height };
      if (enabled !== 0) this.#preferred.set(index, size);
      if (enabled !== 0 && !this.#taken.has(index)) this.#taken.set(index, size);
      return { enabled: enabled !== 0, ...size };
    });
  }

  /** The size that the output has come to prefer since the device told it first, or since this told it last; undefined: the same. */
  takeNewMode(index: number): Size | undefined {
    const [now, told] = [this.#preferred.get(index), this.#taken.get(index)];
    if (now === undefined || (now.width === told?.width && now.height === told.height)) return undefined;
    this.#taken.set(index, now);
    return now;
  }

  #takeEdid(index: number, reply: DecodedResponse): void {
    const output = this.#outputs[index];
    if (reply.name === 'OK_EDID' && output !== undefined) this.#outputs[index] = { ...output, edid: reply.edid };
  }
}
