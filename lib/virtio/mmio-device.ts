// A virtio-mmio register file (version 2) as the guest sees it: every access in its window is answered, bad reads with 0,
// bad writes by ignoring them; both are counted. It performs nothing: what an access asks for comes back as effects, and
// the owner answers the guest only when they are done, so that a reset is finished before its write completes.
import {
  VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_FAILED,
  VIRTIO_MMIO_CONFIG,
  VIRTIO_MMIO_INT_CONFIG,
  VIRTIO_MMIO_INT_VRING,
  VIRTIO_MMIO_WINDOW_SIZE,
} from '../layout/virtio-mmio.js';
import { statusStep } from './device-status.js';
import {
  FRESH_QUEUE,
  type MmioEffect,
  type MmioModel,
  REGISTERS,
  type Register,
  type RegisterState,
  resetRegisters,
} from './mmio-registers.js';

const BY_OFFSET: ReadonlyMap<number, Register> = new Map(REGISTERS.map((register) => [register.offset, register]));
const NONE: readonly MmioEffect[] = [];

export class VirtioMmioDevice {
  /** Accesses that no driver should make: answered with 0, or ignored. */
  refusedCount = 0;
  readonly #state: RegisterState;
  #config: Uint8Array;

  /**
   * `config`: the device's configuration space. `broken`: the device was found with its driver at work, and all that was
   * negotiated is lost; Status reads NEEDS_RESET until 0 is written.
   */
  constructor(model: MmioModel, config: Uint8Array, options: { broken?: boolean } = {}) {
    this.#state = {
      model,
      status: 0,
      needsReset: false,
      interruptStatus: 0,
      configGeneration: 0,
      deviceFeaturesSel: 0,
      driverFeaturesSel: 0,
      driverFeatures: 0n,
      queueSel: 0,
      queues: model.queueSizesMax.map((size) => ({ ...FRESH_QUEUE, size })),
    };
    resetRegisters(this.#state);
    this.#state.needsReset = options.broken ?? false;
    this.#config = config;
  }

  /** The driver has set DRIVER_OK. */
  get live(): boolean {
    return statusStep(this.#state.status) === 'live';
  }
  get needsReset(): boolean {
    return this.#state.needsReset;
  }
  /** The Status register. */
  get status(): number {
    return this.#state.status;
  }

  /** Answers a read of `size` bytes at `offset` of the window. */
  read(offset: number, size: number): number {
    if (offset >= VIRTIO_MMIO_CONFIG) return this.#readConfig(offset - VIRTIO_MMIO_CONFIG, size);
    const register = size === 4 ? BY_OFFSET.get(offset) : undefined;
    if (register?.read === undefined) return this.#refused(0);
    return register.read(this.#state) >>> 0;
  }

  /** Takes a write; the effects are to be done, in order, before the guest goes on. */
  write(offset: number, size: number, value: number): readonly MmioEffect[] {
    if (offset >= VIRTIO_MMIO_CONFIG) return this.#writeConfig(offset - VIRTIO_MMIO_CONFIG, size, value);
    const register = size === 4 ? BY_OFFSET.get(offset) : undefined;
    if (register?.write === undefined) return this.#refused(NONE);
    const step = statusStep(this.#state.status);
    if (register.when !== undefined && (step === undefined || !register.when.includes(step)))
      return this.#refused(NONE);
    return register.write(this.#state, value >>> 0) ?? this.#refused(NONE);
  }

  /** The device's configuration changed: the driver is told, if it listens already. */
  configChanged(config: Uint8Array): readonly MmioEffect[] {
    this.setConfig(config);
    this.#state.configGeneration = (this.#state.configGeneration + 1) >>> 0;
    return this.#configInterrupt();
  }

  /** Configuration as it reads after the driver's own write: no notification. */
  setConfig(config: Uint8Array): void {
    this.#config = config;
  }

  /** A buffer was used ('tracked' models). */
  usedBuffer(): readonly MmioEffect[] {
    if (!this.live || this.#state.needsReset) return NONE;
    this.#state.interruptStatus |= VIRTIO_MMIO_INT_VRING;
    return [{ type: 'interrupt' }];
  }

  /** The device cannot go on: only a reset by the driver helps (2.1.2). */
  setNeedsReset(): readonly MmioEffect[] {
    this.#state.needsReset = true;
    return this.#configInterrupt();
  }

  /** A config interrupt whatever the driver has come to: for one at work on registers that were lost under it. */
  wake(): readonly MmioEffect[] {
    this.#state.interruptStatus |= VIRTIO_MMIO_INT_CONFIG;
    return [{ type: 'interrupt' }];
  }

  #configInterrupt(): readonly MmioEffect[] {
    if (!this.live) return NONE;
    this.#state.interruptStatus |= VIRTIO_MMIO_INT_CONFIG;
    return [{ type: 'interrupt' }];
  }

  #readConfig(offset: number, size: number): number {
    if (!this.#inConfig(offset, size)) return this.#refused(0);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.#config[offset + i]!;
    return value;
  }

  #writeConfig(offset: number, size: number, value: number): readonly MmioEffect[] {
    const { status, needsReset } = this.#state;
    const driving = (status & VIRTIO_CONFIG_S_DRIVER) !== 0 && (status & VIRTIO_CONFIG_S_FAILED) === 0 && !needsReset;
    if (!driving || !this.#inConfig(offset, size)) return this.#refused(NONE);
    const data = Uint8Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff);
    return [{ type: 'writeConfig', offset, data }];
  }

  /** Naturally aligned accesses of 1, 2 or 4 bytes inside the device's own configuration (4.2.2.2). */
  #inConfig(offset: number, size: number): boolean {
    return (
      (size === 1 || size === 2 || size === 4) &&
      offset >= 0 &&
      offset % size === 0 &&
      offset + size <= Math.min(this.#config.length, VIRTIO_MMIO_WINDOW_SIZE - VIRTIO_MMIO_CONFIG)
    );
  }

  #refused<T>(answer: T): T {
    this.refusedCount++;
    return answer;
  }
}
