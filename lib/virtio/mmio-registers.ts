// The virtio-mmio registers as a table: name, offset, who may access it, in which steps of the driver's start. Every one
// is 32 bits wide and aligned (virtio 1.4, 4.2.2). Functions of the table work on a RegisterState and say what the owner
// of the device must do. Leaves the window, config space and counting to mmio-device.ts.
import * as M from '../layout/virtio-mmio.js';
import { hasFeature, VIRTIO_F_RING_PACKED, VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from '../layout/virtio-ring.js';
import { type StatusStep, statusMove, statusStep } from './device-status.js';

export interface QueueSetup {
  readonly index: number;
  /** Entries. */
  readonly size: number;
  /** Guest addresses of descriptor table, available ring and used ring. */
  readonly desc: bigint;
  readonly avail: bigint;
  readonly used: bigint;
}

/** What the register file asks of its owner. All of it is done before the access is answered to the guest. */
export type MmioEffect =
  /** DRIVER_OK: the device may use these queues. */
  | { readonly type: 'activate'; readonly features: bigint; readonly queues: readonly QueueSetup[] }
  /** QueueReady 0 or QueueReset on a live device: the queue's memory is not touched any more. */
  | { readonly type: 'stopQueue'; readonly index: number }
  /** QueueReady 1 of a queue that was reset: the device begins to use it, from its start. */
  | { readonly type: 'startQueue'; readonly queue: QueueSetup }
  /** Status 0: nothing of the guest's memory is touched any more, nothing the guest made is left. */
  | { readonly type: 'reset' }
  /** QueueNotify that no ioeventfd took. */
  | { readonly type: 'kick'; readonly index: number }
  | { readonly type: 'writeConfig'; readonly offset: number; readonly data: Uint8Array }
  /** The guest's interrupt is due. */
  | { readonly type: 'interrupt' };

export interface MmioModel {
  readonly deviceId: number;
  readonly vendorId: number;
  /** Offered features. */
  readonly features: bigint;
  /** Largest size of each queue, in entries; its length is the number of queues. */
  readonly queueSizesMax: readonly number[];
  /**
   * 'always': used buffers are signalled past this register file, so InterruptStatus bit 0 reads 1 at all times, as in
   * xen-vhost-frontend; 'tracked': usedBuffer() tells.
   */
  readonly usedBit: 'always' | 'tracked';
  /** Device-specific demands on the driver's features (dependencies between them). */
  readonly accepts?: (features: bigint) => boolean;
}

export interface QueueState {
  size: number;
  ready: boolean;
  /** By QueueReset, and not ready since: it may be set up again on a live device. */
  wasReset: boolean;
  desc: bigint;
  avail: bigint;
  used: bigint;
}

export interface RegisterState {
  readonly model: MmioModel;
  /** The driver's bits. */
  status: number;
  needsReset: boolean;
  interruptStatus: number;
  configGeneration: number;
  deviceFeaturesSel: number;
  driverFeaturesSel: number;
  driverFeatures: bigint;
  queueSel: number;
  readonly queues: readonly QueueState[];
}

/** `undefined` from write: refused; nothing changed. */
export interface Register {
  readonly name: string;
  readonly offset: number;
  readonly read?: (s: RegisterState) => number;
  readonly write?: (s: RegisterState, value: number) => readonly MmioEffect[] | undefined;
  /** Steps in which a write counts; absent: any. */
  readonly when?: readonly StatusStep[];
}

type WriteRegister = NonNullable<Register['write']>;

const NONE: readonly MmioEffect[] = [];
/** On a live device only for queues that were reset, which the writes look at. */
const SETUP: readonly StatusStep[] = ['features', 'live'];
const ALL_ONES = 0xffffffff;

const featurePage = (features: bigint, page: number): number =>
  page < 2 ? Number((features >> BigInt(32 * page)) & 0xffffffffn) : 0;

const selected = (s: RegisterState): QueueState | undefined => s.queues[s.queueSel];

export const FRESH_QUEUE = { ready: false, wasReset: false, desc: 0n, avail: 0n, used: 0n };

const mayBeSetUp = (s: RegisterState, queue: QueueState): boolean =>
  !queue.ready && (queue.wasReset || statusStep(s.status) === 'features');

/** Size and addresses may change only while the queue is not ready (4.2.2.2). */
const queueField = (set: (queue: QueueState, value: number, s: RegisterState) => boolean): WriteRegister => {
  return (s, value) => {
    const queue = selected(s);
    return queue !== undefined && mayBeSetUp(s, queue) && set(queue, value, s) ? NONE : undefined;
  };
};
const addressHalf = (field: 'desc' | 'avail' | 'used', high: boolean): WriteRegister =>
  queueField((queue, value) => {
    const [mask, shift] = high ? [0xffffffffn, 32n] : [0xffffffffn << 32n, 0n];
    queue[field] = (queue[field] & mask) | (BigInt(value) << shift);
    return true;
  });

const isPacked = (s: RegisterState): boolean => hasFeature(s.driverFeatures, VIRTIO_F_RING_PACKED);
const isPowerOfTwo = (n: number): boolean => n > 0 && (n & (n - 1)) === 0;
/** What 2.7 demands of a split queue, and 2.8.10.1 of a packed one: its size, and where its three areas begin. */
const sizeFits = (s: RegisterState, size: number): boolean => (isPacked(s) ? size > 0 : isPowerOfTwo(size));
const aligned = (s: RegisterState, { desc, avail, used }: QueueState): boolean =>
  desc % 16n === 0n && avail % (isPacked(s) ? 4n : 2n) === 0n && used % 4n === 0n;

function writeQueueReady(s: RegisterState, value: number): readonly MmioEffect[] | undefined {
  const queue = selected(s);
  if (queue === undefined || value > 1) return undefined;
  if (queue.ready === (value === 1)) return NONE;
  const step = statusStep(s.status);
  if (value === 1) {
    if (!mayBeSetUp(s, queue) || !sizeFits(s, queue.size) || !aligned(s, queue)) return undefined;
    queue.ready = true;
    queue.wasReset = false;
    if (step !== 'live') return NONE;
    return [{ type: 'startQueue', queue: setupOf(queue, s.queueSel) }];
  }
  queue.ready = false;
  return step === 'live' ? [{ type: 'stopQueue', index: s.queueSel }] : NONE;
}

const setupOf = ({ size, desc, avail, used }: QueueState, index: number): QueueSetup => ({
  ...{ index, size, desc, avail, used },
});

/** The queue forgets everything; done before the write completes, so that the register never reads 1 (4.2.2.1). */
function writeQueueReset(s: RegisterState, value: number): readonly MmioEffect[] | undefined {
  const queue = selected(s);
  if (queue === undefined || value !== 1 || !hasFeature(s.driverFeatures, VIRTIO_F_RING_RESET)) return undefined;
  if (s.needsReset) return undefined;
  const wasReady = queue.ready;
  Object.assign(queue, { ...FRESH_QUEUE, size: s.model.queueSizesMax[s.queueSel], wasReset: true });
  return wasReady ? [{ type: 'stopQueue', index: s.queueSel }] : NONE;
}

function writeQueueNotify(s: RegisterState, value: number): readonly MmioEffect[] | undefined {
  // Without NOTIFICATION_DATA, which is not offered, only the low half means something.
  const index = value & 0xffff;
  return s.queues[index]?.ready && !s.needsReset ? [{ type: 'kick', index }] : undefined;
}

/** Forgets all that the driver said; what its reset must leave. */
export function resetRegisters(s: RegisterState): void {
  s.status = 0;
  s.needsReset = false;
  s.interruptStatus = 0;
  s.deviceFeaturesSel = 0;
  s.driverFeaturesSel = 0;
  s.driverFeatures = 0n;
  s.queueSel = 0;
  for (const [index, queue] of s.queues.entries())
    Object.assign(queue, { ...FRESH_QUEUE, size: s.model.queueSizesMax[index] });
}

function writeStatus(s: RegisterState, value: number): readonly MmioEffect[] | undefined {
  const next = value & 0xff & ~M.VIRTIO_CONFIG_S_NEEDS_RESET;
  const step = next === 0 ? 'reset' : statusMove(s.status, next);
  // A device that needs its reset goes nowhere else (2.1.2).
  if (s.needsReset && step !== 'reset' && step !== 'same') return undefined;
  switch (step) {
    case undefined:
      return undefined;
    case 'same':
      return NONE;
    case 'reset':
      resetRegisters(s);
      return [{ type: 'reset' }];
    case 'features': {
      // Refused by not keeping the bit (3.1.1 step 6). VERSION_1 must be accepted: there is no legacy interface here.
      const accepted =
        (s.driverFeatures & ~s.model.features) === 0n &&
        hasFeature(s.driverFeatures, VIRTIO_F_VERSION_1) &&
        (s.model.accepts?.(s.driverFeatures) ?? true);
      if (accepted) s.status = next;
      return accepted ? NONE : undefined;
    }
    case 'live': {
      s.status = next;
      const queues = s.queues.flatMap((queue, index) => (queue.ready ? [setupOf(queue, index)] : []));
      return [{ type: 'activate', features: s.driverFeatures, queues }];
    }
    default:
      s.status = next;
      return NONE;
  }
}

/** No shared memory regions: length and base read all ones (4.2.2). */
const noSharedMemory = () => ALL_ONES;

export const REGISTERS: readonly Register[] = [
  { name: 'MagicValue', offset: M.VIRTIO_MMIO_MAGIC_VALUE, read: () => M.VIRTIO_MMIO_MAGIC },
  { name: 'Version', offset: M.VIRTIO_MMIO_VERSION, read: () => M.VIRTIO_MMIO_VERSION_2 },
  { name: 'DeviceID', offset: M.VIRTIO_MMIO_DEVICE_ID, read: (s) => s.model.deviceId },
  { name: 'VendorID', offset: M.VIRTIO_MMIO_VENDOR_ID, read: (s) => s.model.vendorId },
  {
    name: 'DeviceFeatures',
    offset: M.VIRTIO_MMIO_DEVICE_FEATURES,
    read: (s) => featurePage(s.model.features, s.deviceFeaturesSel),
  },
  {
    name: 'DeviceFeaturesSel',
    offset: M.VIRTIO_MMIO_DEVICE_FEATURES_SEL,
    write: (s, value) => {
      s.deviceFeaturesSel = value;
      return NONE;
    },
  },
  {
    name: 'DriverFeatures',
    offset: M.VIRTIO_MMIO_DRIVER_FEATURES,
    when: ['driver'],
    write: (s, value) => {
      if (s.driverFeaturesSel > 1) return undefined;
      const shift = BigInt(32 * s.driverFeaturesSel);
      s.driverFeatures = (s.driverFeatures & ~(0xffffffffn << shift)) | (BigInt(value) << shift);
      return NONE;
    },
  },
  {
    name: 'DriverFeaturesSel',
    offset: M.VIRTIO_MMIO_DRIVER_FEATURES_SEL,
    write: (s, value) => {
      s.driverFeaturesSel = value;
      return NONE;
    },
  },
  {
    name: 'QueueSel',
    offset: M.VIRTIO_MMIO_QUEUE_SEL,
    write: (s, value) => {
      s.queueSel = value;
      return NONE;
    },
  },
  {
    name: 'QueueSizeMax',
    offset: M.VIRTIO_MMIO_QUEUE_NUM_MAX,
    read: (s) => s.model.queueSizesMax[s.queueSel] ?? 0,
  },
  {
    name: 'QueueSize',
    offset: M.VIRTIO_MMIO_QUEUE_NUM,
    when: SETUP,
    write: queueField((queue, value, s) => {
      if (!sizeFits(s, value) || value > (s.model.queueSizesMax[s.queueSel] ?? 0)) return false;
      queue.size = value;
      return true;
    }),
  },
  {
    name: 'QueueReady',
    offset: M.VIRTIO_MMIO_QUEUE_READY,
    read: (s) => (selected(s)?.ready ? 1 : 0),
    write: writeQueueReady,
  },
  {
    name: 'QueueReset',
    offset: M.VIRTIO_MMIO_QUEUE_RESET,
    when: ['live'],
    read: () => 0,
    write: writeQueueReset,
  },
  { name: 'QueueNotify', offset: M.VIRTIO_MMIO_QUEUE_NOTIFY, when: ['live'], write: writeQueueNotify },
  {
    name: 'InterruptStatus',
    offset: M.VIRTIO_MMIO_INTERRUPT_STATUS,
    read: (s) => s.interruptStatus | (s.model.usedBit === 'always' ? M.VIRTIO_MMIO_INT_VRING : 0),
  },
  {
    name: 'InterruptACK',
    offset: M.VIRTIO_MMIO_INTERRUPT_ACK,
    write: (s, value) => {
      s.interruptStatus &= ~value;
      return NONE;
    },
  },
  {
    name: 'Status',
    offset: M.VIRTIO_MMIO_STATUS,
    read: (s) => s.status | (s.needsReset ? M.VIRTIO_CONFIG_S_NEEDS_RESET : 0),
    write: writeStatus,
  },
  { name: 'QueueDescLow', offset: M.VIRTIO_MMIO_QUEUE_DESC_LOW, when: SETUP, write: addressHalf('desc', false) },
  { name: 'QueueDescHigh', offset: M.VIRTIO_MMIO_QUEUE_DESC_HIGH, when: SETUP, write: addressHalf('desc', true) },
  { name: 'QueueDriverLow', offset: M.VIRTIO_MMIO_QUEUE_AVAIL_LOW, when: SETUP, write: addressHalf('avail', false) },
  { name: 'QueueDriverHigh', offset: M.VIRTIO_MMIO_QUEUE_AVAIL_HIGH, when: SETUP, write: addressHalf('avail', true) },
  { name: 'QueueDeviceLow', offset: M.VIRTIO_MMIO_QUEUE_USED_LOW, when: SETUP, write: addressHalf('used', false) },
  { name: 'QueueDeviceHigh', offset: M.VIRTIO_MMIO_QUEUE_USED_HIGH, when: SETUP, write: addressHalf('used', true) },
  { name: 'SHMSel', offset: M.VIRTIO_MMIO_SHM_SEL, write: () => NONE },
  { name: 'SHMLenLow', offset: M.VIRTIO_MMIO_SHM_LEN_LOW, read: noSharedMemory },
  { name: 'SHMLenHigh', offset: M.VIRTIO_MMIO_SHM_LEN_HIGH, read: noSharedMemory },
  { name: 'SHMBaseLow', offset: M.VIRTIO_MMIO_SHM_BASE_LOW, read: noSharedMemory },
  { name: 'SHMBaseHigh', offset: M.VIRTIO_MMIO_SHM_BASE_HIGH, read: noSharedMemory },
  { name: 'ConfigGeneration', offset: M.VIRTIO_MMIO_CONFIG_GENERATION, read: (s) => s.configGeneration },
];
