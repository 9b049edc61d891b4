// The device status field as a table of legal moves (virtio 1.4, 2.1 and 3.1.1). The driver adds bits step by step and
// takes them away only by writing 0; NEEDS_RESET belongs to the device and is OR-ed into what is read.
import {
  VIRTIO_CONFIG_S_ACKNOWLEDGE,
  VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FAILED,
  VIRTIO_CONFIG_S_FEATURES_OK,
} from '../layout/virtio-mmio.js';

/** Steps of a driver's start. 'failed' is any of them with FAILED added. */
export type StatusStep = 'reset' | 'acknowledged' | 'driver' | 'features' | 'live' | 'failed';

const ACKNOWLEDGED = VIRTIO_CONFIG_S_ACKNOWLEDGE;
const DRIVER = ACKNOWLEDGED | VIRTIO_CONFIG_S_DRIVER;
const FEATURES = DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;
const LIVE = FEATURES | VIRTIO_CONFIG_S_DRIVER_OK;

const STEP_OF: ReadonlyMap<number, StatusStep> = new Map([
  [0, 'reset'],
  [ACKNOWLEDGED, 'acknowledged'],
  [DRIVER, 'driver'],
  [FEATURES, 'features'],
  [LIVE, 'live'],
]);

/** The step that a status value means; undefined for values that no driver may reach. */
export function statusStep(status: number): StatusStep | undefined {
  if (status & VIRTIO_CONFIG_S_FAILED) return STEP_OF.has(status & ~VIRTIO_CONFIG_S_FAILED) ? 'failed' : undefined;
  return STEP_OF.get(status);
}

/** Steps that a write may lead to. Some drivers write ACKNOWLEDGE and DRIVER at once. Repeating a value changes nothing. */
export const STATUS_MOVES: Readonly<Record<StatusStep, readonly StatusStep[]>> = {
  reset: ['acknowledged', 'driver', 'failed'],
  acknowledged: ['reset', 'driver', 'failed'],
  driver: ['reset', 'features', 'failed'],
  features: ['reset', 'live', 'failed'],
  live: ['reset', 'failed'],
  failed: ['reset'],
};

/**
 * What a write of `next` does to the driver's bits `current` (both without NEEDS_RESET): the new step, 'same', or
 * undefined when it is illegal, as it is when bits set before are missing.
 */
export function statusMove(current: number, next: number): StatusStep | 'same' | undefined {
  if (next === current) return 'same';
  const from = statusStep(current);
  const to = statusStep(next);
  if (from === undefined || to === undefined || !STATUS_MOVES[from].includes(to)) return undefined;
  return next === 0 || (next & current) === current ? to : undefined;
}
