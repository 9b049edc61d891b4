// A virtio-mmio driver's accesses through a vCPU of the dom0 lab (dom0-lab.ts), with nothing behind them.
import * as M from '../lib/layout/virtio-mmio.js';
import type { Dom0Lab } from './dom0-lab.js';
import type { FakeGuest } from './host-lab.js';

/** Of the device's registers, unless said otherwise. */
export const BASE = 0xf0000000;

/** The vCPU does an access and waits for its answer. */
export async function access(
  lab: Dom0Lab,
  vcpu: FakeGuest,
  what: { offset: number; value?: number; size?: number; base?: number },
): Promise<number> {
  const addr = (what.base ?? BASE) + what.offset;
  let answer = what.value === undefined ? vcpu.read(addr, what.size) : vcpu.write(addr, what.value, what.size);
  await lab.until(`access at 0x${addr.toString(16)}`, () => {
    answer ??= vcpu.answer();
    return answer !== undefined;
  });
  return Number(answer!.data);
}

/** A driver's way to DRIVER_OK. */
export async function drive(lab: Dom0Lab, vcpu: FakeGuest, base = BASE, high = 1): Promise<void> {
  const w = (offset: number, value: number) => access(lab, vcpu, { offset, value, base });
  await w(M.VIRTIO_MMIO_STATUS, 0);
  for (const status of [1, 3]) await w(M.VIRTIO_MMIO_STATUS, status);
  await w(M.VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
  const low = await access(lab, vcpu, { offset: M.VIRTIO_MMIO_DEVICE_FEATURES, base });
  for (const [page, bits] of [
    [1, high],
    [0, low],
  ] as const) {
    await w(M.VIRTIO_MMIO_DRIVER_FEATURES_SEL, page);
    await w(M.VIRTIO_MMIO_DRIVER_FEATURES, bits);
  }
  await w(M.VIRTIO_MMIO_STATUS, 0xb);
  for (const index of [0, 1]) {
    await w(M.VIRTIO_MMIO_QUEUE_SEL, index);
    await w(M.VIRTIO_MMIO_QUEUE_NUM, 16);
    await w(M.VIRTIO_MMIO_QUEUE_DESC_LOW, 0x10000 * (index + 1));
    await w(M.VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x10000 * (index + 1) + 0x1000);
    await w(M.VIRTIO_MMIO_QUEUE_USED_LOW, 0x10000 * (index + 1) + 0x2000);
    await w(M.VIRTIO_MMIO_QUEUE_READY, 1);
  }
  await w(M.VIRTIO_MMIO_STATUS, 0xf);
}
