// Clauses of virtio-mmio and of the device status, checked on the register file that guests of a lab see: a driver's accesses,
// right and wrong, one after another. Leaves queues in memory to rings.ts.
import { VIRTIO_ID_GPU } from '../../lib/layout/virtio-gpu.js';
import * as M from '../../lib/layout/virtio-mmio.js';
import { featureBits, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from '../../lib/layout/virtio-ring.js';
import { VirtioMmioDevice } from '../../lib/virtio/mmio-device.js';
import type { MmioEffect } from '../../lib/virtio/mmio-registers.js';
import { all, PASS, same, skip, type Verdict } from '../outcome.js';

const FEATURES = featureBits(1, 28, 29, VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET);
const CONFIG = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
const QUEUE_MAX = 256;

/** What a register file is made of: what a server offers, as a guest is shown it. */
export interface RegisterModel {
  readonly features: bigint;
  readonly config: Uint8Array;
  readonly queueSizesMax: readonly number[];
}
const MODEL: RegisterModel = { features: FEATURES, config: CONFIG, queueSizesMax: [QUEUE_MAX, 16] };

/** A register file with a driver's hands on it. */
export class Registers {
  readonly device: VirtioMmioDevice;
  readonly #features: bigint;
  /** What the writes since the last look asked for. */
  effects: MmioEffect[] = [];

  constructor({ features, config, queueSizesMax } = MODEL) {
    const model = { deviceId: VIRTIO_ID_GPU, vendorId: 1, features, queueSizesMax, usedBit: 'tracked' } as const;
    this.device = new VirtioMmioDevice(model, config);
    this.#features = features;
  }

  r(offset: number, size = 4): number {
    return this.device.read(offset, size);
  }
  w(offset: number, value: number, size = 4): this {
    this.effects.push(...this.device.write(offset, size, value));
    return this;
  }
  /** The kinds of what was asked for since the last look. */
  asked(): string[] {
    return this.effects.splice(0).map(({ type }) => type);
  }
  status(...steps: number[]): this {
    for (const step of steps) this.w(M.VIRTIO_MMIO_STATUS, step);
    return this;
  }
  features(bits = this.#features): this {
    for (const page of [0, 1])
      this.w(M.VIRTIO_MMIO_DRIVER_FEATURES_SEL, page).w(
        M.VIRTIO_MMIO_DRIVER_FEATURES,
        Number((bits >> BigInt(32 * page)) & 0xffffffffn),
      );
    return this;
  }
  queue(index: number, { size = 16, at = 0x10000, ready = 1 } = {}): this {
    this.w(M.VIRTIO_MMIO_QUEUE_SEL, index).w(M.VIRTIO_MMIO_QUEUE_NUM, size);
    this.w(M.VIRTIO_MMIO_QUEUE_DESC_LOW, at).w(M.VIRTIO_MMIO_QUEUE_AVAIL_LOW, at + 0x1000);
    return this.w(M.VIRTIO_MMIO_QUEUE_USED_LOW, at + 0x2000).w(M.VIRTIO_MMIO_QUEUE_READY, ready);
  }
  /** Up to DRIVER_OK, queue 0 ready. */
  live(bits = this.#features): this {
    this.status(0, 1, 3).features(bits).status(0xb).queue(0).status(0xf);
    this.asked();
    return this;
  }
}

const STATUS = M.VIRTIO_MMIO_STATUS;
const answered = (found: number): Verdict => same(Number.isInteger(found) && found >= 0, true, 'an answer');
const ready = (d: Registers): number => d.r(M.VIRTIO_MMIO_QUEUE_READY);

/** By clause; each on a fresh register file. */
export const REGISTER_CHECKS: Readonly<Record<string, (d: Registers) => Verdict>> = {
  M0001: (d) =>
    all(
      same(
        [1, 2, 8].map((size) => d.r(0, size)),
        [0, 0, 0],
      ),
      same(d.w(STATUS, 1, 1).r(STATUS), 0, 'a narrow write'),
    ),
  M0002: (d) => all(same(d.r(0x100, 8), 0), same(d.live().r(0x108, 4), 1), same(d.r(0x108, 1), 1)),
  M0003: (d) =>
    same(
      [0x018, 0x0b0 + 0x10, 0x0f8, 0x1fc].map((at) => d.w(at, 0xff).r(at)),
      [0, 0, 0, 0],
    ),
  M0004: (d) => same(d.live().r(M.VIRTIO_MMIO_QUEUE_NUM_MAX), QUEUE_MAX),
  M0005: (d) =>
    same(
      d
        .status(0, 1, 3)
        .w(STATUS, 0x83 | 0x10)
        .r(STATUS) & 0x10,
      0,
    ),
  M0006: (d) => same([d.r(0), d.r(4)], [0x74726976, 2]),
  M0007: (d) => {
    d.live();
    d.device.usedBuffer();
    d.device.usedBuffer();
    return same(d.r(M.VIRTIO_MMIO_INTERRUPT_STATUS), 1, 'it stays until it is acknowledged');
  },
  M0008: (d) => {
    const before = [0, 4, 8, 0x0c, 0x10, 0x34, 0x60, 0xfc].map((at) => d.r(at));
    return same(
      [0, 4, 8, 0x0c, 0x10, 0x34, 0x60, 0xfc].map((at) => d.w(at, 0xffffffff).r(at)),
      before,
    );
  },
  M0009: (d) => all(...[0x14, 0x20, 0x24, 0x30, 0x38, 0x50, 0x64, 0x80, 0xac].map((at) => same(d.r(at), 0))),
  M0010: (d) => {
    d.live().status(0);
    return all(
      same(d.asked(), ['reset']),
      same([d.r(STATUS), ready(d), d.r(M.VIRTIO_MMIO_INTERRUPT_STATUS)], [0, 0, 0]),
    );
  },
  M0011: (d) => same(d.w(M.VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2).r(M.VIRTIO_MMIO_DEVICE_FEATURES), 0),
  M0012: (d) =>
    same(
      ready(
        d
          .status(1, 3)
          .features()
          .status(0xb)
          .queue(0, { size: 2 * QUEUE_MAX, ready: 0 }),
      ),
      0,
    ),
  M0013: (d) => {
    d.status(1, 3).features().status(0xb).w(M.VIRTIO_MMIO_QUEUE_SEL, 9).w(M.VIRTIO_MMIO_QUEUE_READY, 1);
    return same([ready(d), d.r(M.VIRTIO_MMIO_QUEUE_NUM_MAX)], [0, 0], 'a queue that there is not');
  },
  M0014: (d) => {
    d.live().w(M.VIRTIO_MMIO_QUEUE_READY, 1).w(M.VIRTIO_MMIO_QUEUE_READY, 1);
    return all(same(d.asked(), []), same(ready(d), 1));
  },
  M0015: (d) => same(d.live().queue(1).asked(), [], 'no queue is begun after DRIVER_OK'),
  M0016: (d) => {
    const before = d.live().r(M.VIRTIO_MMIO_CONFIG_GENERATION);
    const again = d.r(M.VIRTIO_MMIO_CONFIG_GENERATION);
    d.device.configChanged(CONFIG);
    return all(same(again, before), same(d.r(M.VIRTIO_MMIO_CONFIG_GENERATION) !== before, true, 'a change shows'));
  },
  M0017: (d) => same(d.r(M.VIRTIO_MMIO_VERSION), 2),
  M0018: (d) => same(d.r(0x100, 8), 0, 'a wide access of config space is no access'),
  M0019: (d) =>
    same(
      [0, 1, 2].map((at) => d.w(0x30, at).r(M.VIRTIO_MMIO_QUEUE_NUM_MAX)),
      [QUEUE_MAX, 16, 0],
    ),
  M0020: (d) => {
    d.live();
    d.device.usedBuffer();
    d.device.configChanged(CONFIG);
    return same(d.w(M.VIRTIO_MMIO_INTERRUPT_ACK, 1).r(M.VIRTIO_MMIO_INTERRUPT_STATUS), 2);
  },
  M0021: (d) => same([ready(d.live()), ready(d.w(0x30, 1)), ready(d.w(0x30, 0))], [1, 0, 1]),
  M0022: (d) => same([d.live().status(0).r(0), d.r(4)], [0x74726976, 2]),
  M0023: (d) => all(same(d.live().w(M.VIRTIO_MMIO_QUEUE_RESET, 1).asked(), ['stopQueue']), same(ready(d), 0)),
  M0024: (d) => same(d.live().w(M.VIRTIO_MMIO_QUEUE_RESET, 1).r(M.VIRTIO_MMIO_QUEUE_RESET), 0),
  M0025: (d) =>
    same(
      [0xb0, 0xb4, 0xb8, 0xbc].map((at) => d.w(0xac, 0xffff).r(at)),
      Array(4).fill(0xffffffff),
    ),
  M0026: (d) =>
    same(
      [0xb0, 0xb4, 0xb8, 0xbc].map((at) => d.r(at)),
      Array(4).fill(0xffffffff),
    ),
  M0027: (d) => same([d.w(0xac, 1).r(0xb0), d.w(0xac, 1).r(0xb0)], [0xffffffff, 0xffffffff]),
  M0028: (d) => same(d.w(0xb0, 0).r(0xb0), 0xffffffff),
  M0029: (d) => same(ready(d.status(1, 3).features().status(0xb).queue(0, { ready: 0xff })), 0),
  M0030: (d) => {
    d.status(1, 3).features().status(0xb).queue(0, { ready: 0 });
    d.w(M.VIRTIO_MMIO_QUEUE_DESC_HIGH, 0xffffffff).w(M.VIRTIO_MMIO_QUEUE_READY, 1);
    return answered(d.status(0xf).r(STATUS));
  },
  M0031: () => skip('NOTIFICATION_DATA is not offered'),
  M0032: (d) => {
    d.live();
    const effects = d.device.configChanged(CONFIG).map(({ type }) => type);
    return all(same(effects, ['interrupt']), same(d.r(M.VIRTIO_MMIO_INTERRUPT_STATUS), 2));
  },
  M0034: (d) => same(d.r(M.VIRTIO_MMIO_DEVICE_ID), 16),
  M0035: (d) =>
    same(
      [1, 3].map((step) => d.status(step).r(STATUS)),
      [1, 3],
    ),
  S0001: (d) =>
    same(
      d
        .status(1, 3)
        .features(1n << 32n)
        .features()
        .status(0xb)
        .r(STATUS),
      0xb,
    ),
  S0003: (d) =>
    same(
      d
        .live()
        .status(0, 1, 3)
        .features(1n << 32n)
        .status(0xb)
        .r(STATUS),
      0xb,
    ),
  S0012: (d) => same(d.live().status(0, 0, 0).r(STATUS), 0),
  S0013: (d) => same(d.live().queue(1).asked(), []),
  S0016: (d) => same(d.status(1, 3).features().status(0).r(STATUS), 0),
  S0018: (d) => same(d.live().status(0xb).r(STATUS), 0xf, 'a bit is taken away by a reset only'),
  S0020: (d) =>
    same(
      d
        .status(1, 3)
        .features((1n << 64n) - 1n)
        .status(0xb)
        .r(STATUS) & 8,
      0,
    ),
  S0024: (d) => same(d.status(1, 3).status(0x23).r(STATUS), 3),
  S0025: (d) =>
    same(
      d
        .status(1, 3)
        .features(FEATURES | (1n << 35n))
        .status(0xb)
        .r(STATUS) & 8,
      0,
    ),
  S0027: (d) => same(d.live().r(STATUS) & 0x40, 0),
  S0028: (d) =>
    same(
      d
        .status(1, 3)
        .features(1n << 28n)
        .status(0xb)
        .r(STATUS) & 8,
      0,
    ),
  S0031: (d) => {
    d.live();
    d.device.setNeedsReset();
    const asked = d.r(STATUS) & 0x40;
    return same([asked, d.live().r(STATUS)], [0x40, 0xf]);
  },
  S0032: (d) => same(ready(d.live().status(0)), 0),
  S0035: (d) => same(d.status(1, 3).features().status(0xb, 0).live().r(STATUS), 0xf),
  S0036: (d) => same(d.status(1, 3, 0x83, 0).live().r(STATUS), 0xf),
  S0038: (d) => same(d.w(0x14, 0xffffffff).r(0x10), 0),
  S0040: (d) =>
    same(
      d
        .features((1n << 64n) - 1n)
        .status(1, 3)
        .features()
        .status(0xb)
        .r(STATUS),
      0xb,
    ),
  S0041: (d) =>
    same(d.live().status(0x8f).w(M.VIRTIO_MMIO_QUEUE_NOTIFY, 0).asked(), [], 'no kick of a device that failed'),
  S0044: (d) => same(d.status(0xff).r(STATUS), 0),
  S0045: (d) => same(d.status(0x80).r(STATUS), 0x80),
  S0046: (d) => same(d.status(4).r(STATUS), 0),
  S0057: (d) => all(same(d.status(1, 3).features().status(0xb, 0x8f).asked(), []), PASS),
  S0058: (d) => same(d.live().status(7).r(STATUS), 0xf),
  S0060: (d) =>
    same(d.live().w(M.VIRTIO_MMIO_QUEUE_RESET, 1).queue(0, { size: 16 }).asked(), ['stopQueue', 'startQueue']),
  S0063: (d) =>
    same(
      d
        .live(featureBits(1, 28, 29, 32))
        .w(M.VIRTIO_MMIO_QUEUE_RESET, 1)
        .asked(),
      [],
    ),
  S0064: (d) =>
    same(d.live().w(M.VIRTIO_MMIO_QUEUE_RESET, 1).w(M.VIRTIO_MMIO_QUEUE_RESET, 1).asked(), ['stopQueue'], 'once'),
  S0065: (d) => {
    d.status(0, 1, 3).features().status(0xb).queue(0).queue(1, { at: 0x40000 }).status(0xf);
    d.asked();
    d.w(M.VIRTIO_MMIO_QUEUE_RESET, 1).w(M.VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    return same(d.asked(), ['stopQueue', 'kick'], 'the other queue goes on');
  },
  S0066: (d) =>
    same(d.live().w(M.VIRTIO_MMIO_QUEUE_RESET, 1).queue(0, { size: 64 }).effects.at(-1), {
      ...{ type: 'startQueue', queue: { index: 0, size: 64, desc: 0x10000n, avail: 0x11000n, used: 0x12000n } },
    }),
  S0067: () => skip('SUSPEND is not offered'),
  S0070: (d) => same(d.live().status(0x1f).r(STATUS), 0xf),
  S0078: (d) => same(d.status(1, 9).r(STATUS), 1),
  S0079: (d) => same(d.live().status(0xf).asked(), []),
  S0080: (d) => same(d.live().status(0x4f).r(STATUS), 0xf),
  S0081: (d) => same(d.status(1, 3).features().status(0xb, 0xf).r(STATUS), 0xf),
  S0082: (d) => same(d.status(1, 3, 7).r(STATUS), 3),
  S0085: (d) => same(ready(d.queue(0)), 0),
  S0091: (d) => {
    d.live();
    return all(
      same(
        d.device.setNeedsReset().map(({ type }) => type),
        ['interrupt'],
      ),
      same(d.r(M.VIRTIO_MMIO_INTERRUPT_STATUS), 2),
    );
  },
  T0030: (d) => same(d.status(1, 3).features().status(0xb).queue(0).w(M.VIRTIO_MMIO_QUEUE_NOTIFY, 0).asked(), []),
  T0031: (d) => same(d.live().status(0).w(M.VIRTIO_MMIO_QUEUE_NOTIFY, 0).asked(), ['reset']),
  T0035: (d) => same(d.live().status(0x8f).w(M.VIRTIO_MMIO_QUEUE_NOTIFY, 0).asked(), []),
  T0040: (d) =>
    same(
      d
        .live()
        .features(1n << 32n)
        .status(0xf)
        .r(STATUS),
      0xf,
    ),
};
