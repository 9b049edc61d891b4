// Clauses of a whole device: registers, the front-end's session and a server together, as a guest of a lab has them. What a
// driver does to registers must be true of the rings that the server works on.
import { VIRTIO_GPU_CONFIG } from '../../lib/layout/virtio-gpu.js';
import * as M from '../../lib/layout/virtio-mmio.js';
import {
  featureBits,
  hasFeature,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
} from '../../lib/layout/virtio-ring.js';
import type { DeviceEnd } from '../device-end.js';
import { all, same, skip, type Verdict } from '../outcome.js';
import type { ServerEnd } from '../server-end.js';

type Check = (device: DeviceEnd, end: ServerEnd) => Promise<Verdict>;

const CREATE = { resource_id: 1, format: 2, width: 8, height: 8 } as const;
const create = async (device: DeviceEnd): Promise<string> => (await device.command('RESOURCE_CREATE_2D', CREATE)).name;

export const DEVICE_CHECKS: Readonly<Record<string, Check>> = {
  'DEV-CONFIG': async ({ registers }) => {
    const at = M.VIRTIO_MMIO_CONFIG + VIRTIO_GPU_CONFIG.offset.num_scanouts;
    return same(registers.r(at) > 0, true, 'a scanout');
  },
  'DEV-FEATURES': async ({ registers }, end) => {
    const page = (index: number): bigint => BigInt(registers.w(M.VIRTIO_MMIO_DEVICE_FEATURES_SEL, index).r(0x10));
    const offered = page(0) | (page(1) << 32n);
    const server = end.offered | featureBits(VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET);
    return all(same(hasFeature(offered, VIRTIO_F_VERSION_1), true, 'VERSION_1'), same(offered & ~server, 0n));
  },
  'DEV-LIVE': async (device, end) => {
    await device.prepare();
    device.add('RESOURCE_CREATE_2D', CREATE);
    await device.notify();
    const before = await end.seen();
    device.registers.status(0xf);
    await device.settle();
    return same([before, await end.seen()], ['silence', 'used'], 'before and after DRIVER_OK');
  },
  'DEV-SERVES': async (device) => {
    await device.live();
    return same(await create(device), 'OK_NODATA');
  },
  'DEV-PACKED': async (device, end) => {
    if (!hasFeature(device.model.features, VIRTIO_F_RING_PACKED)) return skip('no packed rings');
    await device.live(true);
    const first = await create(device);
    device.registers.w(M.VIRTIO_MMIO_QUEUE_SEL, 0).w(M.VIRTIO_MMIO_QUEUE_RESET, 1);
    await device.settle();
    device.lay(5).w(M.VIRTIO_MMIO_QUEUE_READY, 1);
    await device.settle();
    const again = await create(device);
    return all(same([first, again], ['OK_NODATA', 'ERR_INVALID_RESOURCE_ID']), same(end.ended, false));
  },
  'DEV-RESET': async (device, end) => {
    await device.live();
    await create(device);
    device.registers.status(0);
    await device.settle();
    device.add('RESOURCE_CREATE_2D', CREATE);
    await device.notify();
    // Past the registers, too: the server must have let go of the ring.
    end.kick();
    return same(await end.seen(), 'silence', 'a chain after the reset');
  },
  'DEV-RESET-FORGETS': async (device) => {
    await device.live();
    const first = await create(device);
    await device.live();
    return same([first, await create(device)], ['OK_NODATA', 'OK_NODATA'], 'the same id, before and after the reset');
  },
  'DEV-QUEUE-RESET': async (device, end) => {
    await device.live();
    await create(device);
    device.registers.w(M.VIRTIO_MMIO_QUEUE_SEL, 0).w(M.VIRTIO_MMIO_QUEUE_RESET, 1);
    await device.settle();
    device.add('RESOURCE_CREATE_2D', CREATE);
    end.kick();
    const meanwhile = await end.seen();
    device.lay(2).w(M.VIRTIO_MMIO_QUEUE_READY, 1);
    await device.settle();
    return same([meanwhile, await create(device)], ['silence', 'ERR_INVALID_RESOURCE_ID'], 'then a smaller queue');
  },
};
